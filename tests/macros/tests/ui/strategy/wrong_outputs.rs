use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct Plain;

#[derive(ExtensionPoint)]
#[extension_point(interruptible)]
struct Guarded;

#[derive(ExtensionPoint)]
#[extension_point(output = f64)]
struct Hours;

#[derive(ExtensionPoint)]
#[extension_point(output = u64)]
struct Price;

#[derive(ExtensionPoint)]
#[extension_point(output = Vec<u8>)]
struct Bytes;

struct NoStrategy;

async fn wrong(ext: &Extensions) {
    let _ = ext.point(Plain).count().await;
    let _ = ext.point(Guarded).count().await;
    let _ = ext.point(Hours).min().await;
    let _ = ext.point(Price).first().await;
    let _ = ext.point(Price).merge().await;
    let _ = ext.point(Price).all().await;
    let _ = ext.point(Price).concat().await;
    let _ = ext.point(Bytes).sum().await;
    let _ = ext.point(Bytes).merge_flattened().await;
    let _ = ext.point(Price).collect(NoStrategy).await;
}

fn main() {}

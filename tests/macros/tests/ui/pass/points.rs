//! Every documented form of a point.
#![deny(warnings)]
#![forbid(unsafe_code)]

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub struct OrderPlaced {
    pub order_id: u64,
    pub email: String,
    pub total_cents: u64,
}

#[derive(ExtensionPoint)]
#[extension_point(interruptible)]
pub struct BeforeOrderSubmit {
    pub total_cents: u64,
}

#[derive(ExtensionPoint)]
#[extension_point(output = Option<u64>)]
pub struct QuotePrice {
    pub product_id: u64,
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, name = "catalog.import", version = 2, upcast = import_from_v1, unique_by = catalog_id)]
#[serde(rename_all = "camelCase")]
pub struct ImportCatalog {
    pub catalog_id: u64,
    pub source: String,
}

fn import_from_v1(version: u32, payload: serde_json::Value) -> Result<serde_json::Value, BoxError> {
    if version == 1 { Ok(payload) } else { Err("no such version".into()) }
}

#[derive(ExtensionPoint)]
pub struct Plain;

#[derive(ExtensionPoint)]
#[extension_point(output = Result<(u64, String), std::fmt::Error>)]
pub struct Tuple(pub u64, pub String);

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
pub enum Delivery {
    Push { commits: u64 },
    Ping,
}

#[derive(ExtensionPoint)]
#[extension_point(queued = false, interruptible = false)]
pub struct r#Raw;

fn main() {
    let import = ImportCatalog::info();
    assert_eq!((import.name, import.type_name, import.version), ("catalog.import", "ImportCatalog", 2));
    assert_eq!(import.unique_by, ["catalogId"]);
    assert!(import.queued && !import.interruptible && import.upcast.is_some());
    assert!(BeforeOrderSubmit::info().interruptible && !BeforeOrderSubmit::info().queued);
    assert_eq!(Raw::info().name, "Raw");
    assert_eq!(OrderPlaced::info().module_path, module_path!());
    assert!(OrderPlaced::info().location.file.ends_with("points.rs"));
    assert_eq!(OrderPlaced::info().location.line, 8);
    let _: <QuotePrice as ExtensionPoint>::Output = Some(1);
    let _: <Tuple as ExtensionPoint>::Output = Ok((1, String::new()));

    let placed = OrderPlaced { order_id: 7, email: "a@b.c".into(), total_cents: 100 };
    let boxed: Box<dyn QueuedPoint> = Box::new(placed);
    let text = serde_json::to_string(&boxed).unwrap();
    assert_eq!(text, r#"{"type":"OrderPlaced","order_id":7,"email":"a@b.c","total_cents":100}"#);
    let back: Box<dyn QueuedPoint> = serde_json::from_str(&text).unwrap();
    assert_eq!(back.point_info().name, "OrderPlaced");
    let ping: Box<dyn QueuedPoint> = Box::new(Delivery::Push { commits: 3 });
    let back: Box<dyn QueuedPoint> = serde_json::from_str(&serde_json::to_string(&ping).unwrap()).unwrap();
    assert_eq!(back.point_info().name, "Delivery");
    assert_eq!(through_json(Delivery::Push { commits: 3 }).point_info().name, "Delivery");
}

/// `Queued` is enough for generic code to write and read a point.
fn through_json<P: Queued>(point: P) -> P {
    serde_json::from_str(&serde_json::to_string(&point).unwrap()).unwrap()
}

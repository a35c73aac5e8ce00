use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
struct Options {
    #[inject(lazy)]
    db: std::sync::Arc<u64>,
}

#[extension_handler(P, with = Options2::new)]
struct Options2 {
    #[inject]
    db: std::sync::Arc<u64>,
}

#[async_handler]
struct ByHand {
    #[inject]
    db: std::sync::Arc<u64>,
}

fn main() {}

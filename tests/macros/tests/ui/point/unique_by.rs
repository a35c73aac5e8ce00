use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, unique_by = [order_ids, cache, order_id, order_id])]
struct Fields {
    order_id: u64,
    #[serde(skip)]
    cache: u64,
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, unique_by = order_id)]
enum Variants {
    A { order_id: u64 },
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, unique_by = [])]
struct None;

fn main() {}

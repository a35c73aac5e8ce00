use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(timeout = 0, retry_until = "0s", unique, unique_for = 0)]
struct Zero;

fn main() {}

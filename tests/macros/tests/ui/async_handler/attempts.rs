use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(retries = 0)]
struct Zero;

#[extension_handler(Q)]
#[async_handler(retries = 3, max_attempts = 3)]
struct Both;

#[extension_handler(Q)]
#[async_handler(max_attempts = -1)]
struct Negative;

#[extension_handler(Q)]
#[async_handler(retries = "3")]
struct Text;

fn main() {}

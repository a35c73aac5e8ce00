use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(queue = "a", queue = "b")]
struct Option;

#[extension_handler(Q)]
#[async_handler(queue = "a")]
#[async_handler(delay = 10)]
struct Attribute;

fn main() {}

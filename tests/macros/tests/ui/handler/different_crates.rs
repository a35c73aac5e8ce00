use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q, crate = "ext")]
#[async_handler(crate = "extensions")]
struct Both;

fn main() {}

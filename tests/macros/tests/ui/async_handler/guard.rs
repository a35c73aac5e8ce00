use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Guarded;

#[extension_handler(Guarded, on_unavailable = "allow")]
#[async_handler]
struct Late;

fn main() {}

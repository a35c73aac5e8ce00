use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(unique_for = 3600, unique_by = id, unique_until = "start")]
struct Off;

#[extension_handler(Q)]
#[async_handler(unique = false, unique_for = "1h")]
struct TurnedOff;

fn main() {}

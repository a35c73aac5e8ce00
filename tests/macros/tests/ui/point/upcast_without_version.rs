use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, upcast = from_v1)]
struct First;

fn from_v1(_: u32, payload: serde_json::Value) -> Result<serde_json::Value, BoxError> {
    Ok(payload)
}

fn main() {}

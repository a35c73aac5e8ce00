use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, version = 2, upcast = from_v1)]
struct Second;

fn from_v1(payload: serde_json::Value) -> serde_json::Value {
    payload
}

fn main() {}

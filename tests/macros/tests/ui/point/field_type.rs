use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Raw {
    r#type: String,
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Renamed {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
#[serde(rename_all = "camelCase")]
struct RenamedAll {
    type_: String,
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
#[serde(tag = "type")]
enum Tagged {
    A { id: u64 },
}

fn main() {}

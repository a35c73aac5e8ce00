use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, version = 0)]
struct Zeroth;

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, version = "2")]
struct Text;

fn main() {}

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(unique = 1)]
struct Switch;

#[extension_handler(Q)]
#[async_handler(unique, unique_until = "begin")]
struct Until;

#[extension_handler(Q)]
#[async_handler(unique, unique_by = [])]
struct NoFields;

#[extension_handler(Q)]
#[async_handler(unique, unique_by = [id, "id", ""])]
struct Fields;

fn main() {}

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(queu = "emails")]
struct Typo;

#[extension_handler(Q)]
#[async_handler(group = "billing")]
struct Other;

fn main() {}

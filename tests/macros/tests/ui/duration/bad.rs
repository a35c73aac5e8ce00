use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[extension_handler(Q)]
#[async_handler(delay = "10", timeout = "10 minutes", retry_until = "soon")]
struct Units;

#[extension_handler(Q)]
#[async_handler(delay = 10s, timeout = 1.5, retry_until = -5)]
struct Numbers;

#[extension_handler(Q)]
#[async_handler(delay = "1.5h", timeout = "", retry_until = "1h 1h")]
struct Texts;

#[extension_handler(Q)]
#[async_handler(delay = "40000d", timeout = true)]
struct Other;

fn main() {}

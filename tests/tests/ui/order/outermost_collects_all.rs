use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[async_handler(queu = "a")]
#[extension_handler(Q, nmae = "a")]
#[circuit_breaker(off)]
struct AsyncFirst;

#[when(env = "production")]
#[extensions::extension_handler(Q, nmae = "b")]
#[extensions::async_handler(queu = "b")]
struct WhenFirst;

fn main() {}

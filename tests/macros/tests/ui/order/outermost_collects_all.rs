use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[async_handler(queu = "a")]
#[extension_handler(Q, nmae = "a")]
#[circuit_breaker(of)]
#[when(evn = "production")]
struct AsyncFirst;

#[when(evn = "production")]
#[extensions::extension_handler(Q, nmae = "b")]
#[extensions::async_handler(queu = "b")]
struct WhenFirst;

#[circuit_breaker(of)]
#[when(evn = "production")]
#[extension_handler(Q, nmae = "c")]
struct BreakerFirst;

fn main() {}

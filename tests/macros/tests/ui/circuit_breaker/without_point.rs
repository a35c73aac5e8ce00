use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Q;

#[circuit_breaker(off)]
struct Alone;

#[async_handler]
#[circuit_breaker(threshold = 3)]
struct ByHand;

#[circuit_breaker(threshold = 0)]
fn with_a_mistake() {}

fn main() {}

use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[circuit_breaker(threshold = 3)]
#[extension_handler(P)]
#[circuit_breaker(timeout = 30)]
fn twice() {}

fn main() {}

use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[circuit_breaker(off, threshold = 3, timeout = 30, half_open_max = 1)]
fn off() {}

fn main() {}

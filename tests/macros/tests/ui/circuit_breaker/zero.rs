use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[circuit_breaker(threshold = 0, timeout = 0, half_open_max = 0)]
fn numbers() {}

#[extension_handler(P)]
#[circuit_breaker(timeout = "0s")]
fn text() {}

fn main() {}

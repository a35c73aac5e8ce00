use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[circuit_breaker]
fn bare() {}

#[circuit_breaker()]
#[extension_handler(P)]
fn outermost() {}

#[extension_handler(P)]
#[circuit_breaker = "off"]
fn text() {}

fn main() {}

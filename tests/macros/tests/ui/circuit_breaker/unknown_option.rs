use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[circuit_breaker(treshold = 3)]
fn misspelt() {}

#[extension_handler(P)]
#[circuit_breaker(failures = 3, cooldown = 30, probes = 1)]
fn synonym() {}

#[extension_handler(P)]
#[circuit_breaker(disabled)]
fn disabled() {}

#[extension_handler(P)]
#[circuit_breaker(colour = 1)]
fn foreign() {}

fn main() {}

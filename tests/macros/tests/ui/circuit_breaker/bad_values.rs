use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[circuit_breaker(threshold = "3", timeout = "30", half_open_max = -1)]
fn values() {}

#[extension_handler(P)]
#[circuit_breaker(threshold = 3u32, timeout = 30s, half_open_max = 5_000_000_000)]
fn suffixes() {}

#[extension_handler(P)]
#[circuit_breaker(threshold, timeout, half_open_max)]
fn no_values() {}

#[extension_handler(P)]
#[circuit_breaker(off = "yes")]
fn off() {}

#[extension_handler(P)]
#[circuit_breaker(threshold = 3, threshold = 4)]
fn duplicate() {}

fn main() {}

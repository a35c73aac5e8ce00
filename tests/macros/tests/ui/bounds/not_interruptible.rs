use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P, on_unavailable = "allow")]
fn no_guard(_: &P) {}

fn main() {}

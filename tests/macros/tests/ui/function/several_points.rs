use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[derive(ExtensionPoint)]
struct P2;

#[extension_handler(P)]
#[extension_handler(P2)]
fn both(_: &P) {}

fn main() {}

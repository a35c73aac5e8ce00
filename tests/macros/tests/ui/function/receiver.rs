use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
fn method(self, _: &P) {}

fn main() {}

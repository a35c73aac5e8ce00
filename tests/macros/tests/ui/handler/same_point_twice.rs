use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[extension_handler(P)]
fn twice() {}

fn main() {}

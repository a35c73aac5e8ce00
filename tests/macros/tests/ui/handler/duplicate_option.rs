use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P, priority = 10, priority = 20)]
struct Twice;

fn main() {}

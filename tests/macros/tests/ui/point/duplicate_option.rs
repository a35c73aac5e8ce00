use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(interruptible, name = "a")]
#[extension_point(name = "b")]
struct Twice;

fn main() {}

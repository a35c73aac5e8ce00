use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(interruptible, output = u64)]
struct Both;

fn main() {}

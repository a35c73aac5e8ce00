use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(output = "Option<u64>")]
struct Quoted;

fn main() {}

use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(interuptible)]
struct Typo;

#[derive(ExtensionPoint)]
#[extension_point(colour = "red")]
struct Foreign;

fn main() {}

use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
unsafe fn dangerous(_: &P) {}

#[extension_handler(P)]
extern "C" fn foreign(_: &P) {}

fn main() {}

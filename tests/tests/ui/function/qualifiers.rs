use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
unsafe fn dangerous(_: &P) {}

#[extension_handler(P)]
extern "C" fn foreign(_: &P) {}

#[extension_handler(P)]
const fn constant(_: &P) {}

fn main() {}

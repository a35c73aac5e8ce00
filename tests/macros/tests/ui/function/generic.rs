use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
fn typed<T>(_: &P) {}

#[extension_handler(P)]
fn sized<const N: usize>(_: &P) {}

#[extension_handler(P)]
fn opaque(_: impl Into<P>) {}

fn main() {}

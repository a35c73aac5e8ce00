use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
struct Generic<T>(T);

#[extension_handler(P)]
struct Borrowed<'a>(&'a str);

fn main() {}

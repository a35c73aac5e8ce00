use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct Generic<T>(T);

#[derive(ExtensionPoint)]
#[extension_point(interruptible)]
struct Borrowed<'a> {
    name: &'a str,
}

fn main() {}

use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(interruptible, output = u64, version = 2, nmae = "a", redact = "email")]
struct Wrong<T> {
    value: T,
}

fn main() {}

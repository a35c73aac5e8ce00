use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(redact = "email")]
struct Secret {
    email: String,
}

fn main() {}

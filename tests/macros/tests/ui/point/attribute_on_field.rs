use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct OnField {
    #[extension_point(redact)]
    email: String,
}

fn main() {}

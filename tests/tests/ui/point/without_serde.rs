use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(queued)]
struct NoSerde {
    id: u64,
}

fn main() {}

use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(version = 2, upcast = from_v1, unique_by = id)]
struct NotQueued {
    id: u64,
}

fn main() {}

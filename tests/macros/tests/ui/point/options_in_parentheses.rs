use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point = "queued"]
struct Assigned;

#[derive(ExtensionPoint)]
#[extension_point]
struct Bare;

fn main() {}

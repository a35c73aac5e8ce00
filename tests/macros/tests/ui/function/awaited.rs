use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P, awaited)]
fn plain(_: &P) {}

#[extension_handler(P, awaited = false)]
async fn future(_: &P) {}

fn main() {}

use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[when]
fn bare() {}

#[when()]
#[extension_handler(P)]
fn outermost() {}

#[extension_handler(P)]
#[when = "production"]
fn text() {}

fn main() {}

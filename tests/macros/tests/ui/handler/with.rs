use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P, with = "Built::new")]
struct Quoted;

#[extension_handler(P, with = Called::new())]
struct Called;

#[extension_handler(P, with = build)]
fn function() {}

fn main() {}

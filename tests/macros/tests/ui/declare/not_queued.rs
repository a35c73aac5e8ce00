use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

declare_handler!(P => "generate_invoice");

fn main() {}

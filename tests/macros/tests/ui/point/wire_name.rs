use extensions::prelude::*;

#[derive(ExtensionPoint)]
#[extension_point(name = "")]
struct Empty;

#[derive(ExtensionPoint)]
#[extension_point(name = "order/placed")]
struct Slash;

#[derive(ExtensionPoint)]
#[extension_point(name = "order placed")]
struct Space;

#[derive(ExtensionPoint)]
#[extension_point(name = order_placed)]
struct Word;

#[derive(ExtensionPoint)]
#[extension_point(name)]
struct Nothing;

fn main() {}

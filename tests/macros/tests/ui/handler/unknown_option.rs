use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P, prioritty = 10)]
struct Typo;

#[extension_handler(P, queue = "emails")]
struct Async;

#[extension_handler(P, P2)]
struct TwoPoints;

fn main() {}

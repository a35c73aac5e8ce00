use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P priority = 10)]
struct AfterPoint;

#[extension_handler(P, priority = 10 tags = ["a"])]
struct AfterOption;

fn main() {}

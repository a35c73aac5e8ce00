use extensions::prelude::*;

struct NotAPoint;

#[extension_handler(NotAPoint)]
struct Type;

impl Type {
    fn handle(&self) {}
}

fn main() {}

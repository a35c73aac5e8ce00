use extensions::prelude::*;

#[derive(ExtensionPoint)]
union Either {
    a: u32,
    b: f32,
}

fn main() {}

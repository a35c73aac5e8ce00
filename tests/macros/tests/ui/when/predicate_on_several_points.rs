use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[derive(ExtensionPoint)]
struct Another;

fn only_p(_: &P, _: &Context) -> bool {
    true
}

#[extension_handler(P)]
#[extension_handler(Another)]
#[when(predicate = only_p)]
fn on_both() {}

fn main() {}

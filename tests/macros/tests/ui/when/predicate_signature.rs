use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

fn without_context(_: &P) -> bool {
    true
}

fn without_answer(_: &P, _: &Context) {}

fn of_another_point(_: &String, _: &Context) -> bool {
    true
}

#[extension_handler(P)]
#[when(predicate = without_context)]
fn first() {}

#[extension_handler(P)]
#[when(predicate = without_answer)]
fn second() {}

#[extension_handler(P)]
#[when(predicate = of_another_point)]
fn third() {}

#[extension_handler(P)]
#[when(predicate = missing)]
fn fourth() {}

fn main() {}

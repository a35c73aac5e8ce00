use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

struct Db;

#[extension_handler(P)]
fn by_value(_: P) {}

#[extension_handler(P)]
fn bare_resource(_: &P, _: &Db) {}

#[extension_handler(P)]
fn owned_resource(_: &P, _: Db) {}

#[extension_handler(P)]
fn two_points(_: &P, _: &mut P) {}

#[extension_handler(P)]
fn two_contexts(_: &Context, _: &Context) {}

#[extension_handler(P)]
fn context_by_value(_: Context) {}

#[extension_handler(P)]
fn mutable_context(_: &mut Context) {}

#[extension_handler(P)]
fn job_inline(_: &P, _: &Job) {}

#[extension_handler(P)]
fn conditional(#[cfg(test)] _: &P) {}

fn main() {}

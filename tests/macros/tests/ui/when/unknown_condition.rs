use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[when(evn = "production")]
fn misspelt() {}

#[extension_handler(P)]
#[when(environment = "production", flag = "new-billing", if = is_large)]
fn synonym() {}

#[extension_handler(P)]
#[when(priority = 5)]
fn foreign() {}

fn main() {}

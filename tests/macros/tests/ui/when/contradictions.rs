use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[when(env = "staging")]
#[when(env = "production")]
fn two_environments() {}

#[extension_handler(P)]
#[when(feature = "new-billing", not_feature = "new-billing")]
fn on_and_off() {}

#[when(feature = "new-billing")]
#[extension_handler(P)]
#[when(feature = "new-billing", predicate = always, predicate = always)]
fn twice() {}

fn main() {}

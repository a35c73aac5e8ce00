use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct P;

#[extension_handler(P)]
#[when(env = production, env = [], env = "", env = ["a", "a"], env = [staging], env, env =)]
fn environments() {}

#[extension_handler(P)]
#[when(feature = ["a", "b"], feature = "", not_feature = old, not_feature)]
fn features() {}

#[extension_handler(P)]
#[when(predicate = "is_large", predicate = is_large(), predicate = |_| true, predicate)]
fn predicates() {}

#[extension_handler(P)]
#[when("production")]
fn no_key() {}

#[extension_handler(P)]
#[when(env = "production" feature = "a")]
fn no_comma() {}

fn main() {}

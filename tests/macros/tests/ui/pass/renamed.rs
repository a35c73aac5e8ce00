//! A renamed dependency. Nothing here may need the name `extensions`, hence the decoys.
#![deny(warnings)]

extern crate extensions as ext;

use ext::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, crate = "ext")]
struct Q;

#[derive(ExtensionPoint)]
#[extension_point(interruptible, crate = ext)]
struct Guarded;

#[ext::extension_handler(Q, crate = "ext")]
struct Inline;

impl Handler<Q> for Inline {
    fn handle(&self, _: &mut Q, _: &Context) -> HandlerResult {
        Ok(())
    }
}

#[ext::when(env = "production", predicate = always)]
#[extension_handler(Q)]
#[ext::circuit_breaker(timeout = 30)]
#[async_handler(crate = "ext")]
async fn queued() {}

fn always<P>(_: &P, _: &Context) -> bool {
    true
}

#[extension_handler(Guarded, crate = "::ext", on_unavailable = "deny")]
fn guard() -> Verdict {
    Verdict::Continue
}

#[async_handler(crate = "ext")]
struct ByHand;

ext::declare_handler!(Q => "elsewhere", crate = "ext");

mod reexported {
    pub(crate) mod inner {
        pub(crate) use ext::__private;
    }

    #[derive(ext::ExtensionPoint)]
    #[extension_point(crate = "crate::reexported::inner")]
    struct Inner;

    #[ext::extension_handler(Inner, crate = "self::inner")]
    fn handle(_: &Inner) {}
}

fn main() {
    drop(ByHand);
}

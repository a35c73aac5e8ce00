//! Every form of `#[when]` and `#[circuit_breaker]`, on every kind of handler, in every order.
#![deny(warnings)]
#![forbid(unsafe_code)]

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Placed {
    cents: u64,
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Changed;

fn is_large(order: &Placed, _: &Context) -> bool {
    order.cents > 100
}

mod rules {
    use extensions::Context;

    pub(crate) fn outermost<P>(_: &P, cx: &Context) -> bool {
        cx.depth() == 0
    }

    pub(crate) const fn always<P: extensions::ExtensionPoint>(_: &P, _: &Context) -> bool {
        true
    }
}

// Each form.
#[extension_handler(Placed)]
#[when(env = "production")]
fn one_environment() {}

#[extension_handler(Placed)]
#[when(env = ["staging", "production"])]
fn environments() {}

#[extension_handler(Placed)]
#[when(feature = "new-billing")]
fn feature() {}

#[extension_handler(Placed)]
#[when(not_feature = "new-billing")]
fn not_feature() {}

#[extension_handler(Placed)]
#[when(predicate = is_large)]
fn predicate() {}

#[extension_handler(Placed)]
#[when(predicate = rules::outermost::<Placed>)]
fn predicate_of_a_type() {}

#[extension_handler(Placed)]
#[when(env = "production", feature = "a", feature = "b", not_feature = "c", predicate = is_large,)]
fn several_at_once() {}

#[extension_handler(Placed)]
#[when(env = ["staging", "production"])]
#[when(env = "production")]
#[when(feature = "a")]
#[when(predicate = is_large)]
#[when(predicate = rules::always)]
fn repeated() {}

#[extension_handler(Placed)]
#[circuit_breaker(threshold = 3, timeout = 30, half_open_max = 1)]
fn breaker() {}

#[extension_handler(Placed)]
#[circuit_breaker(timeout = "1m 30s",)]
fn breaker_timeout() {}

#[extension_handler(Placed)]
#[circuit_breaker(off)]
fn no_breaker() {}

#[extension_handler(Placed)]
#[circuit_breaker(off = false, threshold = 1)]
fn breaker_after_all() {}

// Each order.
#[when(env = "production")]
#[circuit_breaker(off)]
#[extension_handler(Placed)]
fn above() {}

#[when(env = "production")]
#[extension_handler(Placed)]
#[circuit_breaker(off)]
fn around() {}

#[circuit_breaker(off)]
#[async_handler]
#[when(env = "production")]
#[extension_handler(Placed)]
#[when(feature = "a")]
async fn mixed(_: &Placed) {}

#[extensions::when(env = "production")]
#[extensions::circuit_breaker(off)]
#[extensions::extension_handler(Placed)]
fn by_path(_: &mut Placed) {}

#[cfg_attr(all(), extension_handler(Placed))]
#[cfg_attr(all(), when(env = "production"))]
#[cfg_attr(any(), when(nothing = "of ours"))]
#[cfg_attr(all(), circuit_breaker(off))]
fn conditional() {}

// Each kind, and a generic predicate on several points.
#[extension_handler(Placed)]
#[extension_handler(Changed)]
#[when(predicate = rules::outermost, predicate = rules::always)]
#[circuit_breaker(threshold = 1)]
struct Inline;

impl Handler<Placed> for Inline {
    fn handle(&self, _: &mut Placed, _: &Context) -> HandlerResult {
        Ok(())
    }
}

impl Handler<Changed> for Inline {
    fn handle(&self, _: &mut Changed, _: &Context) -> HandlerResult<Verdict> {
        Ok(Verdict::Continue)
    }
}

#[derive(Debug)]
#[when(predicate = Self::is_small)]
#[extension_handler(Placed, awaited)]
struct Awaited;

impl Awaited {
    fn is_small(order: &Placed, _: &Context) -> bool {
        order.cents < 100
    }
}

impl AwaitedHandler<Placed> for Awaited {
    async fn handle(&self, _: &mut Placed, _: &Context) -> HandlerResult {
        Ok(())
    }
}

#[extension_handler(Placed)]
#[extension_handler(Changed)]
#[async_handler]
#[when(predicate = rules::outermost)]
#[circuit_breaker(off)]
struct Async;

impl<P: QueuedPoint> AsyncHandler<P> for Async
where
    P: ExtensionPoint,
{
    async fn handle(&self, _: &P, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[when(predicate = rules::outermost)]
#[async_handler(blocking)]
#[extension_handler(Placed)]
struct Blocking;

impl BlockingHandler<Placed> for Blocking {
    fn handle(&self, _: &Placed, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[extension_handler(Placed)]
#[extension_handler(Changed)]
#[async_handler]
#[when(predicate = rules::always)]
fn on_both() {}

#[extension_handler(Placed)]
#[when(predicate = rules::always)]
async fn awaited() {}

fn inside() {
    fn local(_: &Placed, _: &Context) -> bool {
        true
    }

    #[when(predicate = local)]
    #[extension_handler(Placed)]
    fn handler() {}
}

fn main() {
    inside();
}

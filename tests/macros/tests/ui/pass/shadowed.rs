//! Names that expansions might be tempted to use, all taken by something else.
#![deny(warnings)]
#![allow(dead_code, unused_macros)]

extern crate extensions as real;

mod core {}
mod std {}
mod alloc {}
mod serde {}
mod serde_json {}
mod typetag {}
mod inventory {}
mod extensions {}

struct Option;
struct Some;
struct None;
struct Result;
struct Ok;
struct Err;
struct Box;
struct String;
struct Vec;
struct Arc;
struct Duration;
struct Context;
struct Job;
trait Default {}
trait Clone {}
trait Send {}
trait Sync {}
trait Into {}
trait From {}
trait Future {}
trait Drop {}

macro_rules! file { () => { compile_error!("shadowed") }; }
macro_rules! line { () => { compile_error!("shadowed") }; }
macro_rules! column { () => { compile_error!("shadowed") }; }
macro_rules! module_path { () => { compile_error!("shadowed") }; }
macro_rules! concat { () => { compile_error!("shadowed") }; }
macro_rules! stringify { () => { compile_error!("shadowed") }; }

#[derive(::serde::Serialize, ::serde::Deserialize, real::ExtensionPoint)]
#[extension_point(queued, interruptible, version = 2, upcast = upcast, unique_by = id)]
#[serde(crate = "::serde")]
struct Q {
    id: u64,
}

fn upcast(_: u32, payload: ::serde_json::Value) -> ::core::result::Result<::serde_json::Value, real::BoxError> {
    ::core::result::Result::Ok(payload)
}

#[derive(real::ExtensionPoint)]
struct Bare;

#[derive(real::ExtensionPoint)]
#[deprecated(since = "1", note = "none")]
struct P;

#[real::extension_handler(Q, name = "inline", aliases = ["a"], tags = ["b"], group = "c", on_unavailable = "allow")]
fn inline(_: &Q, _: &real::Context, _: real::Res<u64>) -> real::Verdict {
    real::Verdict::Continue
}

#[real::extension_handler(Q)]
#[real::when(env = "a", env = ["a", "b"], feature = "c", not_feature = "d", predicate = always)]
#[real::circuit_breaker(threshold = 3, timeout = "500ms", half_open_max = 1)]
async fn awaited(_: &mut Q) {}

fn always<P>(_: &P, _: &real::Context) -> bool {
    true
}

#[real::extension_handler(Q)]
#[real::async_handler(queue = "a", delay = "500ms", retries = 3, backoff = linear("1s", max = "1h", jitter = "full"),
                      timeout = "none", unique, unique_for = "1h", unique_by = [id], unique_until = "start",
                      priority = 1, tags = ["a"], retry_until = "1d", expires_in = "2d", on_failure = Callback, on_retry = Callback)]
#[deprecated(since = "1", note = "none")]
struct Async {
    #[inject]
    resource: ::std::sync::Arc<u64>,
    counter: u64,
}

impl real::AsyncHandler<Q> for Async {
    async fn handle(&self, _: &Q, _: &real::Job) -> real::HandlerResult {
        ::core::result::Result::Ok(())
    }
}

struct Callback;

impl real::OnFailure<Q> for Callback {
    async fn on_failure(&self, _: &Q, _: &real::JobError, _: &real::Job) {}
}

impl real::OnRetry<Q> for Callback {
    async fn on_retry(&self, _: &Q, _: &real::JobError, _: &real::Job) {}
}

#[real::async_handler(queue = "a")]
struct ByHand;

real::declare_handler!(Q => "elsewhere", backoff_seconds = [1, 2]);

fn main() {}

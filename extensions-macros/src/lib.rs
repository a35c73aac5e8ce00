//! Derive and attribute macros of the `extensions` framework; use them through the crate `extensions`.
//!
//! Every macro goes three steps: `parse` reads what was written and records mistakes, `check` turns it into a
//! model that cannot be wrong, `expand` writes the code. All mistakes of an item are reported at once, and the item
//! itself is always written back, so that no second wave of errors follows.

#![forbid(unsafe_code)]

mod check;
mod duration;
mod errors;
mod expand;
#[cfg(test)]
mod golden;
mod keys;
mod parse;
mod root;
mod slot;
mod suggest;
mod value;

use proc_macro::TokenStream;

use crate::errors::Errors;
use crate::parse::attributes::Kind;

/// Makes a struct or an enum an extension point: something that can be fired and that handlers are attached to.
///
/// ```
/// use extensions::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(ExtensionPoint)]
/// #[extension_point(interruptible)] // inline handlers return a `Verdict`
/// pub struct BeforeOrderSubmit {
///     pub total_cents: u64,
/// }
///
/// #[derive(ExtensionPoint)]
/// #[extension_point(output = Option<u64>)] // inline handlers return an `Option<u64>`
/// pub struct QuotePrice {
///     pub product_id: u64,
/// }
///
/// #[derive(Serialize, Deserialize, ExtensionPoint)]
/// #[extension_point(queued, name = "catalog.import", version = 2, upcast = import_from_v1, unique_by = catalog_id)]
/// pub struct ImportCatalog {
///     pub catalog_id: u64,
///     pub source: String,
/// }
///
/// fn import_from_v1(version: u32, payload: serde_json::Value) -> Result<serde_json::Value, BoxError> {
///     Ok(payload)
/// }
/// ```
///
/// # Options
///
/// All stand in `#[extension_point(…)]`, which may be repeated.
///
/// | option | default | meaning |
/// |---|---|---|
/// | `queued` | off | async handlers can be attached; needs `Serialize` and `Deserialize` |
/// | `interruptible` | off | inline handlers return a `Verdict` and can veto; not together with `output` |
/// | `output = T` | `()` | what each inline handler returns; `Send + Sync + 'static` |
/// | `name = "…"` | the type's name | the name under which jobs are stored: 1 to 200 bytes, no `/`, no white space |
/// | `version = n` | 1 | the version of the payload, from 1; only on queued points |
/// | `upcast = path` | none | `fn(u32, serde_json::Value) -> Result<serde_json::Value, BoxError>`, which turns the payload of an earlier version into today's; needs `version = 2` or higher |
/// | `unique_by = field`, `= [a, b]` | the whole payload | the fields that make two points the same for handlers with `unique`; only on queued structs |
/// | `crate = "…"` | `"extensions"` | the name of the dependency, where it is renamed |
///
/// The type has no parameters. A queued point has no field that is called `type` in its serialised form, since
/// `Box<dyn QueuedPoint>` keeps the point's name there. `#[deprecated]` on the type shows in every listing.
#[proc_macro_derive(ExtensionPoint, attributes(extension_point))]
pub fn extension_point(input: TokenStream) -> TokenStream {
    derive_point(input.into()).into()
}

/// Attaches a handler to a point: a struct that implements one of the handler traits, or a function.
///
/// ```
/// use std::sync::Arc;
/// use extensions::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, ExtensionPoint)]
/// # #[extension_point(queued)]
/// # pub struct OrderPlaced { pub email: String }
/// # #[derive(ExtensionPoint)]
/// # #[extension_point(interruptible)]
/// # pub struct BeforeOrderSubmit { pub total_cents: u64 }
/// # pub struct Db;
/// # pub struct Limits { order: u64 }
///
/// #[extension_handler(OrderPlaced, priority = 10, tags = ["stock"])]
/// struct UpdateInventory {
///     #[inject]
///     db: Arc<Db>,
/// }
///
/// impl Handler<OrderPlaced> for UpdateInventory {
///     fn handle(&self, order: &mut OrderPlaced, cx: &Context) -> HandlerResult {
///         Ok(())
///     }
/// }
///
/// #[extension_handler(BeforeOrderSubmit, priority = 5)]
/// fn order_limit(order: &BeforeOrderSubmit, limits: Res<Limits>) -> Verdict {
///     if order.total_cents > limits.order { Verdict::veto("over the limit") } else { Verdict::Continue }
/// }
/// ```
///
/// # Options
///
/// The point's type comes first. For several points the attribute is repeated.
///
/// | option | default | meaning |
/// |---|---|---|
/// | `name = "…"` | the type's or function's name | the name in listings and queues: 1 to 200 bytes, no `/`, no white space |
/// | `aliases = ["…"]` | none | earlier names, under which jobs may still be stored |
/// | `priority = n` | 100 | an `i32`; lower runs first |
/// | `tags = ["…"]` | none | tags of the handler, shown in the report and in listings |
/// | `group = "…"` | none | a group, shown in listings |
/// | `awaited` | off; on for an `async fn` | the fire awaits the handler, which implements `AwaitedHandler` |
/// | `stage` | off | it implements `Stage`, and is run by `as_pipeline` and no other fire |
/// | `on_unavailable = "deny"`, `"allow"` | `"deny"` | kept for guards, the inline handlers of an interruptible point; nothing asks it yet |
/// | `with = path` | none | a constructor `fn(&Resources) -> Result<Self, BoxError>`; also as `Self::new` |
/// | `crate = "…"` | `"extensions"` | the name of the dependency, where it is renamed |
///
/// Which trait a struct implements: `Handler<P>`; with `awaited`, `AwaitedHandler<P>`; with `stage`, `Stage<P>`; with
/// [`#[async_handler]`](macro@async_handler), `AsyncHandler<P>`; with `#[async_handler(blocking)]`, `BlockingHandler<P>`.
///
/// # Fields
///
/// A field with `#[inject]` is taken from the instance's resources at start-up: `Arc<T>`, `Res<T>`, or an `Option` of one where
/// it may be missing. Other fields come from `Default`.
///
/// # Functions
///
/// Parameters are matched by type, in any order: `&P` or `&mut P` is the point, `&Context` (inline) or `&Job` (async) tells
/// about the fire or the job, `Res<T>`, `Arc<T>` and `Option`s of them are resources. A function on several points takes no
/// point. It returns the point's output, a `Result` of it, or nothing. An `async fn` is awaited by the fire; with
/// `#[async_handler]` a plain `fn` runs on the blocking pool. The function itself stays as it is and can be called.
/// It stands in a module or inside another function; in an `impl` the compiler says "`const` items in this context need a
/// name".
///
/// # Attributes beside it
///
/// | attribute | what it does |
/// |---|---|
/// | [`#[async_handler(…)]`](macro@async_handler) | a worker runs the handler, later |
/// | [`#[when(…)]`](macro@when) | the handler takes part only where something holds |
/// | [`#[circuit_breaker(…)]`](macro@circuit_breaker) | sets its circuit breaker or turns it off |
///
/// Their order never matters. `#[deprecated]` is taken off the item, where it would make the compiler complain
/// about the item's own code, and kept in the registry.
#[proc_macro_attribute]
pub fn extension_handler(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::ExtensionHandler, args.into(), item.into()).into()
}

/// Makes a handler run in the background: `fire` queues a job for it, a worker runs it.
///
/// ```
/// use std::sync::Arc;
/// use extensions::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, ExtensionPoint)]
/// # #[extension_point(queued)]
/// # pub struct OrderPlaced { pub email: String }
/// # pub struct Mailer;
/// # impl Mailer { async fn send(&self, _: &str) -> Result<(), BoxError> { Ok(()) } }
/// # pub struct PdfRenderer;
/// # struct NotifyAdmin;
/// # impl OnFailure<OrderPlaced> for NotifyAdmin {
/// #     async fn on_failure(&self, _: &OrderPlaced, _: &JobError, _: &Job) {}
/// # }
///
/// #[extension_handler(OrderPlaced)]
/// #[async_handler(queue = "emails", retries = 3, backoff = "exponential", backoff_seconds = 10, timeout = 120,
///                 on_failure = NotifyAdmin, unique = true, unique_for = 3600)]
/// struct SendConfirmation {
///     #[inject]
///     mailer: Arc<Mailer>,
/// }
///
/// impl AsyncHandler<OrderPlaced> for SendConfirmation {
///     async fn handle(&self, order: &OrderPlaced, job: &Job) -> HandlerResult {
///         self.mailer.send(&order.email).await?;
///         Ok(())
///     }
/// }
///
/// #[extension_handler(OrderPlaced)]
/// #[async_handler(queue = "documents", max_attempts = 5, backoff_seconds = [10, 30, 60, 300])]
/// async fn generate_invoice(order: &OrderPlaced, pdf: Res<PdfRenderer>, job: &Job) -> HandlerResult {
///     Ok(())
/// }
/// ```
///
/// Without `#[extension_handler]` it gives a type's options for registration by hand: `register_async` starts from them, and its
/// own arguments win. `on_failure`, `on_retry` and `blocking` need the point and are not possible there.
///
/// # Options
///
/// A duration is a whole number of seconds or a string such as `"500ms"`, `"10s"`, `"2m"`, `"1h 30m"`, `"1d"`. What is not given
/// comes from the configuration, and else is the default.
///
/// | option | default | meaning |
/// |---|---|---|
/// | `queue = "…"` | `"default"` | the queue |
/// | `delay = d` | 0 | how long after the fire the job may run |
/// | `retries = n`, or `max_attempts = n` | 3 | the largest number of attempts, the first included |
/// | `backoff = …`, `backoff_seconds = …` | exponential from 10 s | the wait between attempts, see below |
/// | `timeout = d`, `"none"` | 60 s | how long an attempt may run |
/// | `on_failure = path` | none | a unit struct or constant that implements `OnFailure<P>`: the job ended without success |
/// | `on_retry = path` | none | likewise `OnRetry<P>`: an attempt failed and will be repeated |
/// | `unique` | off | a job is queued only while none with the same key waits or runs |
/// | `unique_for = d` | until the job ends | ends the uniqueness earlier |
/// | `unique_by = field`, `= [a, b]` | the point's `unique_by` | keys of the payload that make two jobs the same |
/// | `unique_until = "start"`, `"end"` | `"end"` | whether the key is free again when the job starts |
/// | `priority = n` | 5 | the job's rank in its queue, 0 (first) to 9 (last) |
/// | `tags = ["…"]` | none | tags of the handler and its jobs |
/// | `retry_until = d` | none | the age at which no further attempt is made |
/// | `expires_in = d` | none | the age at which a job that has not started is dead instead of run |
/// | `missing = "discard"`, `"fail"` | `"fail"` | whether a job whose subject is gone is cancelled, or dead at once |
/// | `blocking` | off; on for a plain `fn` | runs on the blocking pool; a struct implements `BlockingHandler<P>` |
/// | `crate = "…"` | `"extensions"` | the name of the dependency, where it is renamed |
///
/// # Back-off
///
/// The wait before attempt n+1, for the base b:
///
/// | form | waits |
/// |---|---|
/// | `backoff = "fixed"` | b, b, b, … |
/// | `backoff = "linear"` | b, 2b, 3b, … |
/// | `backoff = "exponential"` | b, 2b, 4b, … |
/// | `backoff_seconds = [10, 30, 60]` | 10 s, 30 s, then always 60 s |
///
/// The base is `backoff_seconds = b`, else 10 s; `backoff_seconds = b` alone is exponential. Or all in one call:
/// `backoff = exponential("10s", max = "1h", jitter = 0.1)`, where `jitter` is a share from 0 to 1 or `"full"`; `fixed` and
/// `linear` take the same.
#[proc_macro_attribute]
pub fn async_handler(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::AsyncHandler, args.into(), item.into()).into()
}

/// Declares a handler whose code is in another program: this one queues jobs for it and cannot run them.
///
/// ```
/// use extensions::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, ExtensionPoint)]
/// # #[extension_point(queued)]
/// # pub struct OrderPlaced { pub email: String }
///
/// declare_handler!(OrderPlaced => "generate_invoice", queue = "documents", max_attempts = 5);
/// ```
///
/// The name is the handler's name in the program that has it. The options are those of
/// [`#[async_handler]`](macro@async_handler) without `on_failure`, `on_retry` and `blocking`, and must be the same as there.
#[proc_macro]
pub fn declare_handler(input: TokenStream) -> TokenStream {
    declare(input.into()).into()
}

/// Lets a handler take part in a fire only where something holds.
///
/// ```
/// use extensions::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, ExtensionPoint)]
/// # #[extension_point(queued)]
/// # pub struct OrderPlaced { pub email: String, pub total_cents: u64 }
/// # #[derive(ExtensionPoint)]
/// # pub struct OrderShipped { pub order_id: u64 }
///
/// #[extension_handler(OrderPlaced)]
/// #[async_handler(queue = "crm")]
/// #[when(env = ["staging", "production"])]
/// #[when(feature = "new-crm", not_feature = "crm-maintenance")]
/// #[when(predicate = is_large)]
/// async fn sync_crm(order: &OrderPlaced) -> HandlerResult {
///     Ok(())
/// }
///
/// fn is_large(order: &OrderPlaced, cx: &Context) -> bool {
///     order.total_cents > 100_000
/// }
///
/// #[extension_handler(OrderPlaced)]
/// #[extension_handler(OrderShipped)]
/// #[when(predicate = outermost)]
/// fn count() {}
///
/// fn outermost<P>(_point: &P, cx: &Context) -> bool {
///     cx.depth() == 0
/// }
/// ```
///
/// # Conditions
///
/// | condition | holds |
/// |---|---|
/// | `env = "…"`, `env = ["…"]` | where the instance's environment is that one, or one of these |
/// | `feature = "…"` | while the feature is on |
/// | `not_feature = "…"` | while the feature is off |
/// | `predicate = path` | where the function `fn(&P, &Context) -> bool` says so, for the point as the handlers before left it; a generic function serves a handler on several points, and `Self::…` works on a type |
///
/// All of them have to hold, in one attribute or in several. Conditions that exclude each other (two environments, a feature that is
/// on and off) are a compile error.
///
/// They are asked in each fire, when the handler's turn comes. Where one doesn't hold, the handler is no part of the fire: it isn't
/// called, no job is queued for it, and a guard neither consents nor denies. The report says so. A job that is already queued runs,
/// whatever has changed since.
///
/// The attribute needs [`#[extension_handler]`](macro@extension_handler) on the item, holds for each of its points, and may stand
/// above or below it. A declaration by [`declare_handler!`](macro@declare_handler) knows nothing of its definition's conditions.
#[proc_macro_attribute]
pub fn when(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::When, args.into(), item.into()).into()
}

/// Sets a handler's circuit breaker, or turns it off.
///
/// ```
/// use extensions::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize, ExtensionPoint)]
/// # #[extension_point(queued)]
/// # pub struct OrderPlaced { pub email: String }
///
/// #[extension_handler(OrderPlaced)]
/// #[circuit_breaker(threshold = 3, timeout = 30, half_open_max = 1)]
/// async fn reserve_stock(order: &mut OrderPlaced) -> HandlerResult {
///     Ok(())
/// }
///
/// #[extension_handler(OrderPlaced)]
/// #[circuit_breaker(off)]
/// fn audit(order: &OrderPlaced) {}
/// ```
///
/// # Options
///
/// A duration is a whole number of seconds or a string such as `"500ms"`, `"30s"`, `"1h 30m"`. What is not given comes from the
/// configuration, and else is the default.
///
/// | option | default | meaning |
/// |---|---|---|
/// | `threshold = n` | 5 | how many failures in a row open the breaker, from 1 |
/// | `timeout = d` | 60 s | how long it stays open before it lets probes through; more than nothing |
/// | `half_open_max = n` | 3 | how many probes it lets through at a time, from 1 |
/// | `off` | | the handler has no breaker; not together with the others |
///
/// While the breaker is open, an inline handler is skipped, and the report says so; a guard counts as its `on_unavailable` says; the
/// jobs of an async handler wait and use up no attempt.
///
/// The attribute needs [`#[extension_handler]`](macro@extension_handler) on the item, stands there once, holds for each of its
/// points, and may stand above or below it.
#[proc_macro_attribute]
pub fn circuit_breaker(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::CircuitBreaker, args.into(), item.into()).into()
}

/// Fires a point by a clock. Not supported yet: a compile error.
#[proc_macro_attribute]
pub fn scheduled(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::Scheduled, args.into(), item.into()).into()
}

fn derive_point(input: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let input = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut errors = Errors::new();
    let point = check::point::check(&input, &mut errors);
    let mistakes = errors.finish();
    let expanded = expand::point::expand(&point);
    quote::quote! { #mistakes #expanded }
}

fn attribute(
    outermost: Kind,
    args: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let mut errors = Errors::new();
    let (mut item, ours) = parse::item::Item::parse(outermost, args, item, &mut errors);
    let outcome = check::handler::check(&mut item, ours, &mut errors);
    if let Some(mistakes) = errors.finish() {
        return quote::quote! { #mistakes #item };
    }
    let expanded = outcome.as_ref().map(expand::handler::expand);
    let lints = outcome.as_ref().and_then(expand::handler::lints);
    quote::quote! { #lints #item #expanded }
}

fn declare(input: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let mut errors = Errors::new();
    let parsed = parse::declare::Declaration::parse(input, &mut errors);
    let declaration = check::declare::check(parsed, &mut errors);
    if let Some(mistakes) = errors.finish() {
        return mistakes;
    }
    declaration.as_ref().map(expand::declare::expand).unwrap_or_default()
}

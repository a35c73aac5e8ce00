//! A list of handlers to register: at start-up, on a running instance, or in a scope.

use std::sync::Arc;

use super::{InlineCall, Registrar, Wanted};
use crate::handler::{
    AnyHandler, AsyncHandler, AsyncOptions, AwaitedHandler, Context, Handler, HandlerOptions, HandlerResult,
    Stage,
};
use crate::point::{ExtensionPoint, Location, Queued};

type Registration = Box<dyn Fn(&mut Registrar<'_>) + Send>;

/// Handlers that are registered together: all, or none if one of them cannot be.
///
/// A crate that brings many handlers can give them as one value, which
/// [`register_many`](crate::ExtensionsBuilder::register_many) takes.
#[derive(Default)]
#[must_use = "handlers are registered by `register_many`"]
pub struct Registrations {
    list: Vec<Registration>,
    group: Option<String>,
}

impl Registrations {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty list whose handlers are all in this group, unless their options name another.
    pub fn in_group(group: impl Into<String>) -> Self {
        Self { list: Vec::new(), group: Some(group.into()) }
    }

    /// Adds a plain inline handler.
    #[track_caller]
    pub fn register<P: ExtensionPoint, H: Handler<P>>(self, handler: H, options: HandlerOptions) -> Self {
        let wanted = self.wanted::<H>(options);
        self.inline(wanted, InlineCall::<P>::Plain(Arc::new(handler)))
    }

    /// Adds a closure as a plain inline handler under a name of its own.
    #[track_caller]
    pub fn register_fn<P: ExtensionPoint>(
        self,
        name: impl Into<String>,
        handler: impl Fn(&mut P, &Context) -> HandlerResult<P::Output> + Send + Sync + 'static,
        options: HandlerOptions,
    ) -> Self {
        let wanted = self.wanted_of(&handler, options.name(name));
        self.inline(wanted, InlineCall::<P>::Plain(Arc::new(FnHandler(handler))))
    }

    /// Adds an awaited inline handler.
    #[track_caller]
    pub fn register_awaited<P: ExtensionPoint, H: AwaitedHandler<P>>(
        self,
        handler: H,
        options: HandlerOptions,
    ) -> Self {
        let wanted = self.wanted::<H>(options);
        self.inline(wanted, InlineCall::<P>::awaited(Arc::new(handler)))
    }

    /// Adds a stage of the point's pipeline, which [`as_pipeline`](crate::fire::Fire::as_pipeline) runs.
    #[track_caller]
    pub fn register_stage<P: ExtensionPoint, S: Stage<P>>(self, stage: S, options: HandlerOptions) -> Self {
        let wanted = self.wanted::<S>(options);
        self.inline(wanted, InlineCall::<P>::stage(Arc::new(stage)))
    }

    /// Adds an async handler. The options that `#[async_handler]` gives its type are the base; the arguments win.
    #[track_caller]
    pub fn register_async<P: Queued, H: AsyncHandler<P>>(self, handler: H, options: AsyncOptions) -> Self {
        let options = options.or(&Registrar::linked_options::<H>());
        let wanted = self.wanted::<H>(options.handler.clone());
        let handler = Arc::new(handler);
        self.later(move |registrar| {
            registrar.add_queued::<P, H>(wanted.clone(), Arc::clone(&handler), options.clone());
        })
    }

    /// Adds a handler of every point whose name matches a pattern: on the wire name (`*Created`, `order.*`), or, where the
    /// pattern has `::`, on the path of the type (`shop::orders::*`). `*` stands for any text, `?` for one character.
    #[track_caller]
    pub fn on_any<H: AnyHandler>(self, pattern: impl Into<String>, handler: H) -> Self {
        self.on_any_with(pattern, handler, HandlerOptions::new())
    }

    /// Adds a handler of every point whose name matches a pattern, with options. A closure's name is its pattern unless the
    /// options give one.
    #[track_caller]
    pub fn on_any_with<H: AnyHandler>(
        self,
        pattern: impl Into<String>,
        handler: H,
        mut options: HandlerOptions,
    ) -> Self {
        let pattern = pattern.into();
        if std::any::type_name::<H>().ends_with("{{closure}}") {
            options.name.get_or_insert_with(|| pattern.clone());
        }
        let wanted = self.wanted::<H>(options);
        let handler: Arc<dyn AnyHandler> = Arc::new(handler);
        self.later(move |registrar| registrar.add_wildcard(wanted.clone(), &pattern, Arc::clone(&handler)))
    }

    /// Adds all of another list.
    pub fn and(mut self, other: Self) -> Self {
        self.list.extend(other.list);
        self
    }

    #[track_caller]
    fn wanted<H: 'static>(&self, mut options: HandlerOptions) -> Wanted {
        options.group = options.group.or_else(|| self.group.clone());
        Wanted::by_hand::<H>(options, Location::caller())
    }

    /// As [`wanted`](Self::wanted), for a handler whose type has no name.
    #[track_caller]
    fn wanted_of<H: 'static>(&self, _: &H, options: HandlerOptions) -> Wanted {
        self.wanted::<H>(options)
    }

    fn inline<P: ExtensionPoint>(self, wanted: Wanted, call: InlineCall<P>) -> Self {
        self.later(move |registrar| registrar.add_inline::<P>(&wanted, call.clone()))
    }

    fn later(mut self, registration: impl Fn(&mut Registrar<'_>) + Send + 'static) -> Self {
        self.list.push(Box::new(registration));
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn apply(&self, registrar: &mut Registrar<'_>) {
        for registration in &self.list {
            registration(registrar);
        }
    }
}

impl std::fmt::Debug for Registrations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registrations").field("len", &self.len()).finish_non_exhaustive()
    }
}

struct FnHandler<F>(F);

impl<P, F> Handler<P> for FnHandler<F>
where
    P: ExtensionPoint,
    F: Fn(&mut P, &Context) -> HandlerResult<P::Output> + Send + Sync + 'static,
{
    fn handle(&self, point: &mut P, cx: &Context) -> HandlerResult<P::Output> {
        (self.0)(point, cx)
    }
}

//! A fire with options of its own.

use std::any::TypeId;
use std::time::Duration;

use super::destination::Destination;
use super::{FireError, Fired};
use crate::handler::{AsyncOptions, HandlerInfo, Which};
use crate::instance::Extensions;
use crate::point::{ExtensionPoint, Interruptible};

/// A point that is about to be fired, made by [`Extensions::point`], or by [`Job::point`](crate::worker::Job::point) for follow-ups.
#[must_use = "nothing is fired until `.fire().await` or `.fire_sync()`"]
pub struct Fire<'a, P: ExtensionPoint, To = ToQueue> {
    pub(super) extensions: &'a Extensions,
    pub(super) point: P,
    pub(super) mode: Mode,
    pub(super) to: To,
}

/// That a fire's jobs are pushed into the queue, as those of most fires are.
#[derive(Debug, Clone, Copy)]
pub struct ToQueue;

/// What holds for one fire only.
#[derive(Debug, Default)]
pub(crate) struct Mode {
    pub(crate) graceful: bool,
    pub(crate) strict: bool,
    pub(crate) bypass_breaker: bool,
    pub(crate) unobserved: bool,
    /// Nothing can be awaited.
    pub(crate) sync: bool,
    pub(crate) overrides: Option<Box<Overrides>>,
}

impl Mode {
    /// A mode to begin a fire with, where this is the instance's.
    pub(crate) fn fresh(&self) -> Self {
        Self { graceful: self.graceful, strict: self.strict, ..Self::default() }
    }

    pub(super) fn tenant(&self) -> Option<&str> {
        self.overrides.as_ref()?.tenant.as_deref()
    }

    pub(super) fn idempotency_key(&self) -> Option<&str> {
        self.overrides.as_ref()?.idempotency_key.as_deref()
    }
}

/// What a fire changes of its handlers' options, and which handlers it chooses.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) all: AsyncOptions,
    pub(crate) one: Vec<(Which, AsyncOptions)>,
    only: Vec<Which>,
    except: Vec<Which>,
    pub(crate) tenant: Option<String>,
    idempotency_key: Option<String>,
}

impl Overrides {
    pub(crate) fn chooses(&self, info: &HandlerInfo) -> bool {
        let named = |list: &[Which]| list.iter().any(|which| which.is(info));
        (self.only.is_empty() || named(&self.only)) && !named(&self.except)
    }
}

impl<'a, P: ExtensionPoint> Fire<'a, P> {
    pub(crate) const fn new(extensions: &'a Extensions, point: P, mode: Mode) -> Self {
        Self { extensions, point, mode, to: ToQueue }
    }
}

impl<P: ExtensionPoint, To> Fire<'_, P, To> {
    fn overrides(&mut self) -> &mut Overrides {
        self.mode.overrides.get_or_insert_default()
    }

    fn all_jobs(mut self, change: impl FnOnce(AsyncOptions) -> AsyncOptions) -> Self {
        let overrides = self.overrides();
        overrides.all = change(std::mem::take(&mut overrides.all));
        self
    }

    /// Every handler runs; errors are collected in the report instead of ending the fire.
    pub fn graceful(mut self) -> Self {
        self.mode.graceful = true;
        self
    }

    /// The first error of a handler ends the fire, whatever the instance's default is.
    pub fn fail_fast(mut self) -> Self {
        self.mode.graceful = false;
        self
    }

    /// A point without handlers is an error.
    pub fn strict(mut self) -> Self {
        self.mode.strict = true;
        self
    }

    /// Open circuit breakers hold back no inline handler of this fire, and its results count for none.
    pub fn without_circuit_breaker(mut self) -> Self {
        self.mode.bypass_breaker = true;
        self
    }

    /// Observers are not told of this fire.
    pub fn unobserved(mut self) -> Self {
        self.mode.unobserved = true;
        self
    }

    /// All jobs of this fire wait this long.
    pub fn delay(self, delay: Duration) -> Self {
        self.all_jobs(|options| options.delay(delay))
    }

    /// All jobs of this fire go to this queue.
    pub fn on_queue(self, queue: impl Into<String>) -> Self {
        self.all_jobs(|options| options.queue(queue))
    }

    /// The rank in the queue of all jobs of this fire: 0 first, 9 last.
    pub fn priority(self, priority: u8) -> Self {
        self.all_jobs(|options| options.priority(priority))
    }

    /// Whether the jobs of this fire are unique.
    pub fn unique(self, unique: bool) -> Self {
        self.all_jobs(|options| options.unique(unique))
    }

    /// Adds tags to all jobs of this fire.
    pub fn tags<S: Into<String>>(self, tags: impl IntoIterator<Item = S>) -> Self {
        self.all_jobs(|options| options.tags(tags))
    }

    /// Changes the options of one handler's job, by type: queue, delay, priority, attempts, uniqueness and tags. Any other option
    /// is an error of the fire.
    pub fn options_for<H: 'static>(mut self, options: AsyncOptions) -> Self {
        self.overrides().one.push((Which::Type(TypeId::of::<H>()), options));
        self
    }

    /// Changes the options of one handler's job, by name.
    pub fn options_for_named(mut self, handler: impl Into<String>, options: AsyncOptions) -> Self {
        self.overrides().one.push((Which::Name(handler.into()), options));
        self
    }

    /// Runs and queues only this handler; more calls add more.
    pub fn only<H: 'static>(mut self) -> Self {
        self.overrides().only.push(Which::Type(TypeId::of::<H>()));
        self
    }

    /// Runs and queues only the handler of this name; more calls add more.
    pub fn only_named(mut self, handler: impl Into<String>) -> Self {
        self.overrides().only.push(Which::Name(handler.into()));
        self
    }

    /// Leaves out this handler.
    pub fn except<H: 'static>(mut self) -> Self {
        self.overrides().except.push(Which::Type(TypeId::of::<H>()));
        self
    }

    /// Leaves out the handler of this name.
    pub fn except_named(mut self, handler: impl Into<String>) -> Self {
        self.overrides().except.push(Which::Name(handler.into()));
        self
    }

    /// Fires inside this tenant's scope: its handlers run, and the jobs of this fire and of those nested in it carry it along.
    pub fn for_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.overrides().tenant = Some(tenant.into());
        self
    }

    /// Makes a repetition of this fire harmless: its jobs are queued once, however often a fire with this key is repeated within the
    /// window ([`idempotency_window`](crate::ExtensionsBuilder::idempotency_window), 24 h).
    ///
    /// The key names what the fire is about: the id of a request, of a message, of a row. A repetition runs the inline handlers again
    /// and reports the same jobs as queued, whether they wait, run or have long ended; it stores nothing, and what was stored first
    /// stays, with the payload that it had then. A job that its unique key kept out was not stored, so a repetition tries it again.
    ///
    /// The ids of the jobs follow from the key, the tenant in whose scope the fire runs, the handler, and the how manieth job of that
    /// handler in the fire it is. So another handler, another point or another tenant may have the same key. The jobs of nested
    /// fires are part of it; follow-ups and fires through [`Context::extensions`](crate::handler::Context::extensions) are fires of
    /// their own.
    ///
    /// An empty key, and a queue without the capability `unique`, are errors of the fire.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.overrides().idempotency_key = Some(key.into());
        self
    }
}

impl<P: ExtensionPoint> Fire<'_, P> {
    /// Fires.
    ///
    /// # Errors
    ///
    /// As [`Extensions::fire`].
    pub async fn fire(self) -> Result<Fired<P>, FireError> {
        self.extensions.fire_with(self.point, &self.mode, None, Destination::Queue).await
    }

    /// Fires without a runtime.
    ///
    /// # Errors
    ///
    /// As [`Extensions::fire_sync`].
    pub fn fire_sync(self) -> Result<Fired<P>, FireError> {
        self.extensions.fire_sync_with(self.point, self.mode, None)
    }

    /// Fires, and stops after an output that is enough.
    pub(super) async fn fire_until(
        self,
        mut enough: impl FnMut(&P::Output) -> bool + Send,
    ) -> Result<Fired<P>, FireError> {
        self.extensions.fire_with(self.point, &self.mode, Some(&mut enough), Destination::Queue).await
    }

    pub(super) fn fire_until_sync(
        self,
        mut enough: impl FnMut(&P::Output) -> bool + Send,
    ) -> Result<Fired<P>, FireError> {
        self.extensions.fire_sync_with(self.point, self.mode, Some(&mut enough))
    }
}

impl<P: Interruptible> Fire<'_, P> {
    /// Fires and answers whether the guards consent ([`Extensions::allows`]).
    ///
    /// # Errors
    ///
    /// As [`Extensions::allows`].
    pub async fn allows(self) -> Result<bool, FireError> {
        self.fire().await?.into_consent()
    }

    /// Fires without a runtime and answers whether the guards consent.
    ///
    /// # Errors
    ///
    /// As [`Extensions::allows`]; and [`FireErrorKind::Awaited`](super::FireErrorKind::Awaited) for a point with awaited handlers.
    pub fn allows_sync(self) -> Result<bool, FireError> {
        self.fire_sync()?.into_consent()
    }
}

impl Extensions {
    /// Fires a point and answers whether its guards, the inline handlers, consent: nobody vetoed, and none that denies when it is
    /// unavailable failed in graceful mode, was muted or disabled, or has an open circuit. No guards at all means yes. It is a fire
    /// like any other: with consent, async handlers are queued.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire); [`FireErrorKind::Silenced`](super::FireErrorKind::Silenced) where the guards were not asked because of a
    /// silence.
    pub async fn allows<P: Interruptible>(&self, point: P) -> Result<bool, FireError> {
        self.fire(point).await?.into_consent()
    }
}

impl<P: ExtensionPoint, To: std::fmt::Debug> std::fmt::Debug for Fire<'_, P, To> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fire")
            .field("point", &P::info().name)
            .field("mode", &self.mode)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

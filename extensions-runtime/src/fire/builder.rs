//! A fire with options of its own.

use std::any::TypeId;
use std::time::Duration;

use super::{FireError, Fired};
use crate::handler::{AsyncOptions, HandlerInfo};
use crate::instance::Extensions;
use crate::point::ExtensionPoint;

/// A point that is about to be fired, made by [`Extensions::point`].
#[must_use = "nothing is fired until `.fire().await` or `.fire_sync()`"]
pub struct Fire<'a, P: ExtensionPoint> {
    extensions: &'a Extensions,
    point: P,
    mode: Mode,
}

/// What holds for one fire only.
#[derive(Debug, Default)]
pub(crate) struct Mode {
    pub(crate) graceful: bool,
    pub(crate) strict: bool,
    pub(crate) overrides: Option<Box<Overrides>>,
}

/// What a fire changes of its handlers' options, and which handlers it chooses.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) all: AsyncOptions,
    pub(crate) one: Vec<(Which, AsyncOptions)>,
    only: Vec<Which>,
    except: Vec<Which>,
    pub(crate) tenant: Option<String>,
}

/// A handler, by type or by name.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    Type(TypeId),
    Name(String),
}

impl Which {
    pub(crate) fn is(&self, info: &HandlerInfo) -> bool {
        match self {
            Self::Type(id) => info.type_id == Some(*id),
            Self::Name(name) => info.name == name.as_str(),
        }
    }
}

impl Overrides {
    pub(crate) fn chooses(&self, info: &HandlerInfo) -> bool {
        let named = |list: &[Which]| list.iter().any(|which| which.is(info));
        (self.only.is_empty() || named(&self.only)) && !named(&self.except)
    }
}

impl<'a, P: ExtensionPoint> Fire<'a, P> {
    pub(crate) const fn new(extensions: &'a Extensions, point: P, mode: Mode) -> Self {
        Self { extensions, point, mode }
    }

    fn overrides(&mut self) -> &mut Overrides {
        self.mode.overrides.get_or_insert_default()
    }

    fn all(mut self, change: impl FnOnce(AsyncOptions) -> AsyncOptions) -> Self {
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

    /// All jobs of this fire wait this long.
    pub fn delay(self, delay: Duration) -> Self {
        self.all(|options| options.delay(delay))
    }

    /// All jobs of this fire go to this queue.
    pub fn on_queue(self, queue: impl Into<String>) -> Self {
        self.all(|options| options.queue(queue))
    }

    /// The rank in the queue of all jobs of this fire: 0 first, 9 last.
    pub fn priority(self, priority: u8) -> Self {
        self.all(|options| options.priority(priority))
    }

    /// Whether the jobs of this fire are unique.
    pub fn unique(self, unique: bool) -> Self {
        self.all(|options| options.unique(unique))
    }

    /// Adds tags to all jobs of this fire.
    pub fn tags<S: Into<String>>(self, tags: impl IntoIterator<Item = S>) -> Self {
        self.all(|options| options.tags(tags))
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

    /// The tenant that the jobs of this fire, and of those nested in it, carry along.
    pub fn for_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.overrides().tenant = Some(tenant.into());
        self
    }

    /// Fires.
    ///
    /// # Errors
    ///
    /// As [`Extensions::fire`].
    pub async fn fire(self) -> Result<Fired<P>, FireError> {
        self.extensions.fire_with(self.point, &self.mode).await
    }

    /// Fires without a runtime.
    ///
    /// # Errors
    ///
    /// As [`Extensions::fire_sync`].
    pub fn fire_sync(self) -> Result<Fired<P>, FireError> {
        self.extensions.fire_sync_with(self.point, &self.mode)
    }
}

impl<P: ExtensionPoint> std::fmt::Debug for Fire<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fire")
            .field("point", &P::info().name)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

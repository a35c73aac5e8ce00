//! Handlers that come and go while an instance runs.

use std::sync::Arc;

use super::{Extensions, InstanceId, Snapshot};
use crate::handler::{
    AnyHandler, AsyncHandler, AsyncOptions, AwaitedHandler, Context, Handler, HandlerId, HandlerOptions,
    HandlerResult, Stage, Which,
};
use crate::point::{ExtensionPoint, Queued};
use crate::registry::{BuildError, Registrar, Registrations};

/// Handlers that were registered on a running instance. They go when it is dropped, unless they are [kept](Self::keep).
#[derive(Debug)]
#[must_use = "the handlers are gone as soon as this is dropped; call `.keep()` to leave them"]
pub struct Registration {
    instance: InstanceId,
    ids: Vec<HandlerId>,
}

impl Registration {
    /// Leaves the handlers registered as long as the instance lives.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(extensions) = self.instance.get() {
            extensions.remove(&|id, _| self.ids.contains(&id));
        }
    }
}

/// # Registering on a running instance
///
/// A fire sees the handlers as they were when it began. What is registered is checked like at start-up; one thing that is wrong
/// registers nothing. An async handler whose registration is gone leaves its jobs where they are: unroutable, until a worker knows it
/// again.
impl Extensions {
    /// Registers a plain inline handler.
    ///
    /// # Errors
    ///
    /// [`BuildError`] with everything that is wrong: a name that is taken, options that cannot be.
    #[track_caller]
    pub fn register<P: ExtensionPoint, H: Handler<P>>(
        &self,
        handler: H,
        options: HandlerOptions,
    ) -> Result<Registration, BuildError> {
        self.register_many(Registrations::new().register::<P, H>(handler, options))
    }

    /// Registers a closure as a plain inline handler under a name of its own.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    #[track_caller]
    pub fn register_fn<P: ExtensionPoint>(
        &self,
        name: impl Into<String>,
        handler: impl Fn(&mut P, &Context) -> HandlerResult<P::Output> + Send + Sync + 'static,
        options: HandlerOptions,
    ) -> Result<Registration, BuildError> {
        self.register_many(Registrations::new().register_fn::<P>(name, handler, options))
    }

    /// Registers an awaited inline handler.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    #[track_caller]
    pub fn register_awaited<P: ExtensionPoint, H: AwaitedHandler<P>>(
        &self,
        handler: H,
        options: HandlerOptions,
    ) -> Result<Registration, BuildError> {
        self.register_many(Registrations::new().register_awaited::<P, H>(handler, options))
    }

    /// Registers a stage of the point's pipeline ([`Registrations::register_stage`]).
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    #[track_caller]
    pub fn register_stage<P: ExtensionPoint, S: Stage<P>>(
        &self,
        stage: S,
        options: HandlerOptions,
    ) -> Result<Registration, BuildError> {
        self.register_many(Registrations::new().register_stage::<P, S>(stage, options))
    }

    /// Registers an async handler. The workers of this instance take up its jobs with their next claim.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register); also where the instance has no queue.
    #[track_caller]
    pub fn register_async<P: Queued, H: AsyncHandler<P>>(
        &self,
        handler: H,
        options: AsyncOptions,
    ) -> Result<Registration, BuildError> {
        self.register_many(Registrations::new().register_async::<P, H>(handler, options))
    }

    /// Registers a handler of every point whose name matches a pattern ([`Registrations::on_any`]).
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    #[track_caller]
    pub fn on_any<H: AnyHandler>(
        &self,
        pattern: impl Into<String>,
        handler: H,
    ) -> Result<Registration, BuildError> {
        self.register_many(Registrations::new().on_any(pattern, handler))
    }

    /// Registers a handler of every point whose name matches a pattern, with options ([`Registrations::on_any_with`]).
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    #[track_caller]
    pub fn on_any_with<H: AnyHandler>(
        &self,
        pattern: impl Into<String>,
        handler: H,
        options: HandlerOptions,
    ) -> Result<Registration, BuildError> {
        self.register_many(Registrations::new().on_any_with(pattern, handler, options))
    }

    /// Registers all handlers of a list, in one step.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register); then none of them is registered.
    pub fn register_many(&self, registrations: Registrations) -> Result<Registration, BuildError> {
        let ids = self.change(|snapshot| self.add(snapshot, &registrations));
        // Behind the lock: what was refused is dropped with it, and its own drop may want to change something.
        drop(registrations);
        Ok(Registration { instance: self.id(), ids: ids? })
    }

    fn add(
        &self,
        snapshot: &mut Snapshot,
        registrations: &Registrations,
    ) -> Result<Vec<HandlerId>, BuildError> {
        let mut registrar = Registrar::onto(self.premises(), &snapshot.registry);
        registrations.apply(&mut registrar);
        let registry = registrar.finish().map_err(BuildError::while_running)?;
        if self.queue().is_none()
            && let Some(problem) = registry.needs_queue()
        {
            return Err(BuildError::while_running(vec![problem]));
        }
        let ids = registry.new_since(&snapshot.registry);
        snapshot.registry = Arc::new(registry);
        Ok(ids)
    }

    /// Unregisters the handler of type `H` from the point `P`, whenever it was registered. Answers whether it was there.
    pub fn unregister<P: ExtensionPoint, H: 'static>(&self) -> bool {
        self.unregister_which::<P>(&Which::of::<H>())
    }

    /// Unregisters the handler of this name from the point `P`. Answers whether it was there.
    pub fn unregister_named<P: ExtensionPoint>(&self, handler: &str) -> bool {
        self.unregister_which::<P>(&Which::Name(handler.to_owned()))
    }

    /// Unregisters every handler of the point `P`. Answers how many there were.
    pub fn unregister_all<P: ExtensionPoint>(&self) -> usize {
        let ids: Vec<_> = self.handlers_of::<P>().iter().map(|info| info.id).collect();
        self.remove(&|id, point| std::ptr::eq(point, P::info()) && ids.contains(&id));
        ids.len()
    }

    fn unregister_which<P: ExtensionPoint>(&self, which: &Which) -> bool {
        let Some(found) = self.handlers_of::<P>().into_iter().find(|info| which.is(info)) else {
            return false;
        };
        self.remove(&|id, point| std::ptr::eq(point, P::info()) && id == found.id);
        true
    }

    fn remove(&self, gone: &dyn Fn(HandlerId, &crate::point::PointInfo) -> bool) {
        let removed = self.change(|snapshot| {
            if let Some(registry) = snapshot.registry.without(gone, &self.premises().renames) {
                snapshot.registry = Arc::new(registry);
            }
            Ok::<_, std::convert::Infallible>(())
        });
        match removed {
            Ok(()) => {}
        }
    }
}

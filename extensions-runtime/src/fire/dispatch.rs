//! The ways to fire a point.

use std::slice;
use std::sync::Arc;
use std::time::Instant;

use tracing::Instrument;

use super::builder::Mode;
use super::destination::Destination;
use super::jobs::Prepared;
use super::run::{Enough, Run, Stopped};
use super::{FireError, FireErrorKind, FireReport, Fired};
use crate::handler::Context;
use crate::instance::Extensions;
use crate::job::{DerivedIds, NewJob};
use crate::point::{ExtensionPoint, QueuedPoint};
use crate::registry::{InlineEntry, PointTable, Registry};
use crate::scope::Frame;
use crate::task;
use crate::telemetry::names;

impl Extensions {
    /// Fires a point: runs its inline handlers by priority, then queues its async ones in one push.
    ///
    /// # Errors
    ///
    /// The first error of an inline handler (nothing is queued then), or what keeps the jobs from being queued. A veto is no error.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its push began, it has queued nothing; after that, all its jobs or none.
    pub async fn fire<P: ExtensionPoint>(&self, point: P) -> Result<Fired<P>, FireError> {
        match self.quiet_table::<P>() {
            Some(table) if table.plain => match self.fire_plain(table, point) {
                Ok(fired) => Ok(fired),
                Err(rest) => Box::pin(self.finish_quiet(table, rest)).await,
            },
            Some(table) => self.fire_awaited(table, point).await,
            None if self.has_nothing_for::<P>(self.default_mode()) => Ok(Fired::new(point, None)),
            None => Box::pin(self.fire_with(point, self.default_mode(), None, Destination::Queue)).await,
        }
    }

    /// Fires a point from code without a runtime, and waits until its jobs are queued.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire); and [`FireErrorKind::Awaited`] for a point with awaited handlers.
    pub fn fire_sync<P: ExtensionPoint>(&self, point: P) -> Result<Fired<P>, FireError> {
        let Some(table) = self.quiet_table::<P>().filter(|table| table.plain) else {
            return self.fire_sync_with(point, self.default_mode().fresh(), None);
        };
        self.fire_plain(table, point).or_else(|rest| self.finish_quiet_sync(table, rest))
    }

    /// A point's handlers, if nothing but calling them is to be done.
    #[inline]
    fn quiet_table<P: ExtensionPoint>(&self) -> Option<&PointTable<P>> {
        if !self.is_quiet() {
            return None;
        }
        self.base().any_table::<P>().filter(|table| table.is_quiet())
    }

    /// Calls a point's plain handlers; an error is the rest where that is not all there is to do.
    #[inline(always)]
    fn fire_plain<P: ExtensionPoint>(
        &self,
        table: &PointTable<P>,
        mut point: P,
    ) -> Result<Fired<P>, Box<Rest<P>>> {
        let cx = Context::new(self.id(), P::info());
        let stopped = table.call_all(&mut point, &cx);
        if stopped.is_none() && table.queued.is_empty() && cx.is_untouched() {
            cx.dispose();
            return Ok(Fired::new(point, None));
        }
        Err(Rest::new(point, cx, stopped))
    }

    async fn fire_awaited<P: ExtensionPoint>(
        &self,
        table: &PointTable<P>,
        mut point: P,
    ) -> Result<Fired<P>, FireError> {
        let cx = Context::new(self.id(), P::info());
        let stopped = table.await_all(&mut point, &cx, self.slow_threshold()).await;
        if stopped.is_none() && table.queued.is_empty() && cx.is_untouched() {
            return Ok(Fired::new(point, None));
        }
        Box::pin(self.finish_quiet(table, Rest::new(point, cx, stopped))).await
    }

    #[inline(never)]
    fn finish_quiet_sync<P: ExtensionPoint>(
        &self,
        table: &PointTable<P>,
        rest: Box<Rest<P>>,
    ) -> Result<Fired<P>, FireError> {
        task::block_on(self.finish_quiet(table, rest))
    }

    async fn finish_quiet<P: ExtensionPoint>(
        &self,
        table: &PointTable<P>,
        rest: Box<Rest<P>>,
    ) -> Result<Fired<P>, FireError> {
        let Rest { mut point, cx, stopped } = *rest;
        let run = Run::after_quiet(self, table, &cx, stopped, &mut point).await;
        let mut jobs = Vec::new();
        let fired = match run.finish(point, &mut jobs) {
            Ok(prepared) => prepared.push(self, jobs, Destination::Queue).await.map(Prepared::into_fired),
            Err(error) => Err(error),
        };
        self.count(slice::from_ref(&fired));
        fired
    }

    /// Fires a queued point whose type is not known here.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire).
    ///
    /// # Cancel safety
    ///
    /// As [`fire`](Self::fire).
    pub async fn fire_boxed(&self, point: Box<dyn QueuedPoint>) -> Result<FireReport, FireError> {
        point.__fire_boxed(self).await
    }

    /// Fires a point with all that there may be: layers, a tenant, observers, scopes, conditions.
    pub(super) async fn fire_with<P: ExtensionPoint>(
        &self,
        point: P,
        mode: &Mode,
        enough: Enough<'_, P>,
        to: Destination<'_>,
    ) -> Result<Fired<P>, FireError> {
        if self.has_nothing_for::<P>(mode) {
            return Ok(Fired::new(point, None));
        }
        let fire = self.layered(point, |point| self.fire_observed(point, mode, enough, to));
        match mode.tenant() {
            None => Box::pin(fire).await,
            Some(tenant) => self.tenant(tenant).run(Box::pin(fire)).await,
        }
    }

    #[inline(never)]
    pub(super) fn fire_sync_with<P: ExtensionPoint>(
        &self,
        point: P,
        mode: Mode,
        enough: Enough<'_, P>,
    ) -> Result<Fired<P>, FireError> {
        if self.has_nothing_for::<P>(&mode) {
            return Ok(Fired::new(point, None));
        }
        let mode = Mode { sync: true, ..mode };
        task::block_on(self.fire_with(point, &mode, enough, Destination::Queue))
    }

    /// Whether a point has no handlers, and nobody asks whether it has.
    fn has_nothing_for<P: ExtensionPoint>(&self, mode: &Mode) -> bool {
        !mode.strict && mode.overrides.is_none() && self.is_quiet() && self.base().table::<P>().is_none()
    }

    async fn fire_observed<P: ExtensionPoint>(
        &self,
        point: P,
        mode: &Mode,
        enough: Enough<'_, P>,
        to: Destination<'_>,
    ) -> Result<Fired<P>, FireError> {
        let span = tracing::debug_span!(names::SPAN_FIRE, point = P::info().name);
        let fired = async {
            let mut jobs = Vec::new();
            let prepared = self.prepare(point, mode, Start::Outermost(to), enough, &mut jobs).await?;
            prepared.push(self, jobs, to).await.map(Prepared::into_fired)
        };
        let fired = fired.instrument(span).await;
        if mode.unobserved {
            self.record(&fired)
        } else {
            self.observe(&fired)
        }
        fired
    }

    pub(crate) async fn fire_nested<P: ExtensionPoint>(
        &self,
        point: P,
        outer: &Context,
        mode: &Mode,
    ) -> Result<Fired<P>, FireError> {
        let span = tracing::debug_span!(names::SPAN_FIRE, point = P::info().name, depth = outer.depth() + 1);
        let mut jobs = Vec::new();
        let prepared = self.prepare(point, mode, Start::Nested(outer), None, &mut jobs);
        let prepared = prepared.instrument(span).await;
        let fired = prepared.map(|prepared| prepared.keep_for(outer, jobs));
        self.observe(&fired);
        fired
    }

    pub(crate) fn fire_sync_nested<P: ExtensionPoint>(
        &self,
        point: P,
        outer: &Context,
    ) -> Result<Fired<P>, FireError> {
        let mode = Mode { sync: true, ..self.default_mode().fresh() };
        task::block_on(self.fire_nested(point, outer, &mode))
    }

    /// Runs a point's inline handlers and adds its jobs to `jobs`.
    pub(super) async fn prepare<P: ExtensionPoint>(
        &self,
        mut point: P,
        mode: &Mode,
        start: Start<'_>,
        mut enough: Enough<'_, P>,
        jobs: &mut Vec<NewJob>,
    ) -> Result<Prepared<P>, FireError> {
        let started = self.profiling().then(Instant::now);
        let view = self.view();
        let frame = Frame::of(self.id());
        let scoped = scoped::<P>(self, frame.as_deref());
        let begun = match start {
            Start::Outermost(to) => self.begin::<P>(mode, to, frame),
            Start::Nested(outer) => self.descend::<P>(outer, frame),
        };
        let cx = match begun {
            Ok(cx) => cx,
            Err(error) => return Err(error.with_point(point)),
        };
        let empty;
        let table = match view.registry().table::<P>() {
            Some(table) => table,
            None => {
                empty = PointTable::empty();
                &empty
            }
        };
        let inline = merged(table, &scoped);
        let is_piped = enough.as_deref_mut().is_some_and(|drive| drive.pipeline().is_some());
        let is_idle = |entry: &&InlineEntry<P>| entry.is_stage() && !is_piped;
        if mode.strict && table.queued.is_empty() && inline.iter().all(is_idle) {
            return Err(FireError::new(FireErrorKind::NoHandlers, P::info().name).with_point(point));
        }
        if mode.sync && inline.iter().any(|entry| entry.is_awaited()) {
            let handlers = inline.iter().filter(|entry| entry.is_awaited());
            let handlers = handlers.map(|entry| entry.at.info.name.to_string()).collect();
            let kind = FireErrorKind::Awaited { handlers };
            return Err(FireError::new(kind, P::info().name).with_point(point));
        }
        let mut run = Run::new(self, table, view.switches(), mode, &cx, enough);
        match run.silence() {
            Some(silence) => run.skip_all(&inline, silence),
            None => run.all(&inline, &mut point).await,
        }
        Ok(run.finish(point, jobs)?.since(started))
    }

    /// The context of an outermost fire.
    fn begin<P: ExtensionPoint>(
        &self,
        mode: &Mode,
        to: Destination<'_>,
        frame: Option<Arc<Frame>>,
    ) -> Result<Context, FireError> {
        let mut cx = Context::within(self.id(), P::info(), frame);
        if let Some(job) = to.job() {
            cx = cx.of_job(job.parent()).with_ids(job.ids());
        }
        let Some(key) = mode.idempotency_key() else { return Ok(cx) };
        self.check_key(key)
            .map_err(|wrong| FireError::new(FireErrorKind::Option(wrong.to_owned()), P::info().name))?;
        let ids = DerivedIds::of_key(cx.tenant(), key, self.settings().idempotency_window);
        Ok(cx.with_ids(Arc::new(ids)))
    }

    fn check_key(&self, key: &str) -> Result<(), &'static str> {
        if key.is_empty() {
            return Err(
                "the idempotency key is empty; it names what the fire is about, such as the id of a request",
            );
        }
        if self.premises().capabilities.is_some_and(|queue| !queue.unique) {
            return Err("the queue keeps no idempotency keys: it lacks the capability `unique`");
        }
        Ok(())
    }

    fn descend<P: ExtensionPoint>(
        &self,
        outer: &Context,
        frame: Option<Arc<Frame>>,
    ) -> Result<Context, FireError> {
        let cx = outer.nested(P::info(), frame);
        let limit = self.max_depth();
        if cx.depth() > limit {
            let kind = FireErrorKind::TooDeep { limit, chain: cx.chain() };
            return Err(FireError::new(kind, P::info().name));
        }
        Ok(cx)
    }
}

/// How a fire begins.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    /// By itself; its jobs go there.
    Outermost(Destination<'a>),
    /// Within a handler of another one.
    Nested(&'a Context),
}

/// A fire that began quietly and has more to do than to call its handlers.
struct Rest<P: ExtensionPoint> {
    point: P,
    cx: Context,
    stopped: Option<Stopped<P>>,
}

impl<P: ExtensionPoint> Rest<P> {
    #[cold]
    fn new(point: P, cx: Context, stopped: Option<Stopped<P>>) -> Box<Self> {
        Box::new(Self { point, cx, stopped })
    }
}

/// The handlers that the current task's scopes bring.
pub(super) fn scoped<P: ExtensionPoint>(
    extensions: &Extensions,
    frame: Option<&Frame>,
) -> Vec<Arc<Registry>> {
    let registries = frame.map(|frame| frame.registries(extensions.id())).unwrap_or_default();
    registries.into_iter().filter(|registry| registry.has_handlers::<P>()).collect()
}

/// A point's inline handlers and those of scopes, in one order.
fn merged<'a, P: ExtensionPoint>(
    table: &'a PointTable<P>,
    scoped: &'a [Arc<Registry>],
) -> Vec<&'a InlineEntry<P>> {
    let of_scopes = scoped.iter().filter_map(|registry| registry.table::<P>());
    let tables = [table].into_iter().chain(of_scopes);
    let mut all: Vec<_> = tables.flat_map(|table| &table.inline).collect();
    if !scoped.is_empty() {
        all.sort_by(|a, b| a.at.info.place().cmp(&b.at.info.place()));
    }
    all
}

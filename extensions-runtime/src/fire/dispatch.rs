//! The dispatcher: one loop over a point's inline handlers, plain and awaited.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tracing::Instrument;

use super::builder::Mode;
use super::jobs::Prepared;
use super::report::SkipReason;
use super::tally::{Tally, is_unit};
use super::{FireError, FireErrorKind, FireReport, Fired};
use crate::handler::{Context, HandlerError, HandlerResult};
use crate::instance::Extensions;
use crate::point::{ExtensionPoint, QueuedPoint};
use crate::registry::{InlineCall, InlineEntry, PointTable};
use crate::task;

/// A fire while its inline handlers run.
pub(super) struct Run<'a, P: ExtensionPoint> {
    extensions: &'a Extensions,
    table: &'a PointTable<P>,
    mode: &'a Mode,
    cx: &'a Context,
    tally: Option<Box<Tally<P>>>,
    traced: bool,
    profiled: bool,
    /// Whether a handler's call is all there is to do: nothing traced, timed or left out.
    quiet: bool,
}

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
        self.fire_with(point, self.default_mode()).await
    }

    /// Fires a point from code without a runtime, and waits until its jobs are queued.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire); and [`FireErrorKind::Awaited`] for a point with awaited handlers.
    pub fn fire_sync<P: ExtensionPoint>(&self, point: P) -> Result<Fired<P>, FireError> {
        self.fire_sync_with(point, self.default_mode())
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

    pub(crate) async fn fire_with<P: ExtensionPoint>(
        &self,
        point: P,
        mode: &Mode,
    ) -> Result<Fired<P>, FireError> {
        if tracing::level_enabled!(tracing::Level::DEBUG) {
            let span = tracing::debug_span!("fire", point = P::info().name);
            return self.fire_untraced(point, mode).instrument(span).await;
        }
        self.fire_untraced(point, mode).await
    }

    async fn fire_untraced<P: ExtensionPoint>(
        &self,
        mut point: P,
        mode: &Mode,
    ) -> Result<Fired<P>, FireError> {
        let started = self.profiling().then(Instant::now);
        let Some(table) = self.registry().table::<P>() else { return unhandled(point, mode) };
        let cx = self.context::<P>(mode);
        let mut run = Run::new(self, table, mode, &cx);
        if table.all_plain {
            run.plain(&mut point)
        } else {
            run.awaited(&mut point).await
        }
        let mut prepared = run.prepare(point)?;
        if prepared.has_jobs() {
            prepared = prepared.push(self).await?;
        }
        Ok(prepared.into_fired(started.map(|at| at.elapsed())))
    }

    pub(crate) fn fire_sync_with<P: ExtensionPoint>(
        &self,
        point: P,
        mode: &Mode,
    ) -> Result<Fired<P>, FireError> {
        if tracing::level_enabled!(tracing::Level::DEBUG) {
            return tracing::debug_span!("fire", point = P::info().name)
                .in_scope(|| self.fire_sync_untraced(point, mode));
        }
        self.fire_sync_untraced(point, mode)
    }

    fn fire_sync_untraced<P: ExtensionPoint>(
        &self,
        mut point: P,
        mode: &Mode,
    ) -> Result<Fired<P>, FireError> {
        let started = self.profiling().then(Instant::now);
        let Some(table) = self.registry().table::<P>() else { return unhandled(point, mode) };
        let cx = self.context::<P>(mode);
        let mut run = Run::new(self, table, mode, &cx);
        if !table.all_plain {
            return Err(refused(point, table));
        }
        run.plain(&mut point);
        let mut prepared = run.prepare(point)?;
        if prepared.has_jobs() {
            prepared = task::block_on(prepared.push(self))?;
        }
        Ok(prepared.into_fired(started.map(|at| at.elapsed())))
    }

    pub(crate) async fn fire_nested<P: ExtensionPoint>(
        &self,
        mut point: P,
        outer: &Context,
    ) -> Result<Fired<P>, FireError> {
        let cx = self.descend::<P>(outer)?;
        let mode = self.default_mode();
        let Some(table) = self.registry().table::<P>() else { return unhandled(point, mode) };
        let mut run = Run::new(self, table, mode, &cx);
        let span = tracing::debug_span!("fire", point = P::info().name, depth = cx.depth());
        run.awaited(&mut point).instrument(span).await;
        Ok(run.prepare(point)?.keep_for(outer))
    }

    pub(crate) fn fire_sync_nested<P: ExtensionPoint>(
        &self,
        mut point: P,
        outer: &Context,
    ) -> Result<Fired<P>, FireError> {
        let cx = self.descend::<P>(outer)?;
        let mode = self.default_mode();
        let Some(table) = self.registry().table::<P>() else { return unhandled(point, mode) };
        let mut run = Run::new(self, table, mode, &cx);
        if !table.all_plain {
            return Err(refused(point, table));
        }
        let span = tracing::debug_span!("fire", point = P::info().name, depth = cx.depth());
        span.in_scope(|| run.plain(&mut point));
        Ok(run.prepare(point)?.keep_for(outer))
    }

    #[inline]
    fn context<P: ExtensionPoint>(&self, mode: &Mode) -> Context {
        match mode.overrides.as_ref().and_then(|overrides| overrides.tenant.as_deref()) {
            None => Context::new(self.id(), P::info().name),
            Some(tenant) => Context::for_tenant(self.id(), P::info().name, tenant),
        }
    }

    fn descend<P: ExtensionPoint>(&self, outer: &Context) -> Result<Context, FireError> {
        let cx = outer.nested(P::info().name);
        let limit = self.max_depth();
        if cx.depth() > limit {
            let kind = FireErrorKind::TooDeep { limit, chain: cx.chain() };
            return Err(FireError::new(kind, P::info().name));
        }
        Ok(cx)
    }
}

fn unhandled<P: ExtensionPoint>(point: P, mode: &Mode) -> Result<Fired<P>, FireError> {
    if mode.strict {
        return Err(FireError::new(FireErrorKind::NoHandlers, P::info().name).with_point(point));
    }
    Ok(Fired::new(point, None))
}

fn refused<P: ExtensionPoint>(point: P, table: &PointTable<P>) -> FireError {
    let kind = FireErrorKind::Awaited { handlers: table.awaited_names() };
    FireError::new(kind, P::info().name).with_point(point)
}

impl<'a, P: ExtensionPoint> Run<'a, P> {
    pub(super) fn new(
        extensions: &'a Extensions,
        table: &'a PointTable<P>,
        mode: &'a Mode,
        cx: &'a Context,
    ) -> Self {
        let traced = tracing::level_enabled!(tracing::Level::DEBUG);
        let profiled = extensions.profiling();
        let quiet = !traced && !profiled && mode.overrides.is_none();
        Self { extensions, table, mode, cx, tally: None, traced, profiled, quiet }
    }

    /// Runs the inline handlers, none of which is awaited.
    pub(super) fn plain(&mut self, point: &mut P) {
        for entry in &self.table.inline {
            let InlineCall::Plain(handler) = &entry.call else { continue };
            if self.quiet {
                match catch_unwind(AssertUnwindSafe(|| handler.call(point, self.cx))) {
                    Ok(Ok(_)) if is_unit::<P::Output>() => continue,
                    result => {
                        if self.note(entry, (flat(result), None)).is_break() {
                            return;
                        }
                        continue;
                    }
                }
            }
            if self.is_left_out(entry) {
                continue;
            }
            let result = self.call(entry, || handler.call(point, self.cx));
            if self.note(entry, result).is_break() {
                return;
            }
        }
    }

    /// Runs the inline handlers, some of which are awaited.
    pub(super) async fn awaited(&mut self, point: &mut P) {
        for entry in &self.table.inline {
            if self.is_left_out(entry) {
                continue;
            }
            let (result, took) = match &entry.call {
                InlineCall::Plain(handler) => self.call(entry, || handler.call(point, self.cx)),
                InlineCall::Awaited(handler) => {
                    let span = self.traced.then(|| tracing::debug_span!("handler", name = &*entry.info.name));
                    let started = Instant::now();
                    let future = task::catching(async { handler.call(point, self.cx).await });
                    let result = future.instrument(span.unwrap_or_else(tracing::Span::none)).await;
                    (flat(result), Some(started.elapsed()))
                }
            };
            if self.note(entry, (result, took)).is_break() {
                return;
            }
        }
    }

    fn is_left_out(&mut self, entry: &InlineEntry<P>) -> bool {
        let Some(overrides) = &self.mode.overrides else { return false };
        if overrides.chooses(&entry.info) {
            return false;
        }
        Tally::skip(&mut self.tally, &entry.info, SkipReason::NotChosen);
        true
    }

    #[inline]
    fn call(
        &self,
        entry: &InlineEntry<P>,
        handler: impl FnOnce() -> HandlerResult<P::Output>,
    ) -> (HandlerResult<P::Output>, Option<Duration>) {
        if self.traced || self.profiled {
            let span = tracing::debug_span!("handler", name = &*entry.info.name);
            let started = Instant::now();
            let result = span.in_scope(|| flat(catch_unwind(AssertUnwindSafe(handler))));
            return (result, self.profiled.then(|| started.elapsed()));
        }
        (flat(catch_unwind(AssertUnwindSafe(handler))), None)
    }

    #[inline(never)]
    fn note(
        &mut self,
        entry: &InlineEntry<P>,
        (result, took): (HandlerResult<P::Output>, Option<Duration>),
    ) -> ControlFlow<()> {
        if let Some(took) = took {
            self.note_time(entry, took);
        }
        Tally::absorb(&mut self.tally, &entry.info, result, self.mode.graceful)
    }

    #[cold]
    fn note_time(&mut self, entry: &InlineEntry<P>, took: Duration) {
        if self.profiled {
            Tally::time(&mut self.tally, &entry.info, took);
        }
        if took >= self.extensions.slow_threshold() {
            tracing::warn!(
                point = &*self.table.name,
                handler = &*entry.info.name,
                took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                "slow inline handler: it keeps the caller of `fire` waiting and could be queued with `#[async_handler]`"
            );
        }
    }

    /// Turns what the inline handlers did into an error, or into a report with the jobs to push.
    #[inline]
    pub(super) fn prepare(self, point: P) -> Result<Prepared<P>, FireError> {
        if self.tally.is_none() && self.table.queued.is_empty() && !self.cx.has_kept() {
            return Ok(Prepared::nothing(point));
        }
        self.prepare_jobs(point)
    }

    #[inline(never)]
    fn prepare_jobs(self, point: P) -> Result<Prepared<P>, FireError> {
        let failed = self.tally.as_ref().is_some_and(|tally| !tally.report.errors.is_empty());
        if failed && !self.mode.graceful {
            let report = self.tally.map(|tally| tally.report).unwrap_or_default();
            let error = FireError::new(FireErrorKind::HandlerFailed, P::info().name);
            return Err(error.with_report(report).with_point(point));
        }
        Prepared::new(self.table, self.mode, self.cx, point, self.tally)
    }
}

#[inline]
fn flat<T>(result: std::thread::Result<HandlerResult<T>>) -> HandlerResult<T> {
    result.unwrap_or_else(|payload| Err(HandlerError::panicked(&*payload)))
}

//! One fire's way through its inline handlers.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::builder::Mode;
use super::call::{Called, call, millis, settle};
use super::gate::{Gate, Held};
use super::jobs::Prepared;
use super::pipeline::Piping;
use super::report::SkipReason;
use super::tally::{Tally, is_unit};
use super::{FireError, FireErrorKind};
use crate::handler::{Context, HandlerError, HandlerInfo, HandlerResult};
use crate::instance::{Extensions, Silence, Switches};
use crate::job::NewJob;
use crate::point::{AnyPoint, ExtensionPoint};
use crate::registry::{Attached, InlineCall, InlineEntry, PointTable};
use crate::task;
use crate::telemetry::names::{self, event};
use crate::telemetry::record;
use crate::time::coarse;

/// What drives a fire through its inline handlers, where it is not to run them all one after the other.
pub(super) trait Drive<P: ExtensionPoint>: Send {
    /// Asked after each output whether the fire has enough.
    fn is_enough(&mut self, output: &P::Output) -> bool;

    /// Set where they run as the stages of a pipeline.
    fn pipeline(&mut self) -> Option<&mut Piping<P>> {
        None
    }
}

impl<P: ExtensionPoint, F: FnMut(&P::Output) -> bool + Send> Drive<P> for F {
    fn is_enough(&mut self, output: &P::Output) -> bool {
        self(output)
    }
}

pub(super) type Enough<'a, P> = Option<&'a mut (dyn Drive<P> + 'a)>;

/// A handler that did not simply succeed, by its place, and what it gave.
pub(super) type Stopped<P> = (usize, HandlerResult<<P as ExtensionPoint>::Output>);

impl<P: ExtensionPoint> PointTable<P> {
    /// Calls the inline handlers, all of them plain ones, until one gives something to note.
    #[inline(always)]
    pub(super) fn call_all(&self, point: &mut P, cx: &Context) -> Option<Stopped<P>> {
        let mut at = 0;
        let ended = catch_unwind(AssertUnwindSafe(|| {
            for entry in &self.inline {
                if let InlineCall::Plain(handler) = &entry.call {
                    match handler.call(point, cx) {
                        Ok(_) if is_unit::<P::Output>() => {}
                        result => return Some(result),
                    }
                }
                at += 1;
            }
            None
        }));
        match ended {
            Ok(None) => None,
            Ok(Some(result)) => Some((at, result)),
            Err(panic) => Some((at, Err(HandlerError::panicked(panic)))),
        }
    }
}

impl<P: ExtensionPoint> PointTable<P> {
    /// Calls the inline handlers, some of them awaited ones, until one gives something to note.
    pub(super) async fn await_all(&self, point: &mut P, cx: &Context, slow: Duration) -> Option<Stopped<P>> {
        for (at, entry) in self.inline.iter().enumerate() {
            let ended = match &entry.call {
                InlineCall::Plain(handler) => catch_unwind(AssertUnwindSafe(|| handler.call(point, cx))),
                InlineCall::Awaited(handler) => {
                    let mut since = None;
                    let ended =
                        task::catching_from(|| handler.call(point, cx), || since = Some(coarse())).await;
                    let took = since.map_or(Duration::ZERO, |since| coarse().saturating_sub(since));
                    if took >= slow {
                        warn_of_slow(&self.name, &entry.at.info, took);
                    }
                    ended
                }
                InlineCall::Wildcard(_) | InlineCall::Stage(_) => continue,
            };
            match ended {
                Ok(Ok(_)) if is_unit::<P::Output>() => {}
                Ok(result) => return Some((at, result)),
                Err(panic) => return Some((at, Err(HandlerError::panicked(panic)))),
            }
        }
        None
    }
}

/// A fire while its inline handlers run.
pub(super) struct Run<'a, 'e, P: ExtensionPoint> {
    pub(super) table: &'a PointTable<P>,
    pub(super) gate: Gate<'a>,
    pub(super) tally: Option<Box<Tally<P>>>,
    enough: Enough<'e, P>,
    traced: bool,
    pub(super) profiled: bool,
}

impl<'a, 'e, P: ExtensionPoint> Run<'a, 'e, P> {
    pub(super) fn new(
        extensions: &'a Extensions,
        table: &'a PointTable<P>,
        switches: Option<&'a Switches>,
        mode: &'a Mode,
        cx: &'a Context,
        enough: Enough<'e, P>,
    ) -> Self {
        let gate = Gate { extensions, switches, mode, cx };
        let traced = tracing::level_enabled!(tracing::Level::DEBUG);
        Self { table, gate, tally: None, enough, traced, profiled: extensions.profiling() }
    }

    /// Goes on where a handler gave something to note.
    pub(super) async fn after_quiet(
        extensions: &'a Extensions,
        table: &'a PointTable<P>,
        cx: &'a Context,
        stopped: Option<Stopped<P>>,
        point: &mut P,
    ) -> Self {
        let mut run = Self::new(extensions, table, None, extensions.default_mode(), cx, None);
        let Some((at, result)) = stopped else { return run };
        let entry = &table.inline[at];
        if let (Err(_), Some(breaker)) = (&result, &entry.at.breaker) {
            settle(breaker.admit().ok(), &result);
        }
        if run.note(&entry.at, result.map(Some)).is_continue() {
            let rest: Vec<_> = table.inline[at + 1..].iter().collect();
            run.all(&rest, point).await;
        }
        run
    }

    pub(super) fn silence(&self) -> Option<Silence> {
        self.gate.silence(Some(P::info()))
    }

    pub(super) fn skip_all(&mut self, inline: &[&InlineEntry<P>], silence: Silence) {
        Tally::ensure(&mut self.tally).report.silenced = Some(silence);
        for entry in inline {
            Tally::skip(&mut self.tally, &entry.at.info, SkipReason::Silenced);
        }
        for entry in &self.table.queued {
            Tally::skip(&mut self.tally, &entry.at.info, SkipReason::Silenced);
        }
    }

    /// Runs the inline handlers.
    pub(super) async fn all(&mut self, inline: &[&InlineEntry<P>], point: &mut P) {
        let mut drive = self.enough.take();
        if let Some(piping) = drive.as_mut().and_then(|drive| drive.pipeline()) {
            return self.piped(inline, point, piping).await;
        }
        self.enough = drive;
        for (i, entry) in inline.iter().enumerate() {
            if matches!(entry.call, InlineCall::Stage(_)) {
                Tally::skip(&mut self.tally, &entry.at.info, SkipReason::Stage);
                continue;
            }
            let pass = match self.gate.admit(&entry.at, point) {
                Ok(pass) => pass,
                Err(held) => {
                    if self.held(&entry.at, held).is_break() {
                        return;
                    }
                    continue;
                }
            };
            let result = self.one(entry, point).await;
            settle(pass, &result);
            let before = self.outputs();
            if self.note(&entry.at, result).is_break() {
                return;
            }
            if self.outputs() > before && self.has_enough() {
                for left in &inline[i + 1..] {
                    Tally::skip(&mut self.tally, &left.at.info, SkipReason::StoppedEarly);
                }
                return;
            }
        }
    }

    async fn one(&mut self, entry: &InlineEntry<P>, point: &mut P) -> HandlerResult<Option<P::Output>> {
        let timed = self.profiled || matches!(entry.call, InlineCall::Awaited(_));
        let span = if self.traced {
            tracing::debug_span!(names::SPAN_HANDLER, name = &*entry.at.info.name)
        } else {
            tracing::Span::none()
        };
        let called = call_inline(&entry.call, &self.table.name, point, self.gate.cx);
        let Called { result, took } = call(span, timed, called).await;
        if let Some(took) = took {
            self.note_time(&entry.at, took);
        }
        result
    }

    /// Notes that a handler does not run.
    fn held(&mut self, at: &Attached<P>, held: Held) -> ControlFlow<()> {
        let reason = match held {
            Held::Failed(error) => return self.note(at, Err(error)),
            Held::Skipped(reason) => reason,
        };
        Tally::skip(&mut self.tally, &at.info, reason);
        if P::info().interruptible && reason.is_unavailable() && at.info.denies_when_unavailable() {
            Tally::deny(&mut self.tally, &at.info, format!("it could not be asked: {reason}"));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Notes what a handler gave; breaks where the fire ends with it.
    fn note(&mut self, at: &Attached<P>, result: HandlerResult<Option<P::Output>>) -> ControlFlow<()> {
        match result {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(_)) if is_unit::<P::Output>() => ControlFlow::Continue(()),
            Ok(Some(output)) => Tally::output(&mut self.tally, &at.info, output),
            Err(error) => {
                Tally::fail(&mut self.tally, &at.info, error);
                if self.gate.mode.graceful { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }
        }
    }

    fn outputs(&self) -> usize {
        self.tally.as_ref().map_or(0, |tally| tally.outputs.len())
    }

    /// Whether the last output is enough.
    fn has_enough(&mut self) -> bool {
        let Some(enough) = &mut self.enough else { return false };
        let last = self.tally.as_ref().and_then(|tally| tally.outputs.last());
        last.is_some_and(|(_, output)| enough.is_enough(output))
    }

    #[cold]
    fn note_time(&mut self, at: &Attached<P>, took: Duration) {
        if self.profiled {
            Tally::time(&mut self.tally, &at.info, took);
            record::handled(&self.table.name, &at.info.name, took);
        }
        if took >= self.gate.extensions.slow_threshold() {
            warn_of_slow(&self.table.name, &at.info, took);
        }
    }

    /// Turns what the inline handlers did into an error, or into a report, with the jobs to push added to `jobs`.
    pub(super) fn finish(self, point: P, jobs: &mut Vec<NewJob>) -> Result<Prepared<P>, FireError> {
        let failed = self.tally.as_ref().is_some_and(|tally| !tally.report.errors.is_empty());
        if failed && !self.gate.mode.graceful {
            let report = self.tally.map(|tally| tally.report).unwrap_or_default();
            let error = FireError::new(FireErrorKind::HandlerFailed, P::info().name);
            return Err(error.with_report(report).with_point(point));
        }
        Prepared::new(self.table, self.gate, point, self.tally, jobs)
    }
}

/// Calls an inline handler. A stage is none: only a pipeline calls it.
pub(super) async fn call_inline<P: ExtensionPoint>(
    call: &InlineCall<P>,
    name: &str,
    point: &mut P,
    cx: &Context,
) -> HandlerResult<Option<P::Output>> {
    match call {
        InlineCall::Plain(handler) => handler.call(point, cx).map(Some),
        InlineCall::Awaited(handler) => handler.call(point, cx).await.map(Some),
        InlineCall::Wildcard(handler) => handler.handle(&AnyPoint::new(name, point), cx).map(|()| None),
        InlineCall::Stage(_) => Ok(None),
    }
}

#[cold]
fn warn_of_slow(point: &str, handler: &HandlerInfo, took: Duration) {
    tracing::warn!(
        name: event::SLOW_INLINE_HANDLER,
        point,
        handler = &*handler.name,
        took_ms = millis(took),
        "slow inline handler: it keeps the caller of `fire` waiting and could be queued with `#[async_handler]`"
    );
}

//! What a fake notes of every fire and every push.

use std::any::Any;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fire::{FireError, FireReport, HandlerFailure, Observed, Observer, QueuedJob, Skipped, VetoedBy};
use crate::handler::{HandlerInfo, Which};
use crate::job::NewJob;
use crate::point::{AnyPoint, ExtensionPoint, PointInfo};
use crate::queue::Pushed;
use crate::registry::Registry;
use crate::time::ManualClock;

/// The longest view of a point in a message, in bytes.
const LONGEST_VIEW: usize = 300;
/// How many lines a message lists.
const MOST_LINES: usize = 30;

/// What makes an instance a fake: its clock and its records.
#[derive(Debug)]
pub(crate) struct Fake {
    clock: Arc<ManualClock>,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) fires: Vec<AnyFire>,
    pub(super) jobs: Vec<QueuedRecord>,
}

/// A fire of a point whose type is not known here.
#[derive(Debug, Clone)]
pub(super) struct AnyFire {
    pub(super) info: &'static PointInfo,
    pub(super) end: Arc<End>,
    point: Option<Arc<dyn Any + Send + Sync>>,
}

/// How a fire ended.
#[derive(Debug)]
pub(super) struct End {
    /// None where the fire lost its point.
    view: Option<String>,
    error: Option<String>,
    errors: Vec<String>,
    veto: Option<VetoedBy>,
    skipped: Vec<Skipped>,
    queued: Vec<QueuedJob>,
    silenced: bool,
}

/// A job that was queued, and its handler if it is registered.
#[derive(Debug, Clone)]
pub(super) struct QueuedRecord {
    pub(super) job: NewJob,
    pub(super) handler: Option<Arc<HandlerInfo>>,
}

impl Fake {
    pub(super) fn new(clock: Arc<ManualClock>) -> Self {
        Self { clock, records: Mutex::default() }
    }

    pub(crate) const fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the jobs that a push stored; one that is pushed again counts once.
    pub(crate) fn note_pushed(&self, registry: &Registry, jobs: &[NewJob], pushed: &[Pushed]) {
        let mut records = self.records();
        let stored = jobs.iter().zip(pushed).filter(|(_, pushed)| **pushed == Pushed::Queued);
        for (job, _) in stored {
            if records.jobs.iter().all(|known| known.job.id != job.id) {
                let handler = registry.handlers().iter().find(|info| info.key() == job.handler).cloned();
                records.jobs.push(QueuedRecord { job: job.clone(), handler });
            }
        }
    }
}

impl Observer for Fake {
    fn fired(&self, fire: &Observed<'_>) {
        let fire = AnyFire::new(fire);
        self.records().fires.push(fire);
    }
}

impl AnyFire {
    fn new(fire: &Observed<'_>) -> Self {
        let end = Arc::new(End::new(fire.point(), fire.report(), fire.error()));
        Self { info: fire.info(), end, point: fire.point().and_then(|point| point.keep()) }
    }

    /// The fire, if it was one of a `P`.
    pub(super) fn of<P: ExtensionPoint>(&self) -> Option<RecordedFire<P>> {
        let is_one = std::ptr::eq(self.info, P::info());
        let point = || self.point.clone()?.downcast::<P>().ok();
        is_one.then(|| RecordedFire { point: point(), end: Arc::clone(&self.end) })
    }
}

impl End {
    fn new(point: Option<AnyPoint<'_>>, report: &FireReport, error: Option<&FireError>) -> Self {
        let said = |failure: &HandlerFailure| format!("{}: {}", failure.handler.name, failure.error);
        Self {
            view: point.map(view),
            error: error.map(ToString::to_string),
            errors: report.errors.iter().map(said).collect(),
            veto: report.veto.clone(),
            skipped: report.skipped.clone(),
            queued: report.queued.clone(),
            silenced: report.is_silenced(),
        }
    }
}

/// A point for people, as far as it can be shown.
fn view(point: AnyPoint<'_>) -> String {
    match point.view() {
        Some(Ok(json)) => format!(" {}", shortened(json.to_string())),
        _ => String::new(),
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_VIEW {
        text.truncate(text.floor_char_boundary(LONGEST_VIEW));
        text.push('…');
    }
    text
}

/// `OrderPlaced {"order_id":7} (vetoed by order_limit: over the limit)`
impl fmt::Display for AnyFire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let End { view, veto, error, errors, silenced, .. } = &*self.end;
        write!(f, "{}{}", self.info.name, view.as_deref().unwrap_or_default())?;
        match (veto, error, errors.first()) {
            (Some(veto), ..) => write!(f, " (vetoed by {}: {})", veto.by(), veto.reason()),
            (None, Some(error), _) => write!(f, " (failed: {error})"),
            (None, None, Some(error)) => write!(f, " (with the error of {error})"),
            _ if *silenced => f.write_str(" (silenced)"),
            _ => Ok(()),
        }
    }
}

impl QueuedRecord {
    pub(super) fn is(&self, which: &Which) -> bool {
        self.handler.as_ref().is_some_and(|info| which.is(info))
    }
}

/// `OrderPlaced/SendConfirmation on emails {"order_id":7}`
impl fmt::Display for QueuedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NewJob { handler, queue, payload, .. } = &self.job;
        write!(f, "{handler} on {queue} {}", shortened(payload.to_text()))
    }
}

/// A list in a message: one line each, and how many more there are.
pub(super) fn listed<T: fmt::Display>(all: &[T]) -> String {
    if all.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = String::new();
    for one in all.iter().take(MOST_LINES) {
        let _ = write!(text, "\n  {one}");
    }
    if all.len() > MOST_LINES {
        let _ = write!(text, "\n  and {} more", all.len() - MOST_LINES);
    }
    text
}

/// A fire that a fake recorded ([`Extensions::fired`](crate::Extensions::fired)).
#[derive(Clone)]
pub struct RecordedFire<P> {
    point: Option<Arc<P>>,
    end: Arc<End>,
}

impl<P: ExtensionPoint> RecordedFire<P> {
    /// The point, as the inline handlers left it.
    ///
    /// # Panics
    ///
    /// If it could not be kept: a point must be `Clone` or queued for that. And where it was lost with the fire's error.
    #[must_use]
    #[track_caller]
    pub fn point(&self) -> &P {
        let name = P::info().type_name;
        match self.point.as_deref() {
            Some(point) => point,
            None if self.is_lost() => {
                panic!("the point of this fire of `{name}` was lost with the fire's error")
            }
            None => panic!(
                "the fire of `{name}` was recorded without its point, which could not be copied: add `#[derive(Clone)]` to `{name}`"
            ),
        }
    }

    /// Whether the fire itself did not have its point at its end.
    pub(super) fn is_lost(&self) -> bool {
        self.end.view.is_none()
    }

    /// Whether nobody vetoed, no handler failed, and its jobs were queued. A silenced fire is no success here: it ran nothing.
    #[must_use]
    pub fn is_success(&self) -> bool {
        let End { error, errors, veto, silenced, .. } = &*self.end;
        error.is_none() && errors.is_empty() && veto.is_none() && !silenced
    }

    /// Whether it ran nothing because the instance, the point or the task was silenced.
    #[must_use]
    pub fn is_silenced(&self) -> bool {
        self.end.silenced
    }

    /// Who vetoed, and why.
    #[must_use]
    pub fn veto(&self) -> Option<&VetoedBy> {
        self.end.veto.as_ref()
    }

    /// The error that ended it, as text.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.end.error.as_deref()
    }

    /// The errors of its handlers, each as `handler: error`.
    #[must_use]
    pub fn errors(&self) -> &[String] {
        &self.end.errors
    }

    /// The handlers that did not run.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.end.skipped
    }

    /// The jobs that it queued; of a nested fire, those that it left to the outermost one.
    #[must_use]
    pub fn queued(&self) -> &[QueuedJob] {
        &self.end.queued
    }
}

impl<P: ExtensionPoint> fmt::Debug for RecordedFire<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedFire")
            .field("point", &P::info().name)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

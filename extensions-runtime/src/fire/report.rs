//! What a fire did.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::ser::SerializeStruct;

use super::error::{FireError, FireErrorKind};
use super::tally::Tally;
use crate::handler::{HandlerError, HandlerInfo, Veto};
use crate::instance::Silence;
use crate::job::{HandlerKey, JobId, QueueName};
use crate::point::ExtensionPoint;

/// The report of a fire, with the point as its handlers left it.
///
/// A veto is not an error of the fire: it is `Ok`, with [`veto`](Self::veto) set and [`is_success`](Self::is_success) false.
/// [`into_result`](Self::into_result) turns a veto or a collected error into an error.
pub struct Fired<P: ExtensionPoint> {
    point: P,
    tally: Option<Box<Tally<P>>>,
}

/// What a fire did, without the point and its outputs.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct FireReport {
    /// The point's wire name.
    pub point: String,
    /// The errors that graceful mode collected, or the one that ended the fire.
    pub errors: Vec<HandlerFailure>,
    /// The handlers that did not run.
    pub skipped: Vec<Skipped>,
    /// Who vetoed, and why.
    pub veto: Option<VetoedBy>,
    /// Set where the fire ran nothing because it was silenced.
    #[serde(serialize_with = "as_bool")]
    pub(super) silenced: Option<Silence>,
    /// The jobs that were queued. In a nested fire: those that the outermost fire will queue. Within a transaction: those that its commit
    /// will; in a follow-up: those that the job's completion will.
    pub queued: Vec<QueuedJob>,
    /// The jobs that were not queued because another holds their unique key.
    pub duplicates: Vec<DuplicateJob>,
    /// How long each inline handler took; only while profiling is on.
    pub durations: Vec<(String, Duration)>,
    /// How long the fire took; only while profiling is on.
    pub total_time: Option<Duration>,
}

#[allow(clippy::ref_option, reason = "serde gives a reference")]
fn as_bool<S: serde::Serializer>(silenced: &Option<Silence>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(silenced.is_some())
}

impl FireReport {
    pub(super) fn new(point: &str) -> Self {
        Self { point: point.to_owned(), ..Self::default() }
    }

    /// Whether the fire ran nothing because the instance, the point or the task is silenced.
    #[must_use]
    pub const fn is_silenced(&self) -> bool {
        self.silenced.is_some()
    }
}

/// A handler and its error.
#[derive(Debug, Serialize)]
pub struct HandlerFailure {
    /// The handler.
    pub handler: Arc<HandlerInfo>,
    /// Its error.
    pub error: HandlerError,
}

/// A handler that did not run.
#[derive(Debug, Clone, Serialize)]
pub struct Skipped {
    /// The handler.
    pub handler: Arc<HandlerInfo>,
    /// Why.
    pub reason: SkipReason,
}

/// Why a handler did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The fire chose other handlers (`only`, `except`).
    NotChosen,
    /// The instance, the point or the task is silenced.
    Silenced,
    /// The handler is muted.
    Muted,
    /// A tag of the handler, or its group, is disabled.
    Disabled,
    /// One of its conditions does not hold.
    Condition,
    /// Its circuit breaker is open.
    CircuitOpen,
    /// It belongs to a scope that the fire is not inside of. Only [`plan`](crate::Extensions::plan) lists these.
    Scope,
    /// A handler before it gave what the strategy waited for.
    StoppedEarly,
    /// It is a stage, which only a pipeline runs: [`as_pipeline`](super::Fire::as_pipeline).
    Stage,
}

impl SkipReason {
    /// Whether a guard that was passed over for it should have been asked.
    pub(super) const fn is_unavailable(self) -> bool {
        matches!(self, Self::Silenced | Self::Muted | Self::Disabled | Self::CircuitOpen)
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotChosen => "the fire chose other handlers",
            Self::Silenced => "silenced",
            Self::Muted => "muted",
            Self::Disabled => "its tag or group is disabled",
            Self::Condition => "a condition does not hold",
            Self::CircuitOpen => "its circuit is open",
            Self::Scope => "it belongs to another scope",
            Self::StoppedEarly => "an earlier handler gave enough",
            Self::Stage => "a stage: only a pipeline runs it",
        })
    }
}

/// Who vetoed a fire.
#[derive(Debug, Clone, Serialize)]
pub struct VetoedBy {
    /// The handler.
    pub handler: Arc<HandlerInfo>,
    /// Its veto.
    pub veto: Veto,
    /// Whether it is a guard that could not be asked, and so counts as a veto.
    pub unavailable: bool,
}

impl VetoedBy {
    /// The handler's name.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.handler.name
    }

    /// The reason it gave.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.veto.reason()
    }
}

/// A job that was queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueuedJob {
    pub(crate) id: JobId,
    pub(crate) handler: HandlerKey,
    pub(crate) queue: QueueName,
}

impl QueuedJob {
    /// The job's id.
    #[must_use]
    pub const fn id(&self) -> JobId {
        self.id
    }

    /// The handler that will run it: point and name.
    #[must_use]
    pub const fn handler(&self) -> &HandlerKey {
        &self.handler
    }

    /// The queue it is in.
    #[must_use]
    pub const fn queue(&self) -> &QueueName {
        &self.queue
    }
}

/// A job that was not queued because another holds its unique key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DuplicateJob {
    pub(crate) handler: HandlerKey,
    pub(crate) of: JobId,
}

impl DuplicateJob {
    /// The handler whose job it would have been.
    #[must_use]
    pub const fn handler(&self) -> &HandlerKey {
        &self.handler
    }

    /// The job that holds the key.
    #[must_use]
    pub const fn of(&self) -> JobId {
        self.of
    }
}

impl<P: ExtensionPoint> Fired<P> {
    pub(super) const fn new(point: P, tally: Option<Box<Tally<P>>>) -> Self {
        Self { point, tally }
    }

    pub(super) fn report(&self) -> Option<&FireReport> {
        self.tally.as_ref().map(|tally| &tally.report)
    }

    /// The point, as the inline handlers left it.
    #[must_use]
    pub const fn point(&self) -> &P {
        &self.point
    }

    /// The point, as the inline handlers left it.
    #[must_use]
    pub fn into_point(self) -> P {
        self.point
    }

    /// What the inline handlers returned, in the order in which they ran. An output of `()` is not kept.
    pub fn outputs(&self) -> impl Iterator<Item = &P::Output> {
        self.tally.iter().flat_map(|tally| tally.outputs.iter().map(|(_, output)| output))
    }

    /// What the handlers returned, with the handlers.
    pub fn outputs_by_handler(&self) -> impl Iterator<Item = (&HandlerInfo, &P::Output)> {
        self.tally.iter().flat_map(|tally| tally.outputs.iter().map(|(info, output)| (&**info, output)))
    }

    /// What the handler of type `H` returned.
    #[must_use]
    pub fn output_of<H: 'static>(&self) -> Option<&P::Output> {
        self.outputs_by_handler().find(|(info, _)| info.is::<H>()).map(|(_, output)| output)
    }

    /// The jobs that were queued.
    #[must_use]
    pub fn queued(&self) -> &[QueuedJob] {
        self.report().map_or(&[], |report| &report.queued)
    }

    /// The jobs that were not queued because another holds their unique key.
    #[must_use]
    pub fn duplicates(&self) -> &[DuplicateJob] {
        self.report().map_or(&[], |report| &report.duplicates)
    }

    /// The errors that graceful mode collected.
    #[must_use]
    pub fn errors(&self) -> &[HandlerFailure] {
        self.report().map_or(&[], |report| &report.errors)
    }

    /// The error of the handler of type `H`, if graceful mode collected one.
    #[must_use]
    pub fn error_of<H: 'static>(&self) -> Option<&HandlerError> {
        self.errors().iter().find(|failure| failure.handler.is::<H>()).map(|failure| &failure.error)
    }

    /// The handlers that did not run.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        self.report().map_or(&[], |report| &report.skipped)
    }

    /// Who vetoed, and why.
    #[must_use]
    pub fn veto(&self) -> Option<&VetoedBy> {
        self.report().and_then(|report| report.veto.as_ref())
    }

    /// Whether the fire ran nothing because the instance, the point or the task is silenced.
    #[must_use]
    pub fn is_silenced(&self) -> bool {
        self.report().is_some_and(FireReport::is_silenced)
    }

    /// Whether a question to guards was answered with silence, which is no consent.
    pub(super) fn is_unanswered(&self) -> bool {
        let silence = self.report().and_then(|report| report.silenced);
        P::info().interruptible && silence.is_some_and(|silence| !silence.allows_guards)
    }

    /// Whether nobody vetoed and no handler failed. A silenced fire of an interruptible point is no success: its guards were not asked.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.veto().is_none() && self.errors().is_empty() && !self.is_unanswered()
    }

    /// How long the fire took; only while profiling is on.
    #[must_use]
    pub fn total_time(&self) -> Option<Duration> {
        self.report().and_then(|report| report.total_time)
    }

    /// How long each inline handler took, by name; only while profiling is on.
    #[must_use]
    pub fn durations(&self) -> &[(String, Duration)] {
        self.report().map_or(&[], |report| &report.durations)
    }

    /// The report, if nobody vetoed and no handler failed.
    ///
    /// # Errors
    ///
    /// [`FireErrorKind::Vetoed`] for a veto, [`FireErrorKind::HandlersFailed`] for collected errors, [`FireErrorKind::Silenced`] for a
    /// question that no guard was asked.
    pub fn into_result(self) -> Result<Self, FireError> {
        if self.is_success() {
            return Ok(self);
        }
        let kind = if self.veto().is_some() {
            FireErrorKind::Vetoed
        } else if self.is_unanswered() {
            FireErrorKind::Silenced
        } else {
            FireErrorKind::HandlersFailed
        };
        let (point, report) = self.into_parts();
        Err(FireError::new(kind, P::info().name).with_report(report).with_point(point))
    }

    /// Whether the guards consent.
    pub(super) fn into_consent(self) -> Result<bool, FireError> {
        if self.is_unanswered() {
            return self.into_result().map(|_| false);
        }
        let failed = self.errors().iter().any(|failure| failure.handler.denies_when_unavailable());
        Ok(self.veto().is_none() && !failed)
    }

    pub(super) fn into_parts(self) -> (P, FireReport) {
        let report = self.tally.map(|tally| tally.report);
        (self.point, report.unwrap_or_else(|| FireReport::new(P::info().name)))
    }

    /// What the inline handlers returned, in the order in which they ran.
    #[must_use]
    pub fn into_outputs(self) -> Vec<P::Output> {
        let outputs = self.tally.map(|tally| tally.outputs).unwrap_or_default();
        outputs.into_iter().map(|(_, output)| output).collect()
    }

    /// The report alone.
    #[must_use]
    pub fn into_report(self) -> FireReport {
        self.into_parts().1
    }
}

impl<P: ExtensionPoint> fmt::Debug for Fired<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fired")
            .field("point", &P::info().name)
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}

/// The report as data: the point's name, not its fields.
impl<P: ExtensionPoint> Serialize for Fired<P> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Fired", 10)?;
        out.serialize_field("point", P::info().name)?;
        out.serialize_field("success", &self.is_success())?;
        out.serialize_field("silenced", &self.is_silenced())?;
        out.serialize_field("veto", &self.veto())?;
        out.serialize_field("errors", self.errors())?;
        out.serialize_field("skipped", self.skipped())?;
        out.serialize_field("queued", self.queued())?;
        out.serialize_field("duplicates", self.duplicates())?;
        out.serialize_field("durations", self.durations())?;
        out.serialize_field("total_time", &self.total_time())?;
        out.end()
    }
}

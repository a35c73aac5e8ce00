//! What a pipeline did.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::fire::report::{FireReport, SkipReason, VetoedBy};
use crate::fire::{FireError, QueuedJob};
use crate::handler::{HandlerError, HandlerInfo};

/// What a pipeline did, with the value as its stages left it.
#[derive(Debug)]
pub struct Piped<T> {
    pub(super) value: Option<T>,
    pub(super) stages: Vec<StageReport>,
    pub(super) failure: Option<PipelineFailure>,
    pub(super) recovered: bool,
    pub(super) silenced: bool,
    pub(super) fire: Option<FireReport>,
}

/// What became of one stage.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct StageReport {
    /// The stage.
    pub stage: Arc<HandlerInfo>,
    /// What became of it.
    pub fate: StageFate,
    /// Whether it ran the rest. One that ran and did not has stopped the pipeline early.
    pub called_next: bool,
    /// How long it took, without the stages behind it.
    pub took: Option<Duration>,
    /// Where it is a pipeline itself: its stages.
    pub nested: Vec<Self>,
}

/// What became of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StageFate {
    /// The pipeline was over before.
    #[default]
    NotReached,
    /// It ran.
    Ran,
    /// It was passed over.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// It failed.
    Failed {
        /// What it said.
        error: String,
    },
    /// It was begun, and dropped before its end by a stage around it.
    Unfinished,
}

/// Why a pipeline failed.
#[derive(Debug)]
pub struct PipelineFailure(Box<Kind>);

#[derive(Debug)]
pub(super) enum Kind {
    Stage { stage: String, error: HandlerError },
    Fire(FireError),
    Vetoed(VetoedBy),
    Silenced(&'static str),
}

/// The error of a pipeline, with the value as its stages left it.
pub struct PipelineError<T>(Box<Piped<T>>);

impl StageReport {
    pub(super) fn skipped(stage: &Arc<HandlerInfo>, reason: SkipReason) -> Self {
        let (stage, fate) = (Arc::clone(stage), StageFate::Skipped { reason });
        Self { stage, fate, called_next: false, took: None, nested: Vec::new() }
    }
}

impl<T> Piped<T> {
    /// The value; none only where a fire's layer lost it.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// The value; none only where a fire's layer lost it.
    #[must_use]
    pub fn into_value(self) -> Option<T> {
        self.value
    }

    /// The stages, in their order, each with what became of it.
    #[must_use]
    pub fn stages(&self) -> &[StageReport] {
        &self.stages
    }

    /// What became of the stage of this name, the first if there are several.
    #[must_use]
    pub fn fate_of(&self, stage: &str) -> Option<&StageFate> {
        self.stages.iter().find(|report| report.stage.name == stage).map(|report| &report.fate)
    }

    /// The names of the stages that ran, in order.
    pub fn ran(&self) -> impl Iterator<Item = &str> {
        let ran = self.stages.iter().filter(|report| report.fate == StageFate::Ran);
        ran.map(|report| &*report.stage.name)
    }

    /// The stage that ended the pipeline early, without failing.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&str> {
        let (_, before_last) = self.stages.split_last()?;
        let stopped =
            before_last.iter().find(|report| report.fate == StageFate::Ran && !report.called_next)?;
        Some(&stopped.stage.name)
    }

    /// Why it failed, if it did, whether or not a fallback took over.
    #[must_use]
    pub const fn failure(&self) -> Option<&PipelineFailure> {
        self.failure.as_ref()
    }

    /// Whether the value is that of `on_failure`.
    #[must_use]
    pub const fn is_recovered(&self) -> bool {
        self.recovered
    }

    /// Whether no stage ran because the instance, the point or the task is silenced.
    #[must_use]
    pub const fn is_silenced(&self) -> bool {
        self.silenced
    }

    /// Whether it did not fail, and no stage that it continued behind did.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.failure.is_none()
            && !self.stages.iter().any(|report| matches!(report.fate, StageFate::Failed { .. }))
    }

    /// The report of the fire, where it was a point's pipeline.
    #[must_use]
    pub const fn fire(&self) -> Option<&FireReport> {
        self.fire.as_ref()
    }

    /// The jobs that were queued, where it was a point's pipeline.
    #[must_use]
    pub fn queued(&self) -> &[QueuedJob] {
        self.fire.as_ref().map_or(&[], |fire| &fire.queued)
    }

    /// The value, if the pipeline did not fail or a fallback took over.
    ///
    /// # Errors
    ///
    /// The failure, with the value.
    pub fn into_result(mut self) -> Result<T, PipelineError<T>> {
        let failed = self.failure.is_some() && !self.recovered;
        match self.value.take() {
            Some(value) if !failed => Ok(value),
            value => Err(PipelineError(Box::new(Self { value, ..self }))),
        }
    }
}

impl PipelineFailure {
    pub(super) fn new(kind: Kind) -> Self {
        Self(Box::new(kind))
    }

    /// Whether it is no stage's failure but a no of guards.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(*self.0, Kind::Vetoed(_) | Kind::Silenced(_))
    }

    /// The stage that failed; of a stage in a nested pipeline with that one's name before it: `checkout > charge`.
    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        match &*self.0 {
            Kind::Stage { stage, .. } => Some(stage),
            Kind::Vetoed(veto) => Some(veto.by()),
            Kind::Fire(_) | Kind::Silenced(_) => None,
        }
    }

    /// What the stage said.
    #[must_use]
    pub fn error(&self) -> Option<&HandlerError> {
        match &*self.0 {
            Kind::Stage { error, .. } => Some(error),
            _ => None,
        }
    }

    /// The error of the fire around a point's pipeline: its jobs could not be queued, a layer refused it.
    #[must_use]
    pub fn fire_error(&self) -> Option<&FireError> {
        match &*self.0 {
            Kind::Fire(error) => Some(error),
            _ => None,
        }
    }

    /// Who vetoed a point's pipeline, and why.
    #[must_use]
    pub fn veto(&self) -> Option<&VetoedBy> {
        match &*self.0 {
            Kind::Vetoed(veto) => Some(veto),
            _ => None,
        }
    }
}

impl fmt::Display for PipelineFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Stage { stage, error } => write!(f, "the stage `{stage}` failed: {error}"),
            Kind::Fire(error) => error.fmt(f),
            Kind::Vetoed(veto) => write!(f, "vetoed by `{}`: {}", veto.by(), veto.reason()),
            Kind::Silenced(point) => write!(
                f,
                "the guards of `{point}` were not asked: it is silenced, which is no consent; where it is to be, silence with \
                 `.silence().allowing_guards()`"
            ),
        }
    }
}

impl<T> PipelineError<T> {
    /// Why the pipeline failed.
    #[must_use]
    pub fn failure(&self) -> Option<&PipelineFailure> {
        self.0.failure()
    }

    /// The stage that failed ([`PipelineFailure::stage`]).
    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        self.failure()?.stage()
    }

    /// What the stage said.
    #[must_use]
    pub fn error(&self) -> Option<&HandlerError> {
        self.failure()?.error()
    }

    /// The value, as the stages left it; none only where a fire's layer lost it.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        self.0.value()
    }

    /// The value, as the stages left it; none only where a fire's layer lost it.
    #[must_use]
    pub fn into_value(self) -> Option<T> {
        self.0.into_value()
    }

    /// All that the pipeline did.
    #[must_use]
    pub const fn report(&self) -> &Piped<T> {
        &self.0
    }
}

/// `{:?}` is what `main` prints of an error, so it reads like `{}`; the value is not shown.
impl<T> fmt::Debug for PipelineError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T> fmt::Display for PipelineError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failure() {
            Some(failure) => write!(f, "the pipeline failed: {failure}"),
            None => f.write_str("the pipeline lost its value"),
        }
    }
}

impl<T> std::error::Error for PipelineError<T> {}

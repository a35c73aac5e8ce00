//! A pipeline while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::step::{Step, StepBreaker};
use super::{Hooks, StageFate, StageReport};
use crate::BoxFuture;
use crate::breaker::{Breaker, Pass};
use crate::fire::call::{Called, call, millis, settle};
use crate::fire::gate::{Gate, Held};
use crate::fire::report::SkipReason;
use crate::handler::{Context, HandlerError, HandlerInfo, HandlerResult, Next, Passed, Rest};
use crate::task;
use crate::telemetry::names::{self, event};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One run of a pipeline through its stages.
pub(in crate::fire) struct Course<'a, T> {
    id: u64,
    gate: Gate<'a>,
    steps: &'a [Step<T>],
    hooks: &'a Hooks<T>,
    keep_going: bool,
    traced: bool,
    notes: Mutex<Notes>,
}

struct Notes {
    stages: Vec<Note>,
    /// What was passed over while the pipeline continued.
    failures: Vec<(usize, HandlerError)>,
    denied: Option<(usize, SkipReason)>,
}

#[derive(Default)]
struct Note {
    fate: StageFate,
    called_next: bool,
    /// How long the stage waited for those behind it.
    behind: Duration,
    took: Option<Duration>,
    nested: Vec<StageReport>,
}

/// The stage that a pipeline failed in.
pub(in crate::fire) struct FailedAt {
    pub(in crate::fire) at: usize,
    /// Its name; of a stage in a nested pipeline with that one's before it.
    pub(in crate::fire) stage: String,
    pub(in crate::fire) error: HandlerError,
}

/// What a pipeline did.
pub(in crate::fire) struct Ended {
    pub(in crate::fire) result: Result<(), FailedAt>,
    pub(in crate::fire) stages: Vec<StageReport>,
    pub(in crate::fire) failures: Vec<(usize, HandlerError)>,
    pub(in crate::fire) denied: Option<(usize, SkipReason)>,
    pub(in crate::fire) silenced: bool,
}

impl Ended {
    pub(super) const fn silenced(stages: Vec<StageReport>) -> Self {
        Self { result: Ok(()), stages, failures: Vec::new(), denied: None, silenced: true }
    }
}

impl FailedAt {
    /// The error as one that a stage around this pipeline has; that one is named together with this.
    pub(super) fn into_error(self) -> HandlerError {
        self.error.passed(Passed { course: 0, at: 0, stage: self.stage })
    }
}

impl<'a, T: Send + Sync + 'static> Course<'a, T> {
    pub(in crate::fire) fn new(
        gate: Gate<'a>,
        steps: &'a [Step<T>],
        hooks: &'a Hooks<T>,
        keep_going: bool,
    ) -> Self {
        let stages = steps.iter().map(|_| Note::default()).collect();
        let notes = Mutex::new(Notes { stages, failures: Vec::new(), denied: None });
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let traced = tracing::level_enabled!(tracing::Level::DEBUG);
        Self { id, gate, steps, hooks, keep_going, traced, notes }
    }

    /// Runs the stages.
    pub(in crate::fire) async fn run(self, value: &mut T) -> Ended {
        let result = self.from(0, value).await;
        let result = result.map_err(|mut error| {
            let passed = error.take_passed();
            let (at, stage) = passed.map(|passed| (passed.at, passed.stage)).unwrap_or_default();
            FailedAt { at, stage, error }
        });
        let notes = self.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let stages = self.steps.iter().zip(notes.stages).map(|(step, note)| note.into_report(&step.info));
        let stages = stages.collect();
        Ended { result, stages, failures: notes.failures, denied: notes.denied, silenced: false }
    }

    async fn from(&self, first: usize, value: &mut T) -> HandlerResult {
        for (at, step) in self.steps.iter().enumerate().skip(first) {
            let error = match self.admit(step, value) {
                Ok(pass) => {
                    let result = self.stage(at, value).await;
                    let of_the_rest = result.as_ref().is_err_and(|error| error.is_passed_in(self.id));
                    if of_the_rest {
                        self.set(at, StageFate::Ran);
                        return result;
                    }
                    settle(pass, &result);
                    let Err(error) = result else {
                        self.set(at, StageFate::Ran);
                        return Ok(());
                    };
                    error
                }
                Err(Held::Skipped(reason)) => {
                    self.set(at, StageFate::Skipped { reason });
                    if step.denies && reason.is_unavailable() {
                        self.notes().denied = Some((at, reason));
                        return Ok(());
                    }
                    continue;
                }
                Err(Held::Failed(error)) => error,
            };
            self.failed(at, error)?;
            if self.note(at, |note| note.called_next) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn admit(&self, step: &Step<T>, value: &T) -> Result<Option<Pass>, Held> {
        let holds = || step.check.as_ref().map_or(Ok(true), |check| check.holds(&self.gate, value));
        if let Some(reason) = self.gate.switched_off(&step.info) {
            // What is no part of the pipeline is not missed either.
            let is_part = holds().unwrap_or(true);
            return Err(Held::Skipped(if is_part { reason } else { SkipReason::Condition }));
        }
        if !holds().map_err(Held::Failed)? {
            return Err(Held::Skipped(SkipReason::Condition));
        }
        match &step.breaker {
            StepBreaker::None => Ok(None),
            StepBreaker::Own(breaker) => self.gate.pass(Some(breaker)),
            StepBreaker::Keyed(key) => self.gate.pass(self.keyed(key).as_ref()),
        }
    }

    fn keyed(&self, key: &str) -> Option<Arc<Breaker>> {
        let premises = self.gate.extensions.premises();
        premises.breaker.map(|options| premises.breakers.named(key, options))
    }

    async fn stage(&self, at: usize, value: &mut T) -> HandlerResult {
        let step = &self.steps[at];
        self.set(at, StageFate::Unfinished);
        let hooked = async {
            self.hooks.before_each(&step.info, value);
            let call = async { step.call.call(value, Next::new(self, at)).await };
            let result =
                task::catching(call).await.unwrap_or_else(|panic| Err(HandlerError::panicked(panic)));
            self.hooks.after_each(&step.info, value);
            result
        };
        let span = if self.traced {
            tracing::debug_span!(names::SPAN_STAGE, name = &*step.info.name)
        } else {
            tracing::Span::none()
        };
        let Called { result, took } = call(span, true, hooked).await;
        self.note_time(at, took.unwrap_or_default());
        result
    }

    fn note_time(&self, at: usize, took: Duration) {
        let own = self.note(at, |note| *note.took.insert(took.saturating_sub(note.behind)));
        if own >= self.gate.extensions.slow_threshold() {
            let info = &self.steps[at].info;
            tracing::warn!(
                name: event::SLOW_STAGE,
                point = &*info.point,
                stage = &*info.name,
                took_ms = millis(own),
                "slow stage: it keeps the caller of the pipeline waiting"
            );
        }
    }

    /// Notes a stage's own error; it is one of the pipeline unless that continues.
    fn failed(&self, at: usize, mut error: HandlerError) -> HandlerResult {
        let name = &self.steps[at].info.name;
        let stage = match error.take_passed() {
            Some(inner) => format!("{name} > {}", inner.stage),
            None => name.clone().into_owned(),
        };
        self.set(at, StageFate::Failed { error: error.to_string() });
        if !self.keep_going {
            return Err(error.passed(Passed { course: self.id, at, stage }));
        }
        tracing::warn!(name: event::STAGE_FAILED, stage, %error, "a stage failed; the pipeline continues behind it");
        self.notes().failures.push((at, error));
        Ok(())
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<R>(&self, at: usize, change: impl FnOnce(&mut Note) -> R) -> R {
        change(&mut self.notes().stages[at])
    }

    fn set(&self, at: usize, fate: StageFate) {
        self.note(at, |note| note.fate = fate);
    }
}

impl Note {
    fn into_report(self, stage: &Arc<HandlerInfo>) -> StageReport {
        let Self { fate, took, nested, called_next, .. } = self;
        StageReport { stage: Arc::clone(stage), fate, called_next, took, nested }
    }
}

impl<T: Send + Sync + 'static> Rest<T> for Course<'_, T> {
    fn behind<'a>(&'a self, stage: usize, value: &'a mut T) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            self.note(stage, |note| note.called_next = true);
            let started = Instant::now();
            let result = self.from(stage + 1, value).await;
            self.note(stage, |note| note.behind += started.elapsed());
            result
        })
    }

    fn context(&self) -> &Context {
        self.gate.cx
    }

    fn note_nested(&self, stage: usize, stages: Vec<StageReport>) {
        self.note(stage, |note| note.nested = stages);
    }
}

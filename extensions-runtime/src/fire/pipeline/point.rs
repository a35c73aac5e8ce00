//! The pipeline of a point: its registered stages, with its other inline handlers between them.

use std::sync::{Arc, Mutex, PoisonError};

use super::course::{Course, Ended};
use super::report::{Kind, Piped, PipelineFailure};
use super::step::{Step, StepBreaker, StepCheck};
use super::{List, StageFate, StageReport};
use crate::BoxFuture;
use crate::fire::destination::Destination;
use crate::fire::gate::Gate;
use crate::fire::run::{Drive, Run, call_inline};
use crate::fire::tally::{Tally, is_unit};
use crate::fire::{Fire, FireErrorKind, FireReport};
use crate::handler::{DynStage, HandlerError, HandlerInfo, HandlerResult, Next};
use crate::point::ExtensionPoint;
use crate::registry::{Attached, InlineCall, InlineEntry};

/// A fire whose inline handlers run as stages.
pub(in crate::fire) struct Piping<P: ExtensionPoint> {
    list: List<P>,
    stages: Vec<StageReport>,
    /// The name of the stage that failed.
    failed: Option<String>,
}

impl<P: ExtensionPoint> Drive<P> for Piping<P> {
    fn is_enough(&mut self, _: &P::Output) -> bool {
        false
    }
    fn pipeline(&mut self) -> Option<&mut Self> {
        Some(self)
    }
}

/// Fires a point as a pipeline.
pub(super) async fn of_point<P: ExtensionPoint>(mut fire: Fire<'_, P>, mut list: List<P>) -> Piped<P> {
    fire.mode.graceful |= list.keep_going;
    list.keep_going = fire.mode.graceful;
    let mut piping = Piping { list, stages: Vec::new(), failed: None };
    let fired =
        fire.extensions.fire_with(fire.point, &fire.mode, Some(&mut piping), Destination::Queue).await;
    let Piping { mut stages, failed, .. } = piping;
    let (value, report, failure) = match fired {
        Ok(fired) => {
            let silenced = fired.is_unanswered().then(|| Kind::Silenced(P::info().name));
            let failure = fired.veto().cloned().map(Kind::Vetoed).or(silenced);
            let (point, report) = fired.into_parts();
            (Some(point), Some(report), failure)
        }
        Err(mut error) => {
            let value = error.take_point::<P>();
            let last = matches!(error.kind(), FireErrorKind::HandlerFailed).then(|| error.pop_failure());
            match (failed, last.flatten()) {
                (Some(stage), Some(last)) => (value, None, Some(Kind::Stage { stage, error: last.error })),
                (_, Some(last)) => {
                    let stage = last.handler.name.clone().into_owned();
                    (value, None, Some(Kind::Stage { stage, error: last.error }))
                }
                _ => (value, None, Some(Kind::Fire(error))),
            }
        }
    };
    let silenced = report.as_ref().is_some_and(FireReport::is_silenced);
    if let Some(report) = report.as_ref().filter(|_| silenced) {
        stages = report.skipped.iter().map(|one| StageReport::skipped(&one.handler, one.reason)).collect();
    }
    let failure = failure.map(PipelineFailure::new);
    Piped { value, stages, failure, recovered: false, silenced, fire: report }
}

impl<P: ExtensionPoint> Run<'_, '_, P> {
    /// Runs the inline handlers as the stages of a pipeline.
    pub(in crate::fire) async fn piped(
        &mut self,
        inline: &[&InlineEntry<P>],
        point: &mut P,
        piping: &mut Piping<P>,
    ) {
        let outputs: Outputs<P> = Arc::default();
        let mut steps: Vec<_> = inline.iter().map(|entry| step(entry, &self.table.name, &outputs)).collect();
        steps.append(&mut piping.list.steps);
        let course = Course::new(self.gate, &steps, &piping.list.hooks, piping.list.keep_going);
        let Ended { result, stages, failures, denied, .. } = course.run(point).await;
        let tally = &mut self.tally;
        for (info, output) in std::mem::take(&mut *outputs.lock().unwrap_or_else(PoisonError::into_inner)) {
            let _ = Tally::output(tally, &info, output);
        }
        for report in &stages {
            if let StageFate::Skipped { reason } = report.fate {
                Tally::skip(tally, &report.stage, reason);
            }
            if let Some(took) = report.took.filter(|_| self.profiled) {
                Tally::time(tally, &report.stage, took);
            }
        }
        if let Some((at, reason)) = denied {
            Tally::deny(tally, &steps[at].info, format!("it could not be asked: {reason}"));
        }
        for (step, report) in steps.iter().zip(&stages) {
            if step.denies && report.fate == StageFate::Unfinished {
                Tally::deny(tally, &step.info, "it was not let to its end".to_owned());
            }
        }
        for (at, error) in failures {
            Tally::fail(tally, &steps[at].info, error);
        }
        if let Err(failed) = result {
            Tally::fail(tally, &steps[failed.at].info, failed.error);
            piping.failed = Some(failed.stage);
        }
        piping.stages = stages;
    }
}

type Outputs<P> = Arc<Mutex<Vec<(Arc<HandlerInfo>, <P as ExtensionPoint>::Output)>>>;

fn step<P: ExtensionPoint>(entry: &InlineEntry<P>, point: &Arc<str>, outputs: &Outputs<P>) -> Step<P> {
    let call: Arc<dyn DynStage<P>> = match &entry.call {
        InlineCall::Stage(stage) => Arc::clone(stage),
        _ => {
            Arc::new(Passing { entry: entry.clone(), point: Arc::clone(point), outputs: Arc::clone(outputs) })
        }
    };
    let at = &entry.at;
    let asked = !at.conditions.is_empty();
    Step {
        info: Arc::clone(&at.info),
        call,
        check: asked.then(|| Arc::clone(at) as Arc<dyn StepCheck<P>>),
        breaker: at.breaker.clone().map_or(StepBreaker::None, StepBreaker::Own),
        denies: P::info().interruptible && at.info.denies_when_unavailable(),
    }
}

impl<P: ExtensionPoint> StepCheck<P> for Attached<P> {
    fn holds(&self, gate: &Gate<'_>, point: &P) -> Result<bool, HandlerError> {
        gate.conditions_hold(self, point)
    }
}

/// A plain or awaited handler as a stage: it goes on unless it vetoes.
struct Passing<P: ExtensionPoint> {
    entry: InlineEntry<P>,
    point: Arc<str>,
    outputs: Outputs<P>,
}

impl<P: ExtensionPoint> DynStage<P> for Passing<P> {
    fn call<'a>(&'a self, point: &'a mut P, next: Next<'a, P>) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let given = call_inline(&self.entry.call, &self.point, point, next.context()).await?;
            if let Some(output) = given.filter(|_| !is_unit::<P::Output>()) {
                let vetoes = P::__veto(&output).is_some();
                let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
                outputs.push((Arc::clone(&self.entry.at.info), output));
                drop(outputs);
                if vetoes {
                    return Ok(());
                }
            }
            next.run(point).await
        })
    }
}

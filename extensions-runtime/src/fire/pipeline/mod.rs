//! Pipelines: a value goes through stages, each of which decides whether the rest runs.

mod course;
mod point;
mod report;
mod step;

use std::any::{TypeId, type_name};
use std::fmt;
use std::sync::{Arc, OnceLock};

use tracing::Instrument;

use self::course::{Course, Ended, FailedAt};
pub(super) use self::point::Piping;
use self::report::Kind;
pub use self::report::{Piped, PipelineError, PipelineFailure, StageFate, StageReport};
use self::step::{FnStage, MadeStage, Step, StepBreaker, When};
use super::Fire;
use super::gate::Gate;
use super::report::SkipReason;
use crate::breaker::CircuitBreaker;
use crate::handler::{Context, DynStage, HandlerInfo, HandlerResult, Next, Stage, StageShim};
use crate::instance::Extensions;
use crate::point::{ExtensionPoint, Location, PointInfo};
use crate::registry::Resources;
use crate::scope::Frame;
use crate::telemetry::names;
use crate::{BoxError, BoxFuture};

/// Stages in their order. Made by [`Extensions::pipeline`] it has a value to send through; made by [`Pipeline::new`] it is a list that
/// can be a stage of other pipelines, as often as one likes.
///
/// The stages run inside one another: the first runs, and within it, when it says so, the second. One that does not call `next` ends
/// the pipeline early, which is no failure. Muted stages, those with an open circuit and those whose condition does not hold are passed
/// over.
#[must_use = "nothing runs until `.run().await`"]
pub struct Pipeline<T, S = ()> {
    list: List<T>,
    start: S,
}

pub(in crate::fire) struct List<T> {
    steps: Vec<Step<T>>,
    hooks: Hooks<T>,
    keep_going: bool,
}

type Hook<T> = Box<dyn Fn(&HandlerInfo, &mut T) + Send + Sync>;

pub(in crate::fire) struct Hooks<T> {
    before: Vec<Hook<T>>,
    after: Vec<Hook<T>>,
}

impl<T> Hooks<T> {
    fn before_each(&self, stage: &HandlerInfo, value: &mut T) {
        self.before.iter().for_each(|hook| hook(stage, value));
    }
    fn after_each(&self, stage: &HandlerInfo, value: &mut T) {
        self.after.iter().for_each(|hook| hook(stage, value));
    }
}

type Runner<'a, T> = Box<dyn FnOnce(List<T>) -> BoxFuture<'a, Piped<T>> + Send + 'a>;
type Fallback<'a, T> = Box<dyn FnOnce(&PipelineFailure, T) -> T + Send + 'a>;
type Success<'a, T> = Box<dyn FnOnce(&mut T) + Send + 'a>;

/// That a pipeline has a value to send through.
pub struct Sending<'a, T> {
    run: Runner<'a, T>,
    on_failure: Option<Fallback<'a, T>>,
    on_success: Option<Success<'a, T>>,
}

impl<T: Send + Sync + 'static> Pipeline<T> {
    /// A list of stages, to be a stage of other pipelines.
    ///
    /// As a stage it runs its stages and then the rest. One of its stages that stops early ends only this list; the pipeline around it
    /// goes on. A failure of one is a failure of the whole.
    pub fn new() -> Self {
        Self { list: List::new(), start: () }
    }
}

impl<T: Send + Sync + 'static> Default for Pipeline<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> List<T> {
    const fn new() -> Self {
        Self { steps: Vec::new(), hooks: Hooks { before: Vec::new(), after: Vec::new() }, keep_going: false }
    }
}

impl<T: Send + Sync + 'static, S> Pipeline<T, S> {
    fn step(mut self, info: HandlerInfo, call: Arc<dyn DynStage<T>>, breaker: StepBreaker) -> Self {
        self.list.steps.push(Step { info: Arc::new(info), call, check: None, breaker, denies: false });
        self
    }

    /// A stage that has no type to be named by: its name is its place, here and in the source.
    #[track_caller]
    fn unnamed(self, what: &str, path: &str, call: Arc<dyn DynStage<T>>) -> Self {
        let at = Location::caller();
        let name = format!("{what} {} ({at})", self.list.steps.len() + 1);
        self.step(HandlerInfo::of_stage(name, path.to_owned(), at, None), call, StepBreaker::None)
    }

    #[track_caller]
    fn typed<G: 'static>(self, call: Arc<dyn DynStage<T>>) -> Self {
        let path = type_name::<G>();
        let own = path.split('<').next().unwrap_or(path).rsplit("::").next().unwrap_or(path);
        let info = HandlerInfo::of_stage(
            own.to_owned(),
            path.to_owned(),
            Location::caller(),
            Some(TypeId::of::<G>()),
        );
        self.step(info, call, StepBreaker::Keyed(stage_key(path)))
    }

    /// Adds a stage. Its name is that of its type; [`Extensions::mute`] mutes it by type, and all stages of the type have one circuit
    /// breaker in the instance ([`Extensions::breaker_of_stage`]).
    #[track_caller]
    pub fn through<G: Stage<T>>(self, stage: G) -> Self {
        let call = Arc::new(StageShim(Arc::new(stage)));
        if TypeId::of::<G>() == TypeId::of::<Pipeline<T>>() {
            return self.unnamed("pipeline", type_name::<G>(), call);
        }
        self.typed::<G>(call)
    }

    /// Adds a closure as a stage. It has no circuit breaker, and its name is its place, unless it is [`named`](Self::named).
    #[track_caller]
    pub fn through_fn<F>(self, stage: F) -> Self
    where
        F: for<'a> Fn(&'a mut T, Next<'a, T>) -> BoxFuture<'a, HandlerResult> + Send + Sync + 'static,
    {
        self.unnamed("stage", type_name::<F>(), Arc::new(FnStage(stage)))
    }

    /// Adds a stage that runs only where the predicate says yes of the value, as it is when it comes there.
    #[track_caller]
    pub fn through_if<G: Stage<T>>(
        self,
        condition: impl Fn(&T) -> bool + Send + Sync + 'static,
        stage: G,
    ) -> Self {
        self.through(stage).when(condition)
    }

    /// Adds a stage that is made from the instance's resources when it is first reached. What keeps it from being made is its error.
    #[track_caller]
    pub fn through_with<G: Stage<T>>(
        self,
        make: impl Fn(&Resources) -> Result<G, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.typed::<G>(Arc::new(MadeStage { make, made: OnceLock::new() }))
    }

    /// Lets the stage before run only where the predicate says yes of the value, as it is when it comes there. A second condition takes
    /// the place of the first.
    pub fn when(mut self, condition: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        if let Some(step) = self.list.steps.last_mut() {
            step.check = Some(Arc::new(When(condition)));
        }
        self
    }

    /// Names the stage before. A closure with a name can be muted by it, and has the circuit breaker of that name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        if let Some(step) = self.list.steps.last_mut() {
            let name = name.into();
            if matches!(step.breaker, StepBreaker::None) {
                step.breaker = StepBreaker::Keyed(stage_key(&name));
            }
            Arc::make_mut(&mut step.info).name = name.into();
        }
        self
    }

    /// Called before each stage that runs. A panic in it is an error of that stage.
    pub fn before_each(mut self, hook: impl Fn(&HandlerInfo, &mut T) + Send + Sync + 'static) -> Self {
        self.list.hooks.before.push(Box::new(hook));
        self
    }

    /// Called after each stage that ran, whether it failed or not: the last stage first, as a stage ends after those behind it. A
    /// panic in it is an error of that stage.
    pub fn after_each(mut self, hook: impl Fn(&HandlerInfo, &mut T) + Send + Sync + 'static) -> Self {
        self.list.hooks.after.push(Box::new(hook));
        self
    }

    /// A stage that fails is passed over: its error is logged and stands in the report, and the pipeline goes on behind it. If it had
    /// run the rest already, that is not run again.
    pub fn continue_on_failure(mut self) -> Self {
        self.list.keep_going = true;
        self
    }
}

impl<'a, T: Send + Sync + 'static> Pipeline<T, Sending<'a, T>> {
    fn sending(run: Runner<'a, T>) -> Self {
        Self { list: List::new(), start: Sending { run, on_failure: None, on_success: None } }
    }

    /// What to go on with where the pipeline failed: the closure gets the failure and the value as the stages left it. A veto is no
    /// failure to go on from, and nor are guards that were not asked.
    pub fn on_failure(mut self, fallback: impl FnOnce(&PipelineFailure, T) -> T + Send + 'a) -> Self {
        self.start.on_failure = Some(Box::new(fallback));
        self
    }

    /// Called with the value where the pipeline did not fail; stopping early is no failure.
    pub fn on_success(mut self, hook: impl FnOnce(&mut T) + Send + 'a) -> Self {
        self.start.on_success = Some(Box::new(hook));
        self
    }

    /// Sends the value through the stages and answers with it.
    ///
    /// # Errors
    ///
    /// The failure of a stage, with its name and the value, unless [`on_failure`](Self::on_failure) has a fallback. Of a point's pipeline
    /// also a veto, and what keeps its jobs from being queued.
    ///
    /// # Panics
    ///
    /// If `on_failure` or `on_success` panics; a stage's panic is its error.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the stage that was running unfinished and drops the value.
    pub async fn run(self) -> Result<T, PipelineError<T>> {
        self.run_report().await.into_result()
    }

    /// Sends the value through the stages and answers with all that they did.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub async fn run_report(self) -> Piped<T> {
        let Sending { run, on_failure, on_success } = self.start;
        let mut piped = run(self.list).await;
        match (&piped.failure, piped.value.as_mut()) {
            (None, Some(value)) if !piped.silenced => {
                if let Some(hook) = on_success {
                    hook(value);
                }
            }
            (Some(failure), Some(_)) if !failure.is_refusal() => {
                if let Some(fallback) = on_failure {
                    piped.value = piped.value.take().map(|value| fallback(failure, value));
                    piped.recovered = true;
                }
            }
            _ => {}
        }
        piped
    }
}

/// A list of stages as one.
impl<T: Send + Sync + 'static> Stage<T> for Pipeline<T> {
    async fn handle(&self, value: &mut T, next: Next<'_, T>) -> HandlerResult {
        let ended = by_hand(&self.list, value, next.context()).await;
        next.note_nested(ended.stages);
        ended.result.map_err(FailedAt::into_error)?;
        next.run(value).await
    }
}

/// Runs stages with what is switched off now.
async fn by_hand<T: Send + Sync + 'static>(list: &List<T>, value: &mut T, cx: &Context) -> Ended {
    let extensions = cx.extensions();
    let view = extensions.view();
    let mode = extensions.default_mode();
    let gate = Gate { extensions: &extensions, switches: view.switches(), mode, cx };
    if gate.silence(None).is_some() {
        let silenced = |step: &Step<T>| StageReport::skipped(&step.info, SkipReason::Silenced);
        return Ended::silenced(list.steps.iter().map(silenced).collect());
    }
    Course::new(gate, &list.steps, &list.hooks, list.keep_going).run(value).await
}

/// What a pipeline has where a fire has its point.
static BY_HAND: PointInfo = PointInfo {
    name: "pipeline",
    type_name: "Pipeline",
    module_path: module_path!(),
    location: Location { file: file!(), line: line!(), column: column!() },
    queued: false,
    interruptible: false,
    version: 1,
    fields: &[],
    unique_by: &[],
    upcast: None,
    deprecated: None,
};

async fn sent<T: Send + Sync + 'static>(extensions: &Extensions, mut value: T, list: List<T>) -> Piped<T> {
    let cx = Context::within(extensions.id(), &BY_HAND, Frame::of(extensions.id()));
    let ended = by_hand(&list, &mut value, &cx).instrument(tracing::debug_span!(names::SPAN_PIPELINE)).await;
    let failure = ended.result.err();
    let failure = failure.map(|at| PipelineFailure::new(Kind::Stage { stage: at.stage, error: at.error }));
    let (stages, silenced) = (ended.stages, ended.silenced);
    Piped { value: Some(value), stages, failure, recovered: false, silenced, fire: None }
}

/// # Pipelines
impl Extensions {
    /// A value that is about to go through stages.
    ///
    /// The stages share the executor of fires: mutes, silence, circuit breakers, spans, panics and warnings of slow ones hold for them as
    /// for inline handlers. A silenced pipeline runs no stage, and its value comes back as it was.
    pub fn pipeline<T: Send + Sync + 'static>(&self, value: T) -> Pipeline<T, Sending<'_, T>> {
        Pipeline::sending(Box::new(move |list| Box::pin(sent(self, value, list))))
    }

    /// The circuit breaker of all stages of the type `G` in pipelines made by hand.
    pub fn breaker_of_stage<G: 'static>(&self) -> CircuitBreaker {
        self.circuit_breaker(&stage_key(type_name::<G>()))
    }

    /// The circuit breaker of all closures that are stages of this name in pipelines made by hand.
    pub fn breaker_of_stage_named(&self, stage: &str) -> CircuitBreaker {
        self.circuit_breaker(&stage_key(stage))
    }
}

impl<'a, P: ExtensionPoint> Fire<'a, P> {
    /// Fires the point as a pipeline: its registered stages run around each other by (priority, name), with its plain and awaited inline
    /// handlers between them as stages that always go on; a veto stops it. Stages added here come behind those of the point. Then async
    /// handlers are queued as in every fire, also after a stage that stopped early.
    ///
    /// All that was chosen for the fire holds: `only`, `except`, `graceful` (the same as
    /// [`continue_on_failure`](Pipeline::continue_on_failure)), the tenant, options of jobs.
    pub fn as_pipeline(self) -> Pipeline<P, Sending<'a, P>> {
        Pipeline::sending(Box::new(move |list| Box::pin(point::of_point(self, list))))
    }
}

fn stage_key(name: &str) -> String {
    format!("stage/{name}")
}

impl<T, S> fmt::Debug for Pipeline<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<_> = self.list.steps.iter().map(|step| &step.info.name).collect();
        f.debug_struct("Pipeline").field("stages", &stages).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Sending<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}

//! Layers: what an application wraps around every fire and every push.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use tracing::Instrument;

use super::destination::Destination;
use super::{FireError, FireErrorKind, Fired};
use crate::BoxFuture;
use crate::handler::HandlerResult;
use crate::instance::Extensions;
use crate::job::NewJob;
use crate::point::{ExtensionPoint, PointInfo};
use crate::queue::{Pushed, QueueError, QueueErrorKind};
use crate::telemetry::names;

/// Wraps every fire that is not nested in another: times it, enters a scope, refuses it.
///
/// The first layer that the builder was given is the outermost. Inside of all layers the inline handlers run, then the push with the
/// push's layers, then the observers.
pub trait FireLayer: Send + Sync + 'static {
    /// Runs the rest of the fire with `next.run()`. Written as `async fn`.
    ///
    /// # Errors
    ///
    /// An error refuses the fire, or ends it if it was run: [`FireErrorKind::Layer`].
    fn fire(
        &self,
        fire: &FireInfo,
        next: NextFire<'_>,
    ) -> impl Future<Output = HandlerResult<FireOutcome>> + Send;
}

/// A fire that is about to be run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FireInfo {
    /// The point's description.
    pub point: &'static PointInfo,
}

/// How a fire ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FireOutcome {
    /// Nobody vetoed and no handler failed.
    Succeeded,
    /// A handler vetoed.
    Vetoed,
    /// A handler failed, or the push.
    Failed,
    /// It ran nothing.
    Silenced,
}

impl FireOutcome {
    /// Its name in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Vetoed => "vetoed",
            Self::Failed => "failed",
            Self::Silenced => "silenced",
        }
    }

    pub(super) fn of<P: ExtensionPoint>(fired: &Result<Fired<P>, FireError>) -> Self {
        match fired {
            Ok(fired) if fired.veto().is_some() => Self::Vetoed,
            Ok(fired) if fired.is_silenced() => Self::Silenced,
            Ok(fired) if fired.is_success() => Self::Succeeded,
            _ => Self::Failed,
        }
    }
}

/// The rest of a fire.
#[must_use = "the fire is refused unless `next.run().await` runs it"]
pub struct NextFire<'a> {
    layers: &'a [Arc<dyn DynFireLayer>],
    fire: FireInfo,
    core: BoxFuture<'a, FireOutcome>,
}

impl NextFire<'_> {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// The error of a layer further in. That a handler failed is no error here, but an outcome.
    pub async fn run(self) -> HandlerResult<FireOutcome> {
        match self.layers.split_first() {
            None => Ok(self.core.await),
            Some((layer, layers)) => layer.fire(self.fire, NextFire { layers, ..self }).await,
        }
    }
}

impl std::fmt::Debug for NextFire<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NextFire").field("fire", &self.fire).finish_non_exhaustive()
    }
}

pub(crate) trait DynFireLayer: Send + Sync {
    fn fire<'a>(&'a self, fire: FireInfo, next: NextFire<'a>) -> BoxFuture<'a, HandlerResult<FireOutcome>>;
}

impl<L: FireLayer> DynFireLayer for L {
    fn fire<'a>(&'a self, fire: FireInfo, next: NextFire<'a>) -> BoxFuture<'a, HandlerResult<FireOutcome>> {
        Box::pin(async move { FireLayer::fire(self, &fire, next).await })
    }
}

/// Wraps every push of jobs, of a fire and of [`Extensions::push`].
///
/// Of a fire within a transaction it wraps the push in that transaction; of follow-ups, that they are kept for their job's completion.
///
/// The first layer that the builder was given is the outermost.
pub trait PushLayer: Send + Sync + 'static {
    /// Pushes with `next.run(jobs)`, as they are or changed. Written as `async fn`.
    ///
    /// The answers belong to the jobs in their order; a layer gives as many as it was given jobs.
    ///
    /// # Errors
    ///
    /// An error is the push's.
    fn push(
        &self,
        jobs: Arc<[NewJob]>,
        next: NextPush<'_>,
    ) -> impl Future<Output = Result<Vec<Pushed>, QueueError>> + Send;
}

/// The rest of a push.
#[derive(Debug, Clone, Copy)]
#[must_use = "nothing is pushed unless `next.run(jobs).await` does it"]
pub struct NextPush<'a> {
    layers: &'a [Arc<dyn DynPushLayer>],
    extensions: &'a Extensions,
    to: Destination<'a>,
}

impl NextPush<'_> {
    /// Pushes the jobs.
    ///
    /// # Errors
    ///
    /// As [`Extensions::push`].
    pub async fn run(self, jobs: Arc<[NewJob]>) -> Result<Vec<Pushed>, QueueError> {
        match self.layers.split_first() {
            None => self.to.store(self.extensions, jobs).await,
            Some((layer, layers)) => layer.push(jobs, NextPush { layers, ..self }).await,
        }
    }
}

pub(crate) trait DynPushLayer: Send + Sync {
    fn push<'a>(
        &'a self,
        jobs: Arc<[NewJob]>,
        next: NextPush<'a>,
    ) -> BoxFuture<'a, Result<Vec<Pushed>, QueueError>>;
}

impl<L: PushLayer> DynPushLayer for L {
    fn push<'a>(
        &'a self,
        jobs: Arc<[NewJob]>,
        next: NextPush<'a>,
    ) -> BoxFuture<'a, Result<Vec<Pushed>, QueueError>> {
        Box::pin(PushLayer::push(self, jobs, next))
    }
}

impl std::fmt::Debug for dyn DynPushLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PushLayer")
    }
}

impl Extensions {
    /// Runs a fire inside the layers. The point stays in its cell where a layer refuses the fire.
    pub(super) async fn layered<P: ExtensionPoint, F>(
        &self,
        point: P,
        core: impl FnOnce(P) -> F + Send,
    ) -> Result<Fired<P>, FireError>
    where
        F: Future<Output = Result<Fired<P>, FireError>> + Send,
    {
        let layers = &self.settings().fire_layers[..];
        if layers.is_empty() {
            return core(point).await;
        }
        let (mut cell, mut result) = (Some(point), None);
        let inner = async {
            let Some(point) = cell.take() else { return FireOutcome::Failed };
            let fired = core(point).await;
            let outcome = FireOutcome::of(&fired);
            result = Some(fired);
            outcome
        };
        let fire = FireInfo { point: P::info() };
        let layered = NextFire { layers, fire, core: Box::pin(inner) }.run().await;
        match (layered, result) {
            (Ok(_), Some(result)) => result,
            (Ok(_), None) => Err(not_run(cell, "a layer answered without running the fire")),
            (Err(error), ran) => Err(ended(ran, cell, FireErrorKind::Layer(error.to_string()))),
        }
    }

    pub(crate) async fn push_layered(
        &self,
        jobs: Arc<[NewJob]>,
        to: Destination<'_>,
    ) -> Result<Vec<Pushed>, QueueError> {
        let asked = jobs.len();
        let span = tracing::debug_span!(names::SPAN_PUSH, jobs = asked);
        let next = NextPush { layers: &self.settings().push_layers, extensions: self, to };
        let pushed = next.run(jobs).instrument(span).await?;
        if pushed.len() == asked {
            return Ok(pushed);
        }
        let hint =
            format!("there are {} answers for {asked} jobs; a push layer gives one for each", pushed.len());
        Err(QueueError::new(QueueErrorKind::Other, "push", hint))
    }
}

fn not_run<P: ExtensionPoint>(cell: Option<P>, why: &str) -> FireError {
    ended(None, cell, FireErrorKind::Layer(why.to_owned()))
}

fn ended<P: ExtensionPoint>(
    ran: Option<Result<Fired<P>, FireError>>,
    cell: Option<P>,
    kind: FireErrorKind,
) -> FireError {
    let error = FireError::new(kind, P::info().name);
    match (ran, cell) {
        (Some(Ok(fired)), _) => {
            let (point, report) = fired.into_parts();
            error.with_report(report).with_point(point)
        }
        (Some(Err(error)), _) => error,
        (None, Some(point)) => error.with_point(point),
        (None, None) => error,
    }
}

//! The handlers of one point type, as the dispatcher runs through them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{Attached, JobRunner};
use crate::BoxFuture;
use crate::handler::{
    AnyHandler, AwaitedHandler, Context, DynStage, Handler, HandlerId, HandlerInfo, HandlerResult,
    JobOptions, Stage, StageShim,
};
use crate::job::HandlerKey;
use crate::point::{ExtensionPoint, PointInfo};

/// Turns a point into its payload.
pub(crate) type Encode<P> = fn(&P) -> Result<Vec<u8>, serde_json::Error>;

/// An inline handler, ready to be called.
pub(crate) enum InlineCall<P: ExtensionPoint> {
    Plain(Arc<dyn DynHandler<P>>),
    Awaited(Arc<dyn DynAwaited<P>>),
    /// A handler of many points: it has no output of any of them.
    Wildcard(Arc<dyn AnyHandler>),
    /// A stage of the point's pipeline, which has no part in a plain fire.
    Stage(Arc<dyn DynStage<P>>),
}

impl<P: ExtensionPoint> InlineCall<P> {
    pub(crate) fn awaited<H: AwaitedHandler<P>>(handler: Arc<H>) -> Self {
        Self::Awaited(Arc::new(AwaitedShim(handler)))
    }

    pub(crate) fn stage<S: Stage<P>>(stage: Arc<S>) -> Self {
        Self::Stage(Arc::new(StageShim(stage)))
    }
}

impl<P: ExtensionPoint> Clone for InlineCall<P> {
    fn clone(&self) -> Self {
        match self {
            Self::Plain(handler) => Self::Plain(Arc::clone(handler)),
            Self::Awaited(handler) => Self::Awaited(Arc::clone(handler)),
            Self::Wildcard(handler) => Self::Wildcard(Arc::clone(handler)),
            Self::Stage(stage) => Self::Stage(Arc::clone(stage)),
        }
    }
}

pub(crate) trait DynHandler<P: ExtensionPoint>: Send + Sync {
    fn call(&self, point: &mut P, cx: &Context) -> HandlerResult<P::Output>;
}

pub(crate) trait DynAwaited<P: ExtensionPoint>: Send + Sync {
    fn call<'a>(&'a self, point: &'a mut P, cx: &'a Context) -> BoxFuture<'a, HandlerResult<P::Output>>;
}

impl<P: ExtensionPoint, H: Handler<P>> DynHandler<P> for H {
    fn call(&self, point: &mut P, cx: &Context) -> HandlerResult<P::Output> {
        self.handle(point, cx)
    }
}

pub(crate) struct AwaitedShim<H>(pub(crate) Arc<H>);

impl<P: ExtensionPoint, H: AwaitedHandler<P>> DynAwaited<P> for AwaitedShim<H> {
    fn call<'a>(&'a self, point: &'a mut P, cx: &'a Context) -> BoxFuture<'a, HandlerResult<P::Output>> {
        Box::pin(self.0.handle(point, cx))
    }
}

pub(crate) struct InlineEntry<P: ExtensionPoint> {
    pub(crate) call: InlineCall<P>,
    pub(crate) at: Arc<Attached<P>>,
}

impl<P: ExtensionPoint> InlineEntry<P> {
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self.call, InlineCall::Awaited(_))
    }

    /// Whether only pipelines run it.
    pub(crate) fn is_stage(&self) -> bool {
        matches!(self.call, InlineCall::Stage(_))
    }
}

impl<P: ExtensionPoint> Clone for InlineEntry<P> {
    fn clone(&self) -> Self {
        Self { call: self.call.clone(), at: Arc::clone(&self.at) }
    }
}

pub(crate) struct QueuedEntry<P> {
    pub(crate) at: Arc<Attached<P>>,
    /// [`HandlerInfo::key`], made once.
    pub(crate) key: HandlerKey,
    pub(crate) options: Arc<JobOptions>,
    /// Missing where the handler's code is in another program.
    pub(crate) runner: Option<Arc<JobRunner>>,
}

impl<P> Clone for QueuedEntry<P> {
    fn clone(&self) -> Self {
        Self {
            at: Arc::clone(&self.at),
            key: self.key.clone(),
            options: Arc::clone(&self.options),
            runner: self.runner.clone(),
        }
    }
}

/// The handlers of the point type `P` in one instance.
pub(crate) struct PointTable<P: ExtensionPoint> {
    /// The wire name in this instance.
    pub(crate) name: Arc<str>,
    pub(crate) inline: Box<[InlineEntry<P>]>,
    pub(crate) queued: Box<[QueuedEntry<P>]>,
    /// Set where the point has queued handlers.
    pub(crate) encode: Option<Encode<P>>,
    /// Whether no inline handler is awaited.
    pub(crate) plain: bool,
    /// Whether there are handlers, and no inline one has conditions, is on many points or is a stage.
    simple: bool,
    /// [`PointState::restless`], where a fire looks first.
    restless: Arc<AtomicU32>,
    /// What outlives a change of the handlers.
    pub(crate) state: Arc<PointState>,
}

/// What is kept of a point over every change of its handlers.
#[derive(Debug, Default)]
pub(crate) struct PointState {
    /// Whether the warning about a large payload was given.
    pub(crate) warned_large: AtomicBool,
    /// How many breakers of its inline handlers have a failure to remember.
    pub(crate) restless: Arc<AtomicU32>,
}

impl<P: ExtensionPoint> PointTable<P> {
    pub(crate) fn new(
        name: Arc<str>,
        state: Arc<PointState>,
        encode: Option<Encode<P>>,
        mut inline: Vec<InlineEntry<P>>,
        mut queued: Vec<QueuedEntry<P>>,
    ) -> Self {
        inline.sort_by(|a, b| a.at.info.place().cmp(&b.at.info.place()));
        queued.sort_by(|a, b| a.at.info.place().cmp(&b.at.info.place()));
        let is_awaited = |entry: &InlineEntry<P>| matches!(entry.call, InlineCall::Awaited(_));
        let has_any = !inline.is_empty() || !queued.is_empty();
        let is_simple = |entry: &InlineEntry<P>| {
            !matches!(entry.call, InlineCall::Wildcard(_) | InlineCall::Stage(_))
                && entry.at.conditions.is_empty()
        };
        Self {
            name,
            plain: !inline.iter().any(is_awaited),
            simple: has_any && inline.iter().all(is_simple),
            inline: inline.into(),
            queued: queued.into(),
            encode,
            restless: Arc::clone(&state.restless),
            state,
        }
    }

    /// The table of a point without handlers.
    pub(crate) fn empty() -> Self {
        Self::new(P::info().name.into(), Arc::default(), None, Vec::new(), Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.inline.len() + self.queued.len()
    }

    /// Whether a fire can do nothing but call the handlers.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.simple && self.restless.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn attached(&self) -> impl Iterator<Item = &Arc<Attached<P>>> {
        self.inline.iter().map(|entry| &entry.at).chain(self.queued.iter().map(|entry| &entry.at))
    }
}

/// A table whose point type is forgotten.
pub(crate) trait AnyTable: Any + Send + Sync {
    fn point(&self) -> &'static PointInfo;
    fn name(&self) -> &Arc<str>;
    /// In the order in which they run.
    fn infos(&self) -> Vec<Arc<HandlerInfo>>;
    fn runners(&self) -> Vec<Arc<JobRunner>>;
    /// The table without some handlers; none if it has none of them.
    fn without(&self, gone: &dyn Fn(HandlerId) -> bool) -> Option<Arc<dyn AnyTable>>;
}

impl<P: ExtensionPoint> AnyTable for PointTable<P> {
    fn point(&self) -> &'static PointInfo {
        P::info()
    }

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn infos(&self) -> Vec<Arc<HandlerInfo>> {
        self.attached().map(|at| Arc::clone(&at.info)).collect()
    }

    fn runners(&self) -> Vec<Arc<JobRunner>> {
        self.queued.iter().filter_map(|entry| entry.runner.clone()).collect()
    }

    fn without(&self, gone: &dyn Fn(HandlerId) -> bool) -> Option<Arc<dyn AnyTable>> {
        if !self.attached().any(|at| gone(at.info.id)) {
            return None;
        }
        let inline = self.inline.iter().filter(|entry| !gone(entry.at.info.id)).cloned().collect();
        let queued = self.queued.iter().filter(|entry| !gone(entry.at.info.id)).cloned().collect();
        let state = Arc::clone(&self.state);
        Some(Arc::new(Self::new(Arc::clone(&self.name), state, self.encode, inline, queued)))
    }
}

impl fmt::Debug for dyn AnyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PointTable").field(self.name()).finish()
    }
}

//! What an inline handler can reach: the instance, its resources, and nested fires.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::fire::{FireError, Fired};
use crate::instance::{Extensions, InstanceId};
use crate::job::{DerivedIds, FireId, JobId, JobMeta, NewJob};
use crate::point::{ExtensionPoint, PointInfo};
use crate::scope::{Frame, ScopeKind};

/// Given to every inline handler.
///
/// It has no lifetime and costs nothing unless it is asked for something. A context serves the fire it was made for; nested
/// fires through it belong to that fire: their jobs are pushed with its own, and not at all if it fails or is vetoed.
pub struct Context {
    instance: InstanceId,
    depth: u32,
    point: &'static PointInfo,
    state: OnceLock<Box<State>>,
}

/// What a fire keeps once a handler asked for it.
struct State {
    root: FireId,
    outer: Option<Arc<Link>>,
    frame: Option<Arc<Frame>>,
    parent: Option<Arc<Parent>>,
    ids: Option<Arc<DerivedIds>>,
    jobs: Mutex<Vec<NewJob>>,
}

impl State {
    fn new(root: FireId, frame: Option<Arc<Frame>>) -> Self {
        Self { root, outer: None, frame, parent: None, ids: None, jobs: Mutex::default() }
    }
}

/// The job whose handler fires.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) job: JobId,
    pub(crate) meta: JobMeta,
}

/// The fires around a nested one, inmost first.
struct Link {
    point: &'static str,
    outer: Option<Arc<Link>>,
}

impl Context {
    #[inline]
    pub(crate) const fn new(instance: InstanceId, point: &'static PointInfo) -> Self {
        Self { instance, depth: 0, point, state: OnceLock::new() }
    }

    /// The context of an outermost fire inside of scopes.
    pub(crate) fn within(instance: InstanceId, point: &'static PointInfo, frame: Option<Arc<Frame>>) -> Self {
        let state = frame.map(|frame| Box::new(State::new(FireId::new(), Some(frame))));
        Self { state: state.map(OnceLock::from).unwrap_or_default(), ..Self::new(instance, point) }
    }

    /// The context of a fire of `point` from within this one.
    pub(crate) fn nested(&self, point: &'static PointInfo, frame: Option<Arc<Frame>>) -> Self {
        let outer = Some(Arc::new(Link { point: self.point.name, outer: self.state().outer.clone() }));
        let state = State {
            outer,
            parent: self.state().parent.clone(),
            ids: self.state().ids.clone(),
            ..State::new(self.root(), frame)
        };
        Self { instance: self.instance, depth: self.depth + 1, point, state: OnceLock::from(Box::new(state)) }
    }

    /// The same for a fire of a job's handler.
    pub(crate) fn of_job(mut self, parent: Parent) -> Self {
        let state = self.state_mut();
        state.root = parent.meta.root;
        state.parent = Some(Arc::new(parent));
        self
    }

    /// The same for a fire whose jobs have derived ids.
    pub(crate) fn with_ids(mut self, ids: Arc<DerivedIds>) -> Self {
        self.state_mut().ids = Some(ids);
        self
    }

    fn state(&self) -> &State {
        self.state.get_or_init(|| Box::new(State::new(FireId::new(), None)))
    }

    fn state_mut(&mut self) -> &mut State {
        self.state();
        self.state.get_mut().expect("it was just made")
    }

    /// What the fire's task was inside of when it began.
    pub(crate) fn frame(&self) -> Option<&Arc<Frame>> {
        self.state.get()?.frame.as_ref()
    }

    /// What travels with the fire's jobs, where `traceparent` is that of the current span.
    pub(crate) fn meta(&self, traceparent: Option<String>) -> JobMeta {
        // Where nobody has asked for the root, nobody will: the fire's handlers are done.
        let state = self.state.get();
        let root = state.map_or_else(FireId::new, |state| state.root);
        let mut meta = JobMeta { depth: self.depth, traceparent, ..JobMeta::new(root) };
        if let Some(parent) = state.and_then(|state| state.parent.as_deref()) {
            meta.parent = Some(parent.job);
            meta.depth = meta.depth.saturating_add(parent.meta.depth).saturating_add(1);
            meta.traceparent = meta.traceparent.or_else(|| parent.meta.traceparent.clone());
        }
        if let Some(frame) = self.frame() {
            frame.describe(self.instance, &mut meta);
        }
        meta
    }

    /// Where the ids of the fire's jobs come from, unless they are new ones.
    pub(crate) fn ids(&self) -> Option<&DerivedIds> {
        self.state.get()?.ids.as_deref()
    }

    fn scope_of(&self, kind: ScopeKind) -> Option<&str> {
        self.frame()?.name(self.instance, kind)
    }

    /// The outermost fire's id.
    pub(crate) fn root(&self) -> FireId {
        self.state().root
    }

    /// Keeps the jobs of a nested fire until this one is done.
    pub(crate) fn keep(&self, jobs: Vec<NewJob>) {
        if !jobs.is_empty() {
            self.state().jobs.lock().unwrap_or_else(PoisonError::into_inner).extend(jobs);
        }
    }

    /// Whether no handler asked it for anything that would have to be kept.
    #[inline]
    pub(crate) fn is_untouched(&self) -> bool {
        self.state.get().is_none()
    }

    /// Ends an untouched context without looking for what it may have kept.
    #[inline]
    pub(crate) fn dispose(self) {
        debug_assert!(self.is_untouched());
        std::mem::forget(self);
    }

    /// The jobs of nested fires so far.
    pub(crate) fn take_kept(&self) -> Vec<NewJob> {
        self.state
            .get()
            .map(|state| std::mem::take(&mut *state.jobs.lock().unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default()
    }

    /// The points being fired, outermost first.
    pub(crate) fn chain(&self) -> Vec<&'static str> {
        let mut chain = vec![self.point.name];
        let mut link = self.state.get().and_then(|state| state.outer.as_deref());
        while let Some(outer) = link {
            chain.push(outer.point);
            link = outer.outer.as_deref();
        }
        chain.reverse();
        chain
    }

    /// The instance that fires.
    ///
    /// A fire through it is a fire of its own; [`fire`](Self::fire) and [`fire_sync`](Self::fire_sync) are nested in this one.
    ///
    /// # Panics
    ///
    /// If the instance was dropped while a handler that outlived its fire still holds the context.
    #[must_use]
    pub fn extensions(&self) -> Extensions {
        self.instance.get().expect("the instance lives as long as its fires")
    }

    /// A resource of the instance.
    #[must_use]
    pub fn resource<T: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.extensions().resource::<T>()
    }

    /// The tenant in whose scope the fire runs.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.scope_of(ScopeKind::Tenant)
    }

    /// The user in whose scope the fire runs.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.scope_of(ScopeKind::User)
    }

    /// The request in whose scope the fire runs.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.scope_of(ScopeKind::Request)
    }

    /// The inmost other scope in which the fire runs.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope_of(ScopeKind::Custom)
    }

    /// How many fires this one is nested in; 0 for the outermost.
    #[must_use]
    pub const fn depth(&self) -> u32 {
        self.depth
    }

    /// Fires a point from within an awaited handler. Its inline handlers run now; its jobs join the push of the outermost
    /// fire. A veto keeps back the nested jobs only.
    ///
    /// # Errors
    ///
    /// As [`Extensions::fire`]; the nested jobs are dropped even if the error is ignored. Also where fires are nested too deep.
    pub async fn fire<P: ExtensionPoint>(&self, point: P) -> Result<Fired<P>, FireError> {
        let extensions = self.extensions();
        Box::pin(extensions.fire_nested(point, self, extensions.default_mode())).await
    }

    /// Fires a point from within a plain handler; otherwise as [`fire`](Self::fire).
    ///
    /// # Errors
    ///
    /// As [`Extensions::fire_sync`]; the nested jobs are dropped even if the error is ignored.
    pub fn fire_sync<P: ExtensionPoint>(&self, point: P) -> Result<Fired<P>, FireError> {
        self.extensions().fire_sync_nested(point, self)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("chain", &self.chain()).finish_non_exhaustive()
    }
}

//! An instance: what the application holds, fires through and makes workers from.

mod global;
mod job;
mod live;
mod register;
mod switches;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

pub(crate) use self::global::Around;
pub use self::job::JobHandle;
use self::live::Live;
pub(crate) use self::live::{Snapshot, View};
pub use self::register::Registration;
pub(crate) use self::switches::{Silence, Switches};
pub use self::switches::{SilenceGuard, SwitchGuard, SwitchedOff};
use crate::builder::{ExtensionsBuilder, Settings};
use crate::config::Config;
use crate::fire::{Destination, Fire, Mode};
use crate::handler::HandlerInfo;
use crate::job::{JobMeta, NewJob};
use crate::point::ExtensionPoint;
use crate::queue::{Pushed, QueueBackend, QueueError, QueueErrorKind};
use crate::registry::{Premises, Registry};
use crate::scope::Scopes;
use crate::telemetry::record::Work;
use crate::worker::WorkerBuilder;

/// An instance of the framework: a registry, its resources and its queue. Cheap to clone; all clones are the same instance.
///
/// Two instances in one process see nothing of each other.
#[derive(Clone)]
pub struct Extensions(Arc<Inner>);

struct Inner {
    id: InstanceId,
    /// How much there is that a fire has to look at beside its point's handlers; usually nothing.
    attention: AtomicU32,
    /// What was registered at start-up.
    base: Arc<Registry>,
    live: Live,
    scopes: Scopes,
    premises: Premises,
    queue: Option<Arc<dyn QueueBackend>>,
    settings: Settings,
}

/// Finds an instance again without holding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct InstanceId(u32);

#[derive(Default)]
struct Instances {
    last: u32,
    live: HashMap<u32, Weak<Inner>>,
}

static INSTANCES: OnceLock<RwLock<Instances>> = OnceLock::new();

fn instances() -> &'static RwLock<Instances> {
    INSTANCES.get_or_init(RwLock::default)
}

impl InstanceId {
    pub(crate) fn get(self) -> Option<Extensions> {
        let instances = instances().read().unwrap_or_else(PoisonError::into_inner);
        instances.live.get(&self.0)?.upgrade().map(Extensions)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        instances().write().unwrap_or_else(PoisonError::into_inner).live.remove(&self.id.0);
    }
}

impl Extensions {
    /// Starts the making of an instance.
    pub fn builder() -> ExtensionsBuilder {
        ExtensionsBuilder::new()
    }

    pub(crate) fn new(
        registry: Registry,
        premises: Premises,
        queue: Option<Arc<dyn QueueBackend>>,
        settings: Settings,
    ) -> Self {
        let mut instances = instances().write().unwrap_or_else(PoisonError::into_inner);
        instances.last += 1;
        let id = instances.last;
        let inner = Arc::new(Inner {
            id: InstanceId(id),
            attention: AtomicU32::new(u32::from(settings.need_attention())),
            base: Arc::new(registry),
            live: Live::default(),
            scopes: Scopes::default(),
            premises,
            queue,
            settings,
        });
        instances.live.insert(id, Arc::downgrade(&inner));
        Self(inner)
    }

    /// A point with options for this one fire.
    pub fn point<P: ExtensionPoint>(&self, point: P) -> Fire<'_, P> {
        Fire::new(self, point, self.default_mode().fresh())
    }

    /// What is registered now. It stays as it is while handlers come and go.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(self.view().registry())
    }

    /// The handlers of a point, in the order in which they run.
    #[must_use]
    pub fn handlers_of<P: ExtensionPoint>(&self) -> Vec<Arc<HandlerInfo>> {
        self.view().registry().handlers_of::<P>()
    }

    /// How many handlers a point has.
    #[must_use]
    pub fn count_handlers<P: ExtensionPoint>(&self) -> usize {
        self.view().registry().count_handlers::<P>()
    }

    /// Whether a point has any handler.
    #[must_use]
    pub fn has_handlers<P: ExtensionPoint>(&self) -> bool {
        self.view().registry().has_handlers::<P>()
    }

    /// A resource of the instance.
    #[must_use]
    pub fn resource<T: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.premises.resources.get::<T>()
    }

    /// What was configured, and where each value comes from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.settings.config
    }

    /// The queue, if the instance has one.
    #[must_use]
    pub fn queue(&self) -> Option<&Arc<dyn QueueBackend>> {
        self.0.queue.as_ref()
    }

    /// Pushes jobs, such as those of a fire whose push failed. Pushing a job twice changes nothing.
    ///
    /// # Errors
    ///
    /// As the queue's push; `Unsupported` where the instance has no queue.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has pushed all jobs or none.
    pub async fn push(&self, jobs: impl Into<Arc<[NewJob]>>) -> Result<Vec<Pushed>, QueueError> {
        self.push_layered(jobs.into(), Destination::Queue).await
    }

    pub(crate) async fn push_unlayered(&self, jobs: Arc<[NewJob]>) -> Result<Vec<Pushed>, QueueError> {
        let settings = self.settings();
        let pushed = match (&settings.sync, self.queue()) {
            (Some(sync), _) => Box::pin(sync.push(self, Arc::clone(&jobs))).await,
            (None, Some(queue)) => queue.push(Arc::clone(&jobs)).await,
            (None, None) => Err(no_queue("push")),
        };
        if let Ok(pushed) = &pushed {
            self.note_pushed(&jobs, pushed);
        }
        pushed
    }

    /// Counts jobs that were stored, and tells a fake of them.
    pub(crate) fn note_pushed(&self, jobs: &[NewJob], pushed: &[Pushed]) {
        let mut outcomes = pushed.iter();
        for alike in jobs.chunk_by(|one, other| Work::of(one) == Work::of(other)) {
            let is_queued = |pushed: &&Pushed| matches!(pushed, Pushed::Queued);
            let queued = outcomes.by_ref().take(alike.len()).filter(is_queued).count();
            Work::of(&alike[0]).pushed(queued, alike.len() - queued);
        }
        if let Some(fake) = &self.settings().fake {
            fake.note_pushed(&self.registry(), jobs, pushed);
        }
    }

    /// A worker that runs this instance's queued handlers.
    pub fn worker(&self) -> WorkerBuilder {
        WorkerBuilder::new(self.clone())
    }

    /// Whether a fire has to look at no more than what was registered at start-up.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.attention.load(Ordering::Relaxed) == 0 && !tracing::level_enabled!(tracing::Level::DEBUG)
    }

    /// What was registered at start-up.
    #[inline]
    pub(crate) fn base(&self) -> &Registry {
        &self.0.base
    }

    /// What is registered and switched off now.
    pub(crate) fn view(&self) -> View<'_> {
        if self.0.attention.load(Ordering::Acquire) == 0 {
            return View::Base(&self.0.base);
        }
        self.0.live.current().map_or(View::Base(&self.0.base), View::Changed)
    }

    /// Changes what is registered and switched off, as one step that a fire sees as a whole or not at all.
    pub(crate) fn change<T, E>(&self, change: impl FnOnce(&mut Snapshot) -> Result<T, E>) -> Result<T, E> {
        self.0.live.change(&self.0.base, &self.0.attention, change)
    }

    /// Makes fires look at more than their handlers as long as the notice lives.
    pub(crate) fn notice(&self) -> Notice {
        self.0.attention.fetch_add(1, Ordering::AcqRel);
        Notice(self.clone())
    }

    pub(crate) fn premises(&self) -> &Premises {
        &self.0.premises
    }

    pub(crate) fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    #[inline]
    pub(crate) fn id(&self) -> InstanceId {
        self.0.id
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    #[inline]
    pub(crate) fn default_mode(&self) -> &Mode {
        &self.0.settings.mode
    }

    #[inline]
    pub(crate) fn profiling(&self) -> bool {
        self.0.settings.profiling
    }

    pub(crate) fn slow_threshold(&self) -> Duration {
        self.0.settings.slow_threshold
    }

    pub(crate) fn max_depth(&self) -> u32 {
        self.0.settings.max_depth
    }

    pub(crate) fn traceparent(&self) -> Option<String> {
        self.0.settings.traceparent.and_then(|current| current())
    }

    /// Makes the span of what runs for a job a child of the job's fire.
    pub(crate) fn adopt_traceparent(&self, span: &tracing::Span, meta: &JobMeta) {
        if let (Some(adopt), Some(traceparent)) = (self.0.settings.adopt_traceparent, &meta.traceparent) {
            adopt(span, traceparent);
        }
    }
}

/// That fires have something to look at, as long as it lives.
#[derive(Debug)]
pub(crate) struct Notice(Extensions);

impl Drop for Notice {
    fn drop(&mut self) {
        self.0.0.attention.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(crate) fn no_queue(operation: &'static str) -> QueueError {
    let hint = "the instance has no queue; write `.queue_url(…)` or `.queue(…)` on the builder";
    QueueError::new(QueueErrorKind::Unsupported, operation, hint)
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions")
            .field("handlers", &self.registry().handlers().len())
            .field("queue", &self.queue())
            .finish_non_exhaustive()
    }
}

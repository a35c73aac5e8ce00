//! Making an instance: collects, checks everything, reports all problems at once.

use std::sync::Arc;
use std::time::Duration;

use crate::fire::Mode;
use crate::handler::{
    AsyncHandler, AsyncOptions, AwaitedHandler, Context, Handler, HandlerOptions, HandlerResult,
};
use crate::instance::Extensions;
use crate::point::{ExtensionPoint, Location, Queued};
use crate::queue::{QueueBackend, QueueError, Retention};
use crate::registry::{
    BuildError, BuildProblem, InlineCall, Registrar, Registry, Renames, Resources, Wanted,
};
use crate::time::{Clock, SystemClock};

/// The variable that names the queue where the builder does not.
const QUEUE_URL: &str = "EXTENSIONS_QUEUE_URL";

/// What holds for a whole instance.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) profiling: bool,
    pub(crate) slow_threshold: Duration,
    pub(crate) max_depth: u32,
    pub(crate) retention: Retention,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) traceparent: Option<fn() -> Option<String>>,
}

type Registration = Box<dyn FnOnce(&mut Registrar<'_>) + Send>;

/// Makes an [`Extensions`] instance.
#[must_use = "an instance is made by `.build().await`"]
pub struct ExtensionsBuilder {
    discover: bool,
    resources: Resources,
    registrations: Vec<Registration>,
    renames: Renames,
    defaults: AsyncOptions,
    queue: Option<Arc<dyn QueueBackend>>,
    queue_url: Option<String>,
    settings: Settings,
}

impl ExtensionsBuilder {
    pub(crate) fn new() -> Self {
        Self {
            discover: false,
            resources: Resources::default(),
            registrations: Vec::new(),
            renames: Renames::default(),
            defaults: AsyncOptions::new(),
            queue: None,
            queue_url: None,
            settings: Settings {
                mode: Mode::default(),
                profiling: false,
                slow_threshold: Duration::from_millis(100),
                max_depth: 64,
                retention: Retention::default(),
                clock: Arc::new(SystemClock),
                traceparent: None,
            },
        }
    }

    /// Takes in every point and handler that is linked into this binary, from any crate.
    pub fn discover(mut self) -> Self {
        self.discover = true;
        self
    }

    /// Gives a resource, as `T` or as `Arc<T>`; a later one of the same type takes the place of an earlier one.
    pub fn resource<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.resources.insert(value);
        self
    }

    /// The queue, by URL: `sqlite://jobs.db`. Without it `EXTENSIONS_QUEUE_URL` is used.
    pub fn queue_url(mut self, url: impl Into<String>) -> Self {
        self.queue_url = Some(url.into());
        self
    }

    /// The queue.
    pub fn queue(self, queue: impl QueueBackend) -> Self {
        self.shared_queue(Arc::new(queue))
    }

    /// The queue, shared with others.
    pub fn shared_queue(mut self, queue: Arc<dyn QueueBackend>) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Registers a plain inline handler.
    #[track_caller]
    pub fn register<P: ExtensionPoint, H: Handler<P>>(self, handler: H, options: HandlerOptions) -> Self {
        let location = Location::caller();
        self.later(move |registrar| {
            let wanted = Wanted::by_hand::<H>(options, location);
            registrar.add_inline::<P>(wanted, InlineCall::Plain(Arc::new(handler)));
        })
    }

    /// Registers a closure as a plain inline handler under a name of its own.
    #[track_caller]
    pub fn register_fn<P: ExtensionPoint>(
        self,
        name: impl Into<String>,
        handler: impl Fn(&mut P, &Context) -> HandlerResult<P::Output> + Send + Sync + 'static,
        options: HandlerOptions,
    ) -> Self {
        self.register::<P, _>(FnHandler(handler), options.name(name))
    }

    /// Registers an awaited inline handler.
    #[track_caller]
    pub fn register_awaited<P: ExtensionPoint, H: AwaitedHandler<P>>(
        self,
        handler: H,
        options: HandlerOptions,
    ) -> Self {
        let location = Location::caller();
        self.later(move |registrar| {
            registrar.add_awaited::<P, H>(Wanted::by_hand::<H>(options, location), Arc::new(handler));
        })
    }

    /// Registers an async handler. The options that `#[async_handler]` gives its type are the base; the arguments win.
    #[track_caller]
    pub fn register_async<P: Queued, H: AsyncHandler<P>>(self, handler: H, options: AsyncOptions) -> Self {
        let location = Location::caller();
        self.later(move |registrar| {
            let options = options.or(&Registrar::linked_options::<H>());
            let wanted = Wanted::by_hand::<H>(options.handler.clone(), location);
            registrar.add_queued::<P, H>(wanted, Arc::new(handler), options);
        })
    }

    fn later(mut self, registration: impl FnOnce(&mut Registrar<'_>) + Send + 'static) -> Self {
        self.registrations.push(Box::new(registration));
        self
    }

    /// Another wire name for a point of somebody else's crate, by the path of its type: `"billing::OrderPlaced"`.
    pub fn rename_point(mut self, path: impl Into<String>, name: impl Into<String>) -> Self {
        self.renames.points.insert(path.into(), name.into());
        self
    }

    /// Another name for a handler of somebody else's crate, by its path: `"crm::sync::log"`.
    pub fn rename_handler(mut self, path: impl Into<String>, name: impl Into<String>) -> Self {
        self.renames.handlers.insert(path.into(), name.into());
        self
    }

    /// The options of async handlers that say nothing themselves.
    pub fn async_defaults(mut self, defaults: AsyncOptions) -> Self {
        self.defaults = defaults;
        self
    }

    /// Whether every fire is graceful unless it says otherwise; default no.
    pub fn graceful(mut self, graceful: bool) -> Self {
        self.settings.mode.graceful = graceful;
        self
    }

    /// Whether firing a point without handlers is an error; default no.
    pub fn strict(mut self, strict: bool) -> Self {
        self.settings.mode.strict = strict;
        self
    }

    /// Whether each handler and fire is timed and the report shows it; default no.
    pub fn profiling(mut self, profiling: bool) -> Self {
        self.settings.profiling = profiling;
        self
    }

    /// From which duration on a handler is warned about as slow; default 100 ms.
    pub fn slow_threshold(mut self, threshold: Duration) -> Self {
        self.settings.slow_threshold = threshold;
        self
    }

    /// How deep fires may be nested; default 64.
    pub fn max_depth(mut self, depth: u32) -> Self {
        self.settings.max_depth = depth;
        self
    }

    /// How long finished jobs are kept; default 1 h completed, 24 h cancelled, 14 days dead and quarantined.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Where the time comes from that the instance itself needs; a queue has its own clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Where the W3C `traceparent` of the current span comes from; it travels with the jobs of a fire.
    pub fn traceparent(mut self, current: fn() -> Option<String>) -> Self {
        self.settings.traceparent = Some(current);
        self
    }

    /// Opens the queue, checks everything and makes the instance.
    ///
    /// # Errors
    ///
    /// [`BuildError`] with every problem: names used twice, resources that are missing, options that cannot be, async handlers
    /// without a queue, a queue that cannot be opened.
    pub async fn build(mut self) -> Result<Extensions, BuildError> {
        let queue = self.open_queue().await;
        let capabilities =
            queue.as_ref().ok().and_then(|queue| queue.as_ref().map(|queue| queue.capabilities()));
        let mut registrar = Registrar::new(&self.resources, &self.defaults, &self.renames, capabilities);
        if self.discover {
            registrar.discover();
        }
        for registration in self.registrations {
            registration(&mut registrar);
        }
        let (registry, mut problems) = match registrar.finish() {
            Ok(registry) => (Some(registry), Vec::new()),
            Err(problems) => (None, problems),
        };
        let queue = queue.unwrap_or_else(|error| {
            problems.push(BuildProblem::Queue(error));
            None
        });
        let handlers = registry.as_ref().map(queued_names).unwrap_or_default();
        if queue.is_none() && problems.is_empty() && !handlers.is_empty() {
            problems.push(BuildProblem::NoQueue { handlers });
        }
        match registry {
            Some(registry) if problems.is_empty() => {
                warn_of_deprecated(&registry);
                Ok(Extensions::new(registry, self.resources, queue, self.settings))
            }
            _ => Err(BuildError::new(problems)),
        }
    }

    async fn open_queue(&mut self) -> Result<Option<Arc<dyn QueueBackend>>, QueueError> {
        if let Some(queue) = self.queue.take() {
            return Ok(Some(queue));
        }
        let from_environment = || std::env::var(QUEUE_URL).ok().filter(|url| !url.is_empty());
        match self.queue_url.take().or_else(from_environment) {
            Some(url) => crate::queue::connect(&url).await.map(Some),
            None => Ok(None),
        }
    }
}

impl std::fmt::Debug for ExtensionsBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExtensionsBuilder")
            .field("discover", &self.discover)
            .field("registrations", &self.registrations.len())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

fn queued_names(registry: &Registry) -> Vec<String> {
    let queued = registry.handlers().iter().filter(|info| info.kind.is_queued());
    queued.map(|info| format!("`{}`", info.key())).collect()
}

fn warn_of_deprecated(registry: &Registry) {
    let deprecated: Vec<_> = registry
        .handlers()
        .iter()
        .filter_map(|info| {
            let note = info.deprecated?.note.map(|note| format!(" ({note})")).unwrap_or_default();
            Some(format!("{}{note}", info.key()))
        })
        .collect();
    if !deprecated.is_empty() {
        tracing::warn!("deprecated handlers are registered: {}", deprecated.join(", "));
    }
}

struct FnHandler<F>(F);

impl<P, F> Handler<P> for FnHandler<F>
where
    P: ExtensionPoint,
    F: Fn(&mut P, &Context) -> HandlerResult<P::Output> + Send + Sync + 'static,
{
    fn handle(&self, point: &mut P, cx: &Context) -> HandlerResult<P::Output> {
        (self.0)(point, cx)
    }
}

//! Making an instance: collects, checks everything, reports all problems at once.

#[cfg(feature = "config")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::{BreakerChange, BreakerLink, BreakerStore, Breakers, Hook};
use crate::config::{Config, ConfigError, ConfigMistake, Layer as ConfigLayer, Source, Value, keys};
use crate::features::FeatureFlags;
use crate::fire::{DynFireLayer, DynPushLayer, FireLayer, Mode, Observer, PushLayer};
use crate::handler::{
    AnyHandler, AsyncHandler, AsyncOptions, AwaitedHandler, Context, Handler, HandlerOptions, HandlerResult,
    Stage,
};
use crate::instance::Extensions;
use crate::point::{Deprecation, ExtensionPoint, Queued};
use crate::policy::BreakerOptions;
use crate::queue::{QueueBackend, QueueError, Retention, in_memory, is_sync};
use crate::registry::{
    BuildError, BuildProblem, Premises, Registrar, Registrations, Registry, Renames, Resources,
};
use crate::telemetry::names::event;
use crate::testing::Fake;
use crate::time::{Clock, SystemClock};
use crate::worker::SyncMode;
#[cfg(feature = "tower")]
use {
    crate::handler::HandlerError,
    crate::worker::{AttemptLayers, AttemptService, Job, Layer, Service},
};

/// What holds for a whole instance.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) mode: Mode,
    pub(crate) profiling: bool,
    pub(crate) slow_threshold: Duration,
    pub(crate) max_depth: u32,
    pub(crate) idempotency_window: Duration,
    pub(crate) retention: Retention,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) traceparent: Option<fn() -> Option<String>>,
    pub(crate) adopt_traceparent: Option<fn(&tracing::Span, &str)>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) fire_layers: Vec<Arc<dyn DynFireLayer>>,
    pub(crate) push_layers: Vec<Arc<dyn DynPushLayer>>,
    /// Set where jobs are run in place instead of queued.
    pub(crate) sync: Option<SyncMode>,
    /// Set where the instance is a fake.
    pub(crate) fake: Option<Arc<Fake>>,
    /// What runs the handlers of jobs, if there are layers around them.
    #[cfg(feature = "tower")]
    pub(crate) attempts: Option<AttemptService>,
}

impl Settings {
    /// Takes over what the configuration says.
    fn configure(&mut self, config: Config) {
        self.mode.graceful = config.is_graceful();
        self.mode.strict = config.is_strict();
        self.profiling = config.has_profiling();
        self.slow_threshold = config.slow_threshold();
        self.retention = config.retention();
        self.config = config;
    }

    /// Whether fires have more to do than to call their handlers.
    pub(crate) fn need_attention(&self) -> bool {
        self.profiling || !self.observers.is_empty() || !self.fire_layers.is_empty() || self.fake.is_some()
    }
}

/// Makes an [`Extensions`] instance.
#[must_use = "an instance is made by `.build().await`"]
pub struct ExtensionsBuilder {
    discover: bool,
    resources: Resources,
    registrations: Registrations,
    renames: Renames,
    defaults: AsyncOptions,
    queue: Option<Arc<dyn QueueBackend>>,
    config_source: Source,
    /// Whatever of the configuration was said by a call.
    chosen: ConfigLayer,
    settings: Settings,
    #[cfg(feature = "tower")]
    attempt_layers: AttemptLayers,
    features: Option<Arc<dyn FeatureFlags>>,
    breaker_hooks: Vec<Hook>,
    breaker_store: Option<Arc<dyn BreakerStore>>,
}

impl ExtensionsBuilder {
    pub(crate) fn new() -> Self {
        Self {
            discover: false,
            resources: Resources::default(),
            registrations: Registrations::new(),
            renames: Renames::default(),
            defaults: AsyncOptions::new(),
            queue: None,
            config_source: Source::default(),
            chosen: ConfigLayer::default(),
            settings: Settings {
                config: Config::default(),
                mode: Mode::default(),
                profiling: false,
                slow_threshold: Duration::ZERO,
                max_depth: 64,
                idempotency_window: Duration::from_secs(24 * 60 * 60),
                retention: Retention::default(),
                clock: Arc::new(SystemClock),
                traceparent: None,
                adopt_traceparent: None,
                observers: Vec::new(),
                fire_layers: Vec::new(),
                push_layers: Vec::new(),
                sync: None,
                fake: None,
                #[cfg(feature = "tower")]
                attempts: None,
            },
            #[cfg(feature = "tower")]
            attempt_layers: AttemptLayers::default(),
            features: None,
            breaker_hooks: Vec::new(),
            breaker_store: None,
        }
    }

    /// Everything in memory, on the fake's clock, and recorded; no file is read.
    pub(crate) fn faked(mut self, fake: Arc<Fake>) -> Self {
        self.config_source = Source::Nothing;
        self.settings.clock = Arc::clone(fake.clock()) as Arc<dyn Clock>;
        self.queue = Some(in_memory(Arc::clone(&self.settings.clock)));
        self.settings.fake = Some(fake);
        self
    }

    /// Reads this file instead of looking for one. Without it the file is that of the variable `EXTENSIONS_CONFIG`, else the first
    /// `extensions.toml` from the working directory upward, if there is one. What the builder is told beats variables, and they beat
    /// the file.
    #[cfg(feature = "config")]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_source = Source::Named(path.into());
        self
    }

    /// Reads no file, whatever lies around. Variables count all the same.
    pub fn without_config(mut self) -> Self {
        self.config_source = Source::Nothing;
        self
    }

    /// The configuration that [`build`](Self::build) would use, as far as the builder has been told; it opens nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every mistake in the file and in variables.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let (config, mistakes) = self.layers();
        ConfigError::of(mistakes).map_or(Ok(config), Err)
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

    /// The queue, by URL: `sqlite://jobs.db`; `sync:` runs async handlers in place. Without it `EXTENSIONS_QUEUE_URL` is used, else
    /// `queue_url` of the configuration.
    pub fn queue_url(mut self, url: impl Into<String>) -> Self {
        self.chosen.choose(&keys::QUEUE_URL, Value::Text(url.into()));
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
        self.register_many(Registrations::new().register::<P, H>(handler, options))
    }

    /// Registers a closure as a plain inline handler under a name of its own.
    #[track_caller]
    pub fn register_fn<P: ExtensionPoint>(
        self,
        name: impl Into<String>,
        handler: impl Fn(&mut P, &Context) -> HandlerResult<P::Output> + Send + Sync + 'static,
        options: HandlerOptions,
    ) -> Self {
        self.register_many(Registrations::new().register_fn::<P>(name, handler, options))
    }

    /// Registers an awaited inline handler.
    #[track_caller]
    pub fn register_awaited<P: ExtensionPoint, H: AwaitedHandler<P>>(
        self,
        handler: H,
        options: HandlerOptions,
    ) -> Self {
        self.register_many(Registrations::new().register_awaited::<P, H>(handler, options))
    }

    /// Registers a stage of the point's pipeline ([`Registrations::register_stage`]).
    #[track_caller]
    pub fn register_stage<P: ExtensionPoint, S: Stage<P>>(self, stage: S, options: HandlerOptions) -> Self {
        self.register_many(Registrations::new().register_stage::<P, S>(stage, options))
    }

    /// Registers an async handler. The options that `#[async_handler]` gives its type are the base; the arguments win.
    #[track_caller]
    pub fn register_async<P: Queued, H: AsyncHandler<P>>(self, handler: H, options: AsyncOptions) -> Self {
        self.register_many(Registrations::new().register_async::<P, H>(handler, options))
    }

    /// Registers a handler of every point whose name matches a pattern ([`Registrations::on_any`]).
    #[track_caller]
    pub fn on_any<H: AnyHandler>(self, pattern: impl Into<String>, handler: H) -> Self {
        self.register_many(Registrations::new().on_any(pattern, handler))
    }

    /// Registers a handler of every point whose name matches a pattern, with options ([`Registrations::on_any_with`]).
    #[track_caller]
    pub fn on_any_with<H: AnyHandler>(
        self,
        pattern: impl Into<String>,
        handler: H,
        options: HandlerOptions,
    ) -> Self {
        self.register_many(Registrations::new().on_any_with(pattern, handler, options))
    }

    /// Registers all handlers of a list.
    pub fn register_many(mut self, registrations: Registrations) -> Self {
        self.registrations = self.registrations.and(registrations);
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

    /// The name of the environment, which conditions ask for. Without it `EXTENSIONS_ENV` is used, else `environment` of the
    /// configuration, else `production`, the safest to be taken for by mistake.
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.chosen.choose(&keys::ENVIRONMENT, Value::Text(name.into()));
        self
    }

    /// Where feature flags come from, which conditions ask for; default: variables ([`EnvFlags`](crate::features::EnvFlags)), then
    /// `[features]` of the configuration.
    pub fn features(mut self, flags: impl FeatureFlags) -> Self {
        self.features = Some(Arc::new(flags));
        self
    }

    /// The numbers of the circuit breakers of all handlers that say nothing themselves; default: 5 failures in a row open one for
    /// 60 s, then 3 calls at a time until 3 successes close it.
    pub fn circuit_breaker(mut self, options: BreakerOptions) -> Self {
        self.chosen.choose_breaker(options);
        self
    }

    /// No circuit breakers, but for handlers that have numbers of their own.
    pub fn without_circuit_breaker(mut self) -> Self {
        self.chosen.choose(&keys::BREAKER, Value::Flag(false));
        self
    }

    /// Called with every change of a circuit breaker's state. It runs on the path of the call that made the change. A panic in it is
    /// logged and changes nothing.
    pub fn on_breaker_change(mut self, hook: impl Fn(&BreakerChange) + Send + Sync + 'static) -> Self {
        self.breaker_hooks.push(Arc::new(hook));
        self
    }

    /// Where the changes of circuit breakers are shared with other instances and processes.
    pub fn breaker_store(mut self, store: impl BreakerStore) -> Self {
        self.breaker_store = Some(Arc::new(store));
        self
    }

    /// Told of every fire when it is over.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.settings.observers.push(Arc::new(observer));
        self
    }

    /// Wraps every fire. The first layer is the outermost.
    pub fn fire_layer(mut self, layer: impl FireLayer) -> Self {
        self.settings.fire_layers.push(Arc::new(layer));
        self
    }

    /// Wraps every push of jobs. The first layer is the outermost.
    pub fn push_layer(mut self, layer: impl PushLayer) -> Self {
        self.settings.push_layers.push(Arc::new(layer));
        self
    }

    /// Wraps every attempt of a job that this instance's workers make, with a layer of `tower`. The first layer is the outermost.
    ///
    /// The layer is called once, in [`build`](Self::build), and its service is cloned for each attempt: what the clones share, all
    /// workers of the instance share. [`AttemptService`] says what lies inside of the layers and what outside, and what their errors
    /// mean.
    #[cfg(feature = "tower")]
    pub fn attempt_layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<AttemptService> + Send + Sync + 'static,
        L::Service: Service<Job, Response = (), Error = HandlerError, Future: Send + 'static>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.attempt_layers.push(layer);
        self
    }

    /// The options of async handlers that say nothing themselves; what is not set here comes from `[async]` of the configuration.
    pub fn async_defaults(mut self, defaults: AsyncOptions) -> Self {
        self.defaults = defaults;
        self
    }

    /// Whether every fire is graceful unless it says otherwise; default no.
    pub fn graceful(mut self, graceful: bool) -> Self {
        self.chosen.choose(&keys::GRACEFUL, Value::Flag(graceful));
        self
    }

    /// Whether firing a point without handlers is an error; default no.
    pub fn strict(mut self, strict: bool) -> Self {
        self.chosen.choose(&keys::STRICT, Value::Flag(strict));
        self
    }

    /// Whether each handler and fire is timed and the report shows it; default no.
    pub fn profiling(mut self, profiling: bool) -> Self {
        self.chosen.choose(&keys::PROFILING, Value::Flag(profiling));
        self
    }

    /// From which duration on a handler is warned about as slow; default 100 ms.
    pub fn slow_threshold(mut self, threshold: Duration) -> Self {
        self.chosen.choose(&keys::SLOW_THRESHOLD, Value::Time(threshold));
        self
    }

    /// How deep fires may be nested; default 64.
    pub fn max_depth(mut self, depth: u32) -> Self {
        self.settings.max_depth = depth;
        self
    }

    /// How long after a fire with an idempotency key another one with the same key queues nothing new; default 24 h
    /// ([`Fire::idempotency_key`](crate::fire::Fire::idempotency_key)).
    pub fn idempotency_window(mut self, window: Duration) -> Self {
        self.settings.idempotency_window = window;
        self
    }

    /// How long finished jobs are kept; default 1 h completed, 24 h cancelled, 14 days dead and quarantined.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.chosen.choose_retention(retention);
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

    /// Makes the span of an attempt, or of a callback, a child of the one that the job's `traceparent` names. The text comes from the store
    /// and may be anything. Called before the span is entered.
    pub fn adopt_traceparent(mut self, adopt: fn(&tracing::Span, &str)) -> Self {
        self.settings.adopt_traceparent = Some(adopt);
        self
    }

    /// One trace for a fire and all that its jobs do, where spans go to OpenTelemetry through `tracing-opentelemetry` 0.34: the trace context
    /// of the current span travels with the jobs, and attempts are children of it. With another version of that crate, give
    /// [`traceparent`](Self::traceparent) and [`adopt_traceparent`](Self::adopt_traceparent) functions of your own.
    #[cfg(feature = "opentelemetry")]
    pub fn opentelemetry(self) -> Self {
        use crate::telemetry::opentelemetry::{adopt, current};
        self.traceparent(current).adopt_traceparent(adopt)
    }

    /// Reads the configuration, opens the queue, checks everything and makes the instance. Under a configuration with mistakes no
    /// queue is opened.
    ///
    /// # Errors
    ///
    /// [`BuildError`] with every problem: mistakes in the configuration, names used twice, resources that are missing, options that
    /// cannot be, async handlers without a queue, a queue that cannot be opened.
    pub async fn build(mut self) -> Result<Extensions, BuildError> {
        let (config, mistakes) = self.layers();
        // A store that half a configuration names may be the wrong one.
        let may_open = mistakes.is_empty() || self.queue.is_some();
        let queue = if may_open { self.open_queue(&config).await } else { Ok(None) };
        let clock = Arc::clone(&self.settings.clock);
        let breakers = Arc::new(Breakers::new(clock, self.breaker_hooks, self.breaker_store.clone()));
        if let Some(store) = &self.breaker_store {
            store.attach(BreakerLink::new(&breakers));
        }
        let premises = Premises {
            resources: self.resources,
            defaults: config.async_defaults(self.defaults),
            renames: self.renames,
            capabilities: queue.as_ref().ok().and_then(|queue| Some(queue.as_ref()?.capabilities())),
            environment: config.environment(),
            features: self.features.unwrap_or_else(|| Arc::new(config.features())),
            breaker: config.breaker(),
            breakers,
        };
        self.settings.configure(config);
        #[cfg(feature = "tower")]
        {
            self.settings.attempts = self.attempt_layers.wrapped();
        }
        let mut registrar = Registrar::new(&premises);
        if self.discover {
            registrar.discover();
        }
        self.registrations.apply(&mut registrar);
        let wrong_breaker = premises.breaker.and_then(|options| options.check().err()).into_iter().flatten();
        let wrong_breaker: Vec<_> = wrong_breaker
            .map(|why| BuildProblem::Setting { message: format!("`.circuit_breaker(…)`: {why}") })
            .collect();
        let mut problems: Vec<_> = mistakes.into_iter().map(BuildProblem::Config).collect();
        let registry = registrar.finish().map_err(|wrong| problems.extend(wrong)).ok();
        problems.extend(wrong_breaker);
        let queue = queue.unwrap_or_else(|error| {
            problems.push(BuildProblem::Queue(error));
            None
        });
        if queue.is_none() && problems.is_empty() {
            problems.extend(registry.as_ref().and_then(Registry::needs_queue));
        }
        match registry {
            Some(registry) if problems.is_empty() => {
                warn_of_deprecated(&registry);
                Ok(Extensions::new(registry, premises, queue, self.settings))
            }
            _ => Err(BuildError::at_start(problems)),
        }
    }

    /// The queue that was given itself, not by URL.
    #[cfg(feature = "console")]
    pub(crate) const fn given_queue(&self) -> Option<&Arc<dyn QueueBackend>> {
        self.queue.as_ref()
    }

    /// The builder without that queue.
    #[cfg(feature = "console")]
    pub(crate) fn without_given_queue(mut self) -> Self {
        self.queue = None;
        self
    }

    /// The configuration as it holds under what the builder was told.
    fn layers(&self) -> (Config, Vec<ConfigMistake>) {
        let (mut config, mistakes) = Config::read(&self.config_source);
        config.cover(self.chosen.clone());
        config.note_async_defaults(&self.defaults);
        if let Some(queue) = &self.queue {
            config.note_queue(queue.describe());
        }
        if self.features.is_some() {
            config.note_features();
        }
        (config, mistakes)
    }

    async fn open_queue(&mut self, config: &Config) -> Result<Option<Arc<dyn QueueBackend>>, QueueError> {
        if let Some(queue) = self.queue.take() {
            return Ok(Some(queue));
        }
        match config.queue_url() {
            Some(url) if is_sync(&url) => {
                tracing::info!(
                    name: event::SYNC_MODE,
                    "sync: async handlers run in place while `fire` waits; this is for development"
                );
                self.settings.sync = Some(SyncMode::default());
                Ok(Some(in_memory(Arc::clone(&self.settings.clock))))
            }
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
            .finish_non_exhaustive()
    }
}

fn warn_of_deprecated(registry: &Registry) {
    let described = |name: String, deprecated: Option<Deprecation>| {
        let note = deprecated?.note.map(|note| format!(" ({note})")).unwrap_or_default();
        Some(format!("{name}{note}"))
    };
    let handlers = registry.handlers().iter();
    let handlers: Vec<_> =
        handlers.filter_map(|info| described(info.key().to_string(), info.deprecated)).collect();
    if !handlers.is_empty() {
        tracing::warn!(name: event::DEPRECATED_HANDLERS, "deprecated handlers are registered: {}", handlers.join(", "));
    }
    let points = registry.points().iter().filter(|point| point.handlers > 0);
    let points: Vec<_> = points.filter_map(|point| described(point.name.clone(), point.deprecated)).collect();
    if !points.is_empty() {
        tracing::warn!(name: event::DEPRECATED_POINTS, "deprecated points have handlers: {}", points.join(", "));
    }
}

//! The guide, page by page. Every block of code is compiled and run as a test.
//!
//! | page | what it says |
//! |---|---|
//! | [`points`] | how points are declared, their versions, points of mixed types |
//! | [`handlers`] | inline, awaited, async and blocking handlers; order, options, resources |
//! | [`firing`] | building an instance, what a fire does and reports, its options and errors |
//! | [`configuration`] | `extensions.toml`, variables and the builder: every key, and where each value comes from |
//! | [`registration`] | handlers by hand and on a running instance, wildcards, conditions, tags and groups, looking |
//! | [`scopes`] | tenants, users, requests: values and handlers that follow a task and its jobs |
//! | [`safety`] | graceful and strict, guards, mute and silence, circuit breakers |
//! | [`results`] | one value out of the outputs: strategies; what a fire would do: plans |
//! | [`pipelines`] | values through stages; the stages of a point |
//! | [`transactions`] | jobs in the caller's transaction; handlers that end their job in one of their own |
//! | [`idempotency`] | keys that make a repeated fire harmless |
//! | [`follow_ups`] | what a job fires, queued together with its completion |
//! | [`jobs`] | handles to queued jobs: state, end, result, cancelling |
//! | [`workers`] | a worker's options, shut-down, what it does while it runs |
//! | [`supervisor`] | pools of worker processes: kept alive, rolled, scaled; systemd, Supervisor, Procfile, Kubernetes |
//! | [`console`] | an application's own binary as its operator's tool: commands, exit codes, answers for programs |
//! | [`operations`] | what an operator types: pause, a job that does not run, dead jobs, releases, metrics, cron |
//! | [`telemetry`] | metrics, probes, traces through the queue, events: every name |
//! | [`async_handlers`] | every option of async handlers, back-off, callbacks, unique jobs, monitoring, practice |
//! | [`layers`] | observers, and layers around fires, pushes and attempts: what they see, their order |
//! | [`axum`] | an extractor, the scopes of a request, and errors as answers, for programs with axum |
//! | [`sea_orm`] | rows of a database as fields of points, with SeaORM |
//! | [`testing`] | fakes with assertions, jobs and time moved by hand, a queue that fails when it is told to, jobs in place |
//! | [`lifecycle`] | the states of a job and the roads between them |
//! | [`guarantees`] | what is promised when a process dies, step by step |
//! | [`backends`] | what each queue can do, and how further ones fit the contract |
//! | [`plugins`] | handlers from other crates, and linkers that drop them |
//! | [`coming_from`] | every name of laravel-extensions, and what it is here |
//! | [`upgrading`] | new names, new versions, programs of different age side by side |

// The pages link to each other and to the source by file, which is right in the repository. A definition before a page wins over its
// own, and points to the item or module.

/// [`ExtensionPoint`]: crate::ExtensionPoint
/// [`Verdict`]: crate::Verdict
/// [`rename_point`]: crate::ExtensionsBuilder::rename_point
/// [upgrading]: upgrading
/// [`QueuedPoint`]: crate::QueuedPoint
/// [`Queued`]: crate::Queued
#[doc = include_str!("docs/points.md")]
pub mod points {}

/// [`Handler`]: crate::Handler
/// [`AwaitedHandler`]: crate::AwaitedHandler
/// [`AsyncHandler`]: crate::AsyncHandler
/// [`Stage`]: crate::Stage
/// [`BlockingHandler`]: crate::BlockingHandler
/// [async handlers]: async_handlers
/// [`BuildError`]: crate::BuildError
/// [`HandlerError`]: crate::HandlerError
/// [`HandlerError::permanent`]: crate::HandlerError::permanent
/// [`missing`]: crate::HandlerError::missing
/// [`retry_after`]: crate::HandlerError::retry_after
/// [`snooze`]: crate::HandlerError::snooze
/// [`cancel`]: crate::HandlerError::cancel
/// [`Context`]: crate::Context
/// [`Job`]: crate::Job
/// [guard]: safety#guards
/// [conditions]: registration#conditions
/// [safety]: safety#circuit-breakers
#[doc = include_str!("docs/handlers.md")]
pub mod handlers {}

/// [`Extensions`]: crate::Extensions
/// [`BuildError`]: crate::BuildError
/// [`Fired`]: crate::Fired
/// [`FireError`]: crate::FireError
/// [`FireErrorKind`]: crate::FireErrorKind
/// [registrations]: registration
/// [safety]: safety
/// [scope]: scopes
/// [transaction]: transactions
/// [idempotency key]: idempotency
/// [configuration]: configuration
#[doc = include_str!("docs/firing.md")]
pub mod firing {}

/// [`Fired`]: crate::Fired
/// [`Emptiable`]: crate::Emptiable
/// [`Strategy`]: crate::Strategy
#[doc = include_str!("docs/results.md")]
pub mod results {}

/// [`Stage`]: crate::Stage
/// [`PipelineError`]: crate::PipelineError
/// [`Piped`]: crate::Piped
#[doc = include_str!("docs/pipelines.md")]
pub mod pipelines {}

/// [`Config`]: crate::config::Config
/// [`Entry`]: crate::config::Entry
/// [`BuildError`]: crate::BuildError
/// [`EnvFlags`]: crate::features::EnvFlags
/// [workers]: workers
#[cfg(any(not(doctest), feature = "config"))]
#[doc = include_str!("docs/configuration.md")]
pub mod configuration {}

/// [handlers]: handlers
/// [`Registrations`]: crate::Registrations
/// [`BuildError`]: crate::BuildError
/// [`StaticFlags`]: crate::features::StaticFlags
/// [`EnvFlags`]: crate::features::EnvFlags
/// [`FlagFn`]: crate::features::FlagFn
/// [`FeatureFlags`]: crate::features::FeatureFlags
/// [scope]: scopes
/// [safety]: safety
#[doc = include_str!("docs/registration.md")]
pub mod registration {}

/// [`Scope`]: crate::Scope
#[doc = include_str!("docs/scopes.md")]
pub mod scopes {}

/// [`FireErrorKind::Silenced`]: crate::FireErrorKind::Silenced
/// [`CircuitBreaker`]: crate::breaker::CircuitBreaker
/// [`BreakerStore`]: crate::breaker::BreakerStore
/// [`SharedBreakers`]: crate::breaker::SharedBreakers
#[doc = include_str!("docs/safety.md")]
pub mod safety {}

/// [`Transaction`]: crate::queue::Transaction
/// [`FireErrorKind::PushFailedWithin`]: crate::FireErrorKind::PushFailedWithin
/// [testing]: testing
// Its code is tested in `tests`, which has the database drivers that it needs.
#[cfg(not(doctest))]
#[doc = include_str!("docs/transactions.md")]
pub mod transactions {}

/// [follow-ups]: follow_ups
/// [guarantees]: guarantees
#[doc = include_str!("docs/idempotency.md")]
pub mod idempotency {}

/// [`Job`]: crate::Job
#[doc = include_str!("docs/follow_ups.md")]
pub mod follow_ups {}

/// [async handlers]: async_handlers#monitoring
#[doc = include_str!("docs/jobs.md")]
pub mod jobs {}

/// [`Control`]: crate::worker::Control
/// [`WorkerStatus`]: crate::worker::WorkerStatus
/// [`WorkerReport`]: crate::WorkerReport
/// [lifecycle]: lifecycle
/// [guarantees]: guarantees
/// [async handlers]: async_handlers
#[doc = include_str!("docs/workers.md")]
pub mod workers {}

/// [configuration]: configuration
/// [console]: console
/// [telemetry]: telemetry
/// [workers]: workers
#[cfg(any(not(doctest), all(feature = "supervisor", unix)))]
#[doc = include_str!("docs/supervisor.md")]
pub mod supervisor {}

/// [operations]: operations
/// [supervisor]: supervisor
/// [workers]: workers
#[cfg(any(not(doctest), feature = "console"))]
#[doc = include_str!("docs/console.md")]
pub mod console {}

/// [console]: console
/// [supervisor]: supervisor
/// [telemetry]: telemetry
/// [upgrading]: upgrading
/// [workers]: workers
#[doc = include_str!("docs/operations.md")]
pub mod operations {}

/// [`Memory`]: crate::queue::Memory
/// [`FaultyQueue`]: crate::testing::FaultyQueue
/// [environment]: registration#conditions
#[doc = include_str!("docs/testing.md")]
pub mod testing {}

// The code of the next two is tested in `tests/axum`, beside the server that it needs.
#[cfg(not(doctest))]
#[doc = include_str!("docs/layers.md")]
pub mod layers {}

#[cfg(not(doctest))]
#[doc = include_str!("docs/axum.md")]
pub mod axum {}

// Its code is tested in `tests/opentelemetry`, beside the SDK that it needs.
#[cfg(not(doctest))]
#[doc = include_str!("docs/telemetry.md")]
pub mod telemetry {}

// Its code is tested in `tests/sea-orm`, beside the database driver that it needs.
#[cfg(not(doctest))]
#[doc = include_str!("docs/sea_orm.md")]
pub mod sea_orm {}

/// [guarantees]: guarantees
/// [workers]: workers#stuck-handlers
/// [Telemetry]: telemetry
#[doc = include_str!("docs/async.md")]
pub mod async_handlers {}

#[doc = include_str!("docs/lifecycle.md")]
pub mod lifecycle {}

/// [idempotency key]: idempotency
/// [transactions]: transactions
#[doc = include_str!("docs/guarantees.md")]
pub mod guarantees {}

/// [testing]: testing
#[cfg_attr(feature = "postgres", doc = "[postgres]: crate::queue::Postgres")]
#[cfg_attr(feature = "redis", doc = "[redis]: crate::queue::Redis")]
#[doc = include_str!("docs/backends.md")]
pub mod backends {}

#[doc = include_str!("docs/plugins.md")]
pub mod plugins {}

#[doc = include_str!("docs/speed.md")]
pub mod speed {}

/// [console]: console
#[doc = include_str!("docs/coming_from.md")]
pub mod coming_from {}

/// [plugins]: plugins
#[doc = include_str!("docs/upgrading.md")]
pub mod upgrading {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

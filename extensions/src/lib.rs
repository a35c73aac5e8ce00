//! Typed extension points, inline handlers and durable background handlers, by attribute.
//!
//! An application declares *extension points* as structs and attaches *handlers* to them, anywhere in its crate graph. Firing a
//! point runs its inline handlers by priority and then queues its async handlers, durably, in one step. Workers run the queued
//! ones with retries, back-off, time-outs, uniqueness and dead-lettering.
//!
//! The [`guide`] explains all of it, page by page; every block of code in it is a test.
//!
//! | feature | what it brings |
//! |---|---|
//! | `config` | the configuration file, `extensions.toml` |
//! | `sqlite` | the embedded queue in one file, `sqlite://jobs.db` |
//! | `sqlx-sqlite` | fires within transactions of sqlx in the SQLite file that is also the queue |
//! | `postgres` | the queue in a PostgreSQL database, and fires within transactions of sqlx there |
//! | `redis` | the queue in Redis or Valkey |
//! | `sea-orm` | `ModelRef`: a row of a database as a field of a point |
//! | `tower` | layers around the attempts of jobs |
//! | `axum` | an extractor, a layer that enters scopes, and an error that is an answer, for axum; with `tower` |
//! | `console` | the console, for an application's own binary, and the binary `extensions` |
//! | `metrics` | metrics of fires, jobs, workers and queues, as Prometheus text and over HTTP |
//! | `opentelemetry` | one trace for a fire and its jobs, with `tracing-opentelemetry` |
//! | `supervisor` | pools of worker processes, kept alive and scaled; on unix |
//! | `testing` | for authors of backends: the conformance suite |
//!
//! The memory queue is always there.

#![forbid(unsafe_code)]

pub use extensions_macros::{
    ExtensionPoint, async_handler, circuit_breaker, declare_handler, extension_handler, scheduled, when,
};
pub use extensions_runtime::fire::{
    Emptiable, FireError, FireErrorKind, FireReport, Fired, Piped, Pipeline, PipelineError, Plan, Strategy,
};
pub use extensions_runtime::handler::{
    AnyHandler, AsyncHandler, AsyncOptions, AwaitedHandler, BlockingHandler, Context, Handler, HandlerError,
    HandlerInfo, HandlerOptions, HandlerResult, IntoOutput, Next, OnFailure, OnRetry, OnUnavailable, Stage,
    Verdict, Veto,
};
pub use extensions_runtime::point::{AnyPoint, ExtensionPoint, Queued, QueuedPoint};
pub use extensions_runtime::policy::{Backoff, BreakerOptions, BreakerStatus};
pub use extensions_runtime::registry::{BuildError, BuildProblem, Registrations, Registry, Res, Resources};
pub use extensions_runtime::scope::Scope;
pub use extensions_runtime::worker::{Job, JobError, WorkerBuilder, WorkerReport};
pub use extensions_runtime::{
    BoxError, BoxFuture, Extensions, ExtensionsBuilder, JobHandle, Registration, SilenceGuard, SwitchGuard,
    SwitchedOff, fire, fire_sync,
};

#[doc(inline)]
pub use extensions_runtime::{
    breaker, config, features, handler, job, point, queue, registry, scope, telemetry, time, worker,
};

#[cfg(all(feature = "supervisor", unix))]
#[doc(inline)]
pub use extensions_runtime::supervisor;

#[cfg(feature = "console")]
#[doc(inline)]
pub use extensions_runtime::console;

#[cfg(feature = "sea-orm")]
#[doc(inline)]
pub use extensions_runtime::bridge::sea_orm;

#[cfg(feature = "axum")]
#[doc(inline)]
pub use extensions_runtime::bridge::axum;

/// What layers around the attempts of jobs are written with ([`ExtensionsBuilder::attempt_layer`]).
#[cfg(feature = "tower")]
pub mod tower {
    #[doc(inline)]
    pub use extensions_runtime::worker::AttemptService;
    #[doc(no_inline)]
    pub use extensions_runtime::worker::{Layer, Service};
}

pub mod guide;

/// For tests: what a fake records, a queue that fails when it is told to, and the suite for authors of queues.
#[cfg_attr(feature = "testing", doc = include_str!("conformance.md"))]
pub mod testing {
    #[cfg(feature = "testing")]
    #[doc(inline)]
    pub use extensions_runtime::conformance;
    pub use extensions_runtime::testing::{FaultyQueue, Injected, RecordedFire};
}

#[doc(hidden)]
pub use extensions_runtime::__private;

/// Everything that most programs need: `use extensions::prelude::*;`.
pub mod prelude {
    pub use extensions_macros::{
        ExtensionPoint, async_handler, circuit_breaker, declare_handler, extension_handler, scheduled, when,
    };
    pub use extensions_runtime::fire::{Emptiable, FireError, Fired, Pipeline, Strategy};
    pub use extensions_runtime::handler::{
        AnyHandler, AsyncHandler, AsyncOptions, AwaitedHandler, BlockingHandler, Context, Handler,
        HandlerError, HandlerOptions, HandlerResult, Next, OnFailure, OnRetry, OnUnavailable, Stage, Verdict,
    };
    pub use extensions_runtime::point::{AnyPoint, ExtensionPoint, Queued, QueuedPoint};
    pub use extensions_runtime::policy::{Backoff, BreakerOptions};
    pub use extensions_runtime::registry::{Registrations, Res, Resources};
    pub use extensions_runtime::time::secs;
    pub use extensions_runtime::worker::{Job, JobError, WorkerReport};
    pub use extensions_runtime::{BoxError, Extensions};
}

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
//! | `sqlite` | the embedded queue in one file, `sqlite://jobs.db` |
//! | `sea-orm` | `ModelRef`: a row of a database as a field of a point |
//! | `testing` | for authors of backends: the conformance suite |
//!
//! The memory queue is always there.

#![forbid(unsafe_code)]

pub use extensions_macros::{
    ExtensionPoint, async_handler, circuit_breaker, declare_handler, extension_handler, scheduled, when,
};
pub use extensions_runtime::fire::{FireError, FireErrorKind, FireReport, Fired};
pub use extensions_runtime::handler::{
    AsyncHandler, AsyncOptions, AwaitedHandler, BlockingHandler, Context, Handler, HandlerError, HandlerInfo,
    HandlerOptions, HandlerResult, IntoOutput, OnFailure, OnRetry, Verdict, Veto,
};
pub use extensions_runtime::point::{ExtensionPoint, Queued, QueuedPoint};
pub use extensions_runtime::policy::Backoff;
pub use extensions_runtime::registry::{BuildError, BuildProblem, Registry, Res, Resources};
pub use extensions_runtime::worker::{Job, JobError, WorkerBuilder, WorkerReport};
pub use extensions_runtime::{BoxError, BoxFuture, Extensions, ExtensionsBuilder, fire, fire_sync};

#[doc(inline)]
pub use extensions_runtime::{handler, job, point, queue, registry, time, worker};

#[cfg(feature = "sea-orm")]
#[doc(inline)]
pub use extensions_runtime::bridge::sea_orm;

pub mod guide;

/// For authors of queues: the suite that proves that a [`QueueBackend`](crate::queue::QueueBackend) keeps its contract.
///
/// It is a test target without libtest's harness, `harness = false` in its `[[test]]`:
///
/// ```standalone_crate
/// use std::sync::Arc;
///
/// use extensions::queue::{Memory, QueueBackend};
/// use extensions::testing::conformance::Fixture;
///
/// struct Mine(Memory);              // a fresh store for each case
///
/// impl Fixture for Mine {
///     fn backend(&self) -> Arc<dyn QueueBackend> {
///         Arc::new(self.0.clone())
///     }
/// }
///
/// async fn make_backend() -> Mine {
///     Mine(Memory::new())
/// }
///
/// extensions::testing::conformance!(make_backend);
/// ```
#[cfg(feature = "testing")]
pub mod testing {
    #[doc(inline)]
    pub use extensions_runtime::conformance;
}

#[doc(hidden)]
pub use extensions_runtime::__private;

/// Everything that most programs need: `use extensions::prelude::*;`.
pub mod prelude {
    pub use extensions_macros::{
        ExtensionPoint, async_handler, circuit_breaker, declare_handler, extension_handler, scheduled, when,
    };
    pub use extensions_runtime::fire::{FireError, Fired};
    pub use extensions_runtime::handler::{
        AsyncHandler, AsyncOptions, AwaitedHandler, BlockingHandler, Context, Handler, HandlerError,
        HandlerOptions, HandlerResult, OnFailure, OnRetry, Verdict,
    };
    pub use extensions_runtime::point::{ExtensionPoint, Queued, QueuedPoint};
    pub use extensions_runtime::policy::Backoff;
    pub use extensions_runtime::registry::{Res, Resources};
    pub use extensions_runtime::time::secs;
    pub use extensions_runtime::worker::{Job, JobError, WorkerReport};
    pub use extensions_runtime::{BoxError, Extensions};
}

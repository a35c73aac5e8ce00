//! What an application can be watched by: metrics, spans, and an HTTP endpoint for probes and scrapers.
//!
//! `names` has every name once, and `record` is the one place where metrics are emitted; everything may name these two. The rest
//! stands above the modules that it shows.

pub mod names;
pub(crate) mod record;

#[cfg(feature = "opentelemetry")]
pub(crate) mod opentelemetry;

#[cfg(feature = "metrics")]
mod prometheus;
#[cfg(feature = "metrics")]
mod queues;
#[cfg(feature = "metrics")]
mod serve;
#[cfg(feature = "metrics")]
mod text;

#[cfg(feature = "metrics")]
pub use self::prometheus::{Prometheus, RecorderTaken};
#[cfg(feature = "metrics")]
pub use self::queues::QueueGauges;
#[cfg(feature = "metrics")]
pub use self::serve::{Endpoints, Health, Server, serve};
#[cfg(feature = "metrics")]
pub use self::text::{merge, without_gauges};

//! The runtime of the `extensions` framework. Use it through the crate `extensions`, whose docs explain everything;
//! this crate's own paths are not a stable surface.

mod backend;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod job;
pub mod queue;
pub mod time;

/// Any error that can be sent between threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

//! Workers: claim jobs, run their handlers, settle them.
//!
//! One worker is a loop (`run`) that claims into a small buffer (`feed`), and tasks that take job after job from it; a settler that
//! ends claims in batches; a heartbeat on a thread of its own, so that a handler that blocks its thread keeps its lease, which also
//! gives up handlers that are stuck and watches the claims; and a task of upkeep for the whole store.

mod builder;
mod conclude;
mod control;
mod executor;
mod feed;
mod heartbeat;
mod in_place;
mod job;
#[cfg(feature = "tower")]
mod layer;
mod leases;
mod limits;
mod memory;
mod order;
mod outage;
mod pulse;
mod report;
mod run;
mod running;
mod settler;
mod shutdown;
mod status;
mod stuck;
mod sync;
mod tallies;
mod threads;
mod unserved;
mod upkeep;
mod watchdog;
mod window;

pub use self::builder::WorkerBuilder;
pub use self::control::Control;
pub(crate) use self::in_place::InPlace;
pub use self::job::{Job, JobError};
#[cfg(feature = "tower")]
pub(crate) use self::layer::AttemptLayers;
#[cfg(feature = "tower")]
pub use self::layer::{AttemptService, Layer, Service};
pub use self::report::{StopReason, WorkerReport};
pub use self::status::WorkerStatus;
pub(crate) use self::sync::SyncMode;
pub use self::watchdog::WATCHDOG_EXIT;

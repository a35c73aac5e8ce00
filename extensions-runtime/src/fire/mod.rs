//! Firing: runs a point's inline handlers, then queues its async ones in one push.

mod builder;
mod dispatch;
mod error;
mod jobs;
mod many;
mod report;
mod tally;

pub use self::builder::Fire;
pub(crate) use self::builder::Mode;
pub use self::error::{FireError, FireErrorKind};
pub use self::report::{
    DuplicateJob, FireReport, Fired, HandlerFailure, QueuedJob, SkipReason, Skipped, VetoedBy,
};

//! Firing: runs a point's inline handlers, then queues its async ones in one push.

mod builder;
mod call;
mod destination;
mod dispatch;
mod error;
mod follow_ups;
mod gate;
mod jobs;
mod layer;
mod many;
mod observe;
pub mod output;
mod pipeline;
mod plan;
mod report;
mod run;
mod strategy;
mod tally;
mod within;

pub(crate) use self::builder::Mode;
pub use self::builder::{Fire, ToQueue};
pub(crate) use self::destination::Destination;
pub use self::error::{FireError, FireErrorKind};
pub use self::follow_ups::AfterJob;
pub(crate) use self::follow_ups::{FollowUps, ended};
pub(crate) use self::layer::{DynFireLayer, DynPushLayer};
pub use self::layer::{FireInfo, FireLayer, FireOutcome, NextFire, NextPush, PushLayer};
pub use self::observe::{Observed, Observer};
pub use self::output::{Emptiable, WithOutput};
pub use self::pipeline::{Piped, Pipeline, PipelineError, PipelineFailure, Sending, StageFate, StageReport};
pub use self::plan::{Fate, Plan, Planned, PlannedJob};
pub use self::report::{
    DuplicateJob, FireReport, Fired, HandlerFailure, QueuedJob, SkipReason, Skipped, VetoedBy,
};
pub use self::strategy::Strategy;
pub use self::within::Within;

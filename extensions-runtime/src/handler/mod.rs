//! Handlers: what runs when a point is fired, and what they are given and give back.

pub(crate) mod callback;
mod condition;
mod context;
mod info;
mod options;
mod outcome;
mod stage;
mod traits;

pub(crate) use self::callback::DynCallback;
pub(crate) use self::condition::{Condition, DynPredicate};
pub use self::context::Context;
pub(crate) use self::context::Parent;
pub(crate) use self::info::{BreakerChoice, DEFAULT_PRIORITY, HandlerId, Which};
pub use self::info::{HandlerInfo, HandlerKind, HandlerOptions, OnUnavailable};
pub(crate) use self::options::Callbacks;
pub use self::options::{AsyncOptions, JobOptions, UniqueOptions};
pub(crate) use self::outcome::{Failure, Passed, panic_text};
pub use self::outcome::{HandlerError, HandlerResult, IntoOutput, Verdict, Veto};
pub(crate) use self::stage::{DynStage, Rest, StageShim};
pub use self::stage::{Next, Stage};
pub use self::traits::{
    AnyHandler, AsyncHandler, AwaitedHandler, BlockingHandler, Handler, OnFailure, OnRetry,
};

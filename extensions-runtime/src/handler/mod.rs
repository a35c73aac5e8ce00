//! Handlers: what runs when a point is fired, and what they are given and give back.

pub(crate) mod callback;
mod context;
mod info;
mod options;
mod outcome;
mod traits;

pub use self::context::Context;
pub(crate) use self::info::DEFAULT_PRIORITY;
pub use self::info::{HandlerInfo, HandlerKind, HandlerOptions};
pub(crate) use self::options::Callbacks;
pub use self::options::{AsyncOptions, JobOptions, UniqueOptions};
pub(crate) use self::outcome::{Failure, panic_text};
pub use self::outcome::{HandlerError, HandlerResult, IntoOutput, Verdict, Veto};
pub use self::traits::{AsyncHandler, AwaitedHandler, BlockingHandler, Handler, OnFailure, OnRetry};

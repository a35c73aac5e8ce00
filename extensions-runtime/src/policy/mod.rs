//! Decisions without I/O: when to try again, and what a failed attempt leads to.

mod backoff;
mod retry;

pub use self::backoff::Backoff;
pub(crate) use self::retry::{AfterFailure, after_failure};

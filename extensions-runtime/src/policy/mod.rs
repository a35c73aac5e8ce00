//! Decisions without I/O: when to try again, what a failed attempt leads to, and when calls are kept from what keeps failing.

mod backoff;
mod breaker;
mod retry;

pub use self::backoff::Backoff;
pub(crate) use self::breaker::{Admit, BreakerMachine, Change, Permit};
pub use self::breaker::{BreakerOptions, BreakerStatus};
pub(crate) use self::retry::{AfterFailure, after_failure};

//! Decisions without I/O: when to try again, what a failed attempt leads to, and when calls are kept from what keeps failing.

mod backoff;
#[cfg_attr(not(test), expect(dead_code, reason = "the fires that it guards come next"))]
mod breaker;
mod retry;

pub use self::backoff::Backoff;
#[expect(unused_imports, reason = "the fires that it guards come next")]
pub(crate) use self::breaker::{Admit, BreakerMachine, Change, Permit};
pub use self::breaker::{BreakerOptions, BreakerStatus};
pub(crate) use self::retry::{AfterFailure, after_failure};

//! Moments that processes of one machine agree on. They ask the kernel itself, whatever a process's clock was set to.

use std::time::Duration;

use extensions::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment on the machine's monotonic clock, in microseconds; the same in every process, and unmoved by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let since = Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0));
        Self(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// The moment that much later.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The time since an earlier moment; zero if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// The machine's wall clock.
#[must_use]
pub(super) fn wall_clock() -> Timestamp {
    let now = clock_gettime(ClockId::Realtime);
    Timestamp::from_millis(now.tv_sec * 1000 + now.tv_nsec / 1_000_000)
}

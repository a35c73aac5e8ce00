//! Whether a store can be reached, said once each way.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::telemetry::names::event;
use crate::telemetry::record;

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How the connection to a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Connection {
    /// Whether the last call reached the store.
    pub up: bool,
    /// How often it was lost.
    pub losses: u64,
}

impl Default for Connection {
    fn default() -> Self {
        Self { up: true, losses: 0 }
    }
}

/// Keeps a backend's [`Connection`]: logs a line when it is lost and one when it is back, and counts.
#[derive(Debug)]
pub struct Link {
    place: String,
    up: AtomicBool,
    losses: AtomicU64,
}

impl Link {
    /// A link that is up, to the place that a backend's `describe` names.
    pub fn new(place: impl Into<String>) -> Self {
        Self { place: place.into(), up: AtomicBool::new(true), losses: AtomicU64::new(0) }
    }

    /// A call did not reach the store.
    pub fn lost(&self, error: &dyn fmt::Display) {
        if self.up.swap(false, Ordering::Relaxed) {
            let losses = self.losses.fetch_add(1, Ordering::Relaxed) + 1;
            record::connection_lost(&self.place);
            tracing::warn!(name: event::STORE_LOST, queue = self.place, %error, losses, "the queue cannot be reached; trying until it can");
        }
    }

    /// A call reached the store.
    pub fn works(&self) {
        if !self.up.load(Ordering::Relaxed) && !self.up.swap(true, Ordering::Relaxed) {
            tracing::info!(name: event::STORE_BACK, queue = self.place, "the queue can be reached again");
        }
    }

    /// How it is now.
    #[must_use]
    pub fn state(&self) -> Connection {
        Connection { up: self.up.load(Ordering::Relaxed), losses: self.losses.load(Ordering::Relaxed) }
    }

    /// How long to wait after so many failures in a row, the first being 1: 50 ms, doubled up to 5 s, half of it at random.
    #[must_use]
    pub fn back_off(failures: u32) -> Duration {
        let wait =
            FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures.clamp(1, 10) - 1)).min(LONGEST_WAIT);
        wait.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Link};

    #[test]
    fn each_loss_counts_once_however_many_calls_fail() {
        let link = Link::new("somewhere");
        link.works();
        link.lost(&"gone");
        link.lost(&"gone");
        assert_eq!((link.state().up, link.state().losses), (false, 1));
        link.works();
        link.lost(&"gone again");
        assert_eq!((link.state().up, link.state().losses), (false, 2));
    }

    #[test]
    fn waits_grow_and_stay_within_bounds() {
        for failures in [0, 1, 5, 10, u32::MAX] {
            let wait = Link::back_off(failures);
            assert!((Duration::from_millis(25)..=Duration::from_secs(5)).contains(&wait), "{wait:?}");
        }
        assert!(Link::back_off(1) <= Duration::from_millis(50));
        assert!(Link::back_off(9) >= Duration::from_secs(2));
    }
}

//! When a circuit opens, and how it closes again.

use std::time::Duration;

use serde::Serialize;

use crate::time::secs;

/// The numbers of a circuit breaker: how many failures open it, for how long, and what closes it again.
///
/// ```
/// # use extensions_runtime::{policy::BreakerOptions, time::secs};
/// let strict = BreakerOptions::new().threshold(2).timeout(secs(30)).half_open_max(1);
/// assert!(strict.check().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BreakerOptions {
    pub(super) threshold: u32,
    pub(super) timeout: Duration,
    pub(super) half_open_max: u32,
    pub(super) successes: u32,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl BreakerOptions {
    /// Five failures in a row, 60 s, three calls at a time in half-open, three successes.
    #[must_use]
    pub const fn new() -> Self {
        Self { threshold: 5, timeout: secs(60), half_open_max: 3, successes: 3 }
    }

    /// How many failures in a row open it; default 5.
    #[must_use]
    pub const fn threshold(mut self, failures: u32) -> Self {
        self.threshold = failures;
        self
    }

    /// How long it stays open before calls are tried again; default 60 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many calls are let through at a time in half-open; default 3.
    #[must_use]
    pub const fn half_open_max(mut self, calls: u32) -> Self {
        self.half_open_max = calls;
        self
    }

    /// How many successes in half-open close it; default 3.
    #[must_use]
    pub const fn successes(mut self, successes: u32) -> Self {
        self.successes = successes;
        self
    }

    /// Threshold, time-out, calls in half-open and successes.
    pub(crate) const fn parts(&self) -> (u32, Duration, u32, u32) {
        (self.threshold, self.timeout, self.half_open_max, self.successes)
    }

    /// Whether a breaker can work so.
    ///
    /// # Errors
    ///
    /// Every option that cannot be, with what to write instead.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let zeros = [
            (
                self.threshold == 0,
                "`threshold` is 0, but at least one failure has to open the circuit; write at least 1, or turn the breaker off",
            ),
            (
                self.timeout.is_zero(),
                "`timeout` is 0, so the circuit would never be open; write a longer one, or turn the breaker off",
            ),
            (
                self.half_open_max == 0,
                "`half_open_max` is 0, so the circuit would never close again; write at least 1",
            ),
            (
                self.successes == 0,
                "`successes` is 0, but only a success shows that the circuit may close; write at least 1",
            ),
        ];
        let wrong: Vec<_> =
            zeros.into_iter().filter(|(is_zero, _)| *is_zero).map(|(_, why)| why.to_owned()).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

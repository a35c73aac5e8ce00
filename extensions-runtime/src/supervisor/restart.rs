//! When a process that ended is replaced. Decisions without I/O.

use std::time::{Duration, Instant};

use crate::policy::Backoff;

/// The wait after the first failure; it doubles with each that follows.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);
/// A process that has lived so long was well: the waits begin anew.
const GOOD_LIFE: Duration = Duration::from_secs(60);
/// The least time between two starts where processes end in order, as they do after their last job (`max_jobs`).
const BETWEEN: Duration = Duration::from_secs(1);

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// With exit code 0, after having been ready.
    pub(super) in_order: bool,
    pub(super) started: Instant,
}

/// When the next process of a seat may be started.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Restart {
    /// Failures in a row.
    failures: u32,
    due: Option<Instant>,
}

impl Restart {
    /// Not before then; none is at once.
    pub(super) const fn due(self) -> Option<Instant> {
        self.due
    }

    /// A process ended that was not told to. `random` is from 0 up to 1.
    pub(super) fn ended(&mut self, ending: Ending, now: Instant, random: f64) {
        if now.saturating_duration_since(ending.started) >= GOOD_LIFE {
            self.failures = 0;
        }
        if ending.in_order {
            self.failures = 0;
            self.due = Some(ending.started + BETWEEN);
        } else {
            self.failures = self.failures.saturating_add(1);
            // Processes that died of one cause, such as a store that was gone, come back one after the other.
            let waits = Backoff::exponential(FIRST).max(LONGEST).jitter(0.1);
            self.due = Some(now + waits.delay(self.failures, random));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Ending, Restart};

    fn waits(lived: &[u64], in_order: bool) -> Vec<u64> {
        let (mut restart, mut now) = (Restart::default(), Instant::now());
        let wait = |life: &u64| {
            let started = now;
            now += Duration::from_millis(*life);
            restart.ended(Ending { in_order, started }, now, 0.5);
            let due = restart.due().expect("it is to be started again");
            let wait = due.saturating_duration_since(now);
            now = now.max(due);
            u64::try_from(wait.as_millis()).expect("short")
        };
        lived.iter().map(wait).collect()
    }

    #[test]
    fn the_waits_double_up_to_a_minute_and_begin_anew_after_a_minute_of_life() {
        let waited = waits(&[0; 9], false);
        assert_eq!(waited, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(waits(&[0, 0, 60_000, 0, 59_999], false), [500, 1_000, 500, 1_000, 2_000]);
    }

    #[test]
    fn a_process_that_ends_in_order_is_replaced_at_once_but_not_more_than_once_a_second() {
        assert_eq!(waits(&[0, 200, 5_000], true), [1_000, 800, 0]);
    }
}

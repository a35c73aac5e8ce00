//! What workers did, by queue and handler.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::{HandlerKey, QueueName};
use crate::time::Timestamp;

/// What became of the jobs of one handler in one queue over some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The queue.
    pub queue: QueueName,
    /// The handler.
    pub handler: HandlerKey,
    /// Jobs whose first attempt was made; [`wait`](Self::wait) is theirs.
    pub started: u64,
    /// Jobs completed.
    pub completed: u64,
    /// Attempts that failed, those that ended a job included.
    pub failed: u64,
    /// Jobs that will be tried again after a failed attempt.
    pub retried: u64,
    /// Jobs that are dead, expired ones included.
    pub dead: u64,
    /// Jobs cancelled.
    pub cancelled: u64,
    /// How long the attempts ran that completed a job or failed, together.
    pub run_time: Duration,
    /// How long the longest of them ran.
    pub longest: Duration,
    /// How long the jobs were there before their first attempt, together; a delay that was asked for counts.
    pub wait: Duration,
}

/// What became of the jobs of one handler in one queue within one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// The minute's start, by the backend's clock.
    pub minute: Timestamp,
    /// What was done, as workers said within that minute: up to a beat after it was.
    pub tally: Tally,
}

impl Tally {
    /// The tally of a handler of which nothing was done.
    #[must_use]
    pub const fn new(queue: QueueName, handler: HandlerKey) -> Self {
        Self {
            queue,
            handler,
            started: 0,
            completed: 0,
            failed: 0,
            retried: 0,
            dead: 0,
            cancelled: 0,
            run_time: Duration::ZERO,
            longest: Duration::ZERO,
            wait: Duration::ZERO,
        }
    }

    /// Adds what was done besides, whatever queue and handler it was of.
    pub fn add(&mut self, more: &Self) {
        for (own, more) in [
            (&mut self.started, more.started),
            (&mut self.completed, more.completed),
            (&mut self.failed, more.failed),
            (&mut self.retried, more.retried),
            (&mut self.dead, more.dead),
            (&mut self.cancelled, more.cancelled),
        ] {
            *own = own.saturating_add(more);
        }
        self.run_time = self.run_time.saturating_add(more.run_time);
        self.longest = self.longest.max(more.longest);
        self.wait = self.wait.saturating_add(more.wait);
    }

    /// How many attempts completed a job or failed.
    #[must_use]
    pub const fn attempts(&self) -> u64 {
        self.completed.saturating_add(self.failed)
    }

    /// How long an attempt ran, on the average.
    #[must_use]
    pub fn mean_run_time(&self) -> Option<Duration> {
        mean(self.run_time, self.attempts())
    }

    /// How long a job was there before its first attempt, on the average.
    #[must_use]
    pub fn mean_wait(&self) -> Option<Duration> {
        mean(self.wait, self.started)
    }
}

fn mean(sum: Duration, of: u64) -> Option<Duration> {
    let nanos = sum.as_nanos().checked_div(of.into())?;
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Tally;
    use crate::job::HandlerKey;

    #[test]
    fn tallies_add_up_and_stop_at_the_largest_numbers() {
        let mut tally = Tally::new("q".into(), HandlerKey::new("P", "h"));
        assert_eq!((tally.mean_run_time(), tally.mean_wait()), (None, None));
        let done = Tally {
            started: 1,
            completed: 1,
            failed: 1,
            run_time: Duration::from_secs(3),
            longest: Duration::from_secs(2),
            wait: Duration::from_secs(1),
            ..tally.clone()
        };
        tally.add(&done);
        tally.add(&done);
        assert_eq!((tally.started, tally.attempts(), tally.longest), (2, 4, Duration::from_secs(2)));
        assert_eq!(tally.mean_run_time(), Some(Duration::from_millis(1500)));
        assert_eq!(tally.mean_wait(), Some(Duration::from_secs(1)));
        tally.add(&Tally { completed: u64::MAX, run_time: Duration::MAX, ..done });
        assert_eq!((tally.completed, tally.run_time), (u64::MAX, Duration::MAX));
    }
}

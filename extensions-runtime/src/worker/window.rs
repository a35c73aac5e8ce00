//! How many jobs to claim ahead of the free slots.
//!
//! Claiming ahead makes fast handlers fast, and would keep slow jobs from idle workers. So no more is claimed ahead than the slots use
//! up within [`AHEAD`], by how long jobs have taken of late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The work to have at hand.
const AHEAD: Duration = Duration::from_millis(50);
/// How many jobs make a claim worth its round trip while others wait here. Not more, so that the store has the next ones ready before the
/// last of these is begun.
const WORTH: usize = 250;
/// The newest job is one part of so many in the average.
const NEWEST: u64 = 8;

#[derive(Debug)]
pub(super) struct Window {
    slots: usize,
    max: usize,
    mean: Arc<Mean>,
}

impl Window {
    pub(super) const fn new(slots: usize, max: usize, mean: Arc<Mean>) -> Self {
        Self { slots, max, mean }
    }

    pub(super) fn resize(&mut self, slots: usize) {
        self.slots = slots;
    }

    /// Nothing where a job takes longer than [`AHEAD`], or nothing is known yet.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub(super) fn size(&self) -> usize {
        let Some(mean) = self.mean.get() else { return 0 };
        let rounds = AHEAD.as_secs_f64() / mean.as_secs_f64() - 1.0;
        ((self.slots as f64 * rounds.max(0.0)) as usize).min(self.max)
    }

    /// For how many jobs there has to be room before more are claimed, while some wait here.
    pub(super) fn worth(&self) -> usize {
        worth(self.size())
    }

    /// How many may wait here before more are claimed.
    pub(super) fn few(&self) -> usize {
        // Read once, as it moves with every job.
        let size = self.size();
        size - worth(size)
    }
}

fn worth(size: usize) -> usize {
    (size / 2).min(WORTH)
}

/// How long jobs take of late: an average that every end of one moves, in nanoseconds; 0 before the first.
#[derive(Debug, Default)]
pub(super) struct Mean(AtomicU64);

impl Mean {
    /// Notes how long a job took.
    pub(super) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let moved = |mean: u64| match mean {
            0 => took,
            mean if took < mean => mean - (mean - took) / NEWEST,
            mean => mean + (took - mean) / NEWEST,
        };
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |mean| Some(moved(mean)));
    }

    pub(super) fn get(&self) -> Option<Duration> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::{Mean, Window};
    use std::sync::Arc;
    use std::time::Duration;

    fn after(jobs: usize, millis: u64) -> Window {
        let mean = Arc::new(Mean::default());
        for _ in 0..jobs {
            mean.note(Duration::from_millis(millis));
        }
        Window::new(64, 500, mean)
    }

    #[test]
    fn quick_handlers_have_work_for_fifty_milliseconds_at_hand() {
        assert_eq!(after(0, 0).size(), 0);
        assert_eq!(after(1, 25).size(), 64);
        assert_eq!(after(100, 20).size(), 96);
        assert_eq!(after(100, 0).size(), 500);
    }

    #[test]
    fn more_is_claimed_while_most_of_a_large_window_is_still_there() {
        let window = |max| Window { max, ..after(100, 0) };
        assert_eq!((window(100).worth(), window(100).few()), (50, 50));
        assert_eq!((window(1_000).worth(), window(1_000).few()), (250, 750));
    }

    #[test]
    fn more_slots_have_more_at_hand() {
        let mut window = after(1, 25);
        window.resize(8);
        assert_eq!(window.size(), 8);
    }

    #[test]
    fn slow_handlers_have_nothing_claimed_ahead_however_many_end_together() {
        assert_eq!(after(64, 1_000).size(), 0);
        let turned_slow = after(1_000, 1);
        assert_eq!(turned_slow.size(), 500);
        turned_slow.mean.note(Duration::from_secs(1));
        assert_eq!(turned_slow.size(), 0);
    }
}

//! How many jobs to claim ahead of the free slots.
//!
//! Claiming ahead makes fast handlers fast, and would keep slow jobs from idle workers. So no more is claimed ahead than the slots use
//! up within [`AHEAD`], by how long jobs have taken of late.

use std::time::Duration;

/// The work to have at hand.
const AHEAD: Duration = Duration::from_millis(50);
/// The share of the newest job in the average.
const NEWEST: f64 = 0.125;

#[derive(Debug)]
pub(super) struct Window {
    slots: usize,
    max: usize,
    /// How long a job takes, in seconds.
    mean: Option<f64>,
}

impl Window {
    pub(super) const fn new(slots: usize, max: usize) -> Self {
        Self { slots, max, mean: None }
    }

    pub(super) fn resize(&mut self, slots: usize) {
        self.slots = slots;
    }

    /// Notes how long a job took, and says how long they take of late.
    pub(super) fn note_ended(&mut self, took: Duration) -> Duration {
        let took = took.as_secs_f64();
        let mean = self.mean.map_or(took, |mean| mean + (took - mean) * NEWEST);
        self.mean = Some(mean);
        Duration::try_from_secs_f64(mean).unwrap_or(Duration::MAX)
    }

    /// Nothing where a job takes longer than [`AHEAD`], or nothing is known yet.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub(super) fn size(&self) -> usize {
        let Some(mean) = self.mean else { return 0 };
        let rounds = AHEAD.as_secs_f64() / mean.max(1e-9) - 1.0;
        ((self.slots as f64 * rounds.max(0.0)) as usize).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use std::time::Duration;

    fn after(jobs: usize, millis: u64) -> Window {
        let mut window = Window::new(64, 500);
        for _ in 0..jobs {
            window.note_ended(Duration::from_millis(millis));
        }
        window
    }

    #[test]
    fn quick_handlers_have_work_for_fifty_milliseconds_at_hand() {
        assert_eq!(after(0, 0).size(), 0);
        assert_eq!(after(1, 25).size(), 64);
        assert_eq!(after(100, 20).size(), 96);
        assert_eq!(after(100, 0).size(), 500);
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
        let mut turned_slow = after(1_000, 1);
        assert_eq!(turned_slow.size(), 500);
        turned_slow.note_ended(Duration::from_secs(1));
        assert_eq!(turned_slow.size(), 0);
    }
}

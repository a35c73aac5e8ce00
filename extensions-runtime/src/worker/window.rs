//! How many jobs to claim ahead of the free slots.
//!
//! Claiming ahead makes fast handlers fast, and would keep slow jobs from idle workers. So no more is claimed ahead than the handlers
//! use up within [`AHEAD`], as they did of late.

use std::time::Duration;

/// The work to have at hand.
const AHEAD: Duration = Duration::from_millis(50);
/// The share of the newest measurement in the average.
const NEWEST: f64 = 0.5;
/// Measurements over less than this say too little.
const SHORTEST: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Window {
    max: usize,
    ended: u32,
    per_second: f64,
}

impl Window {
    pub(super) const fn new(max: usize) -> Self {
        Self { max, ended: 0, per_second: 0.0 }
    }

    pub(super) const fn note_ended(&mut self) {
        self.ended = self.ended.saturating_add(1);
    }

    /// Takes in what ended within `elapsed`; false where that is too short to tell.
    pub(super) fn measure(&mut self, elapsed: Duration) -> bool {
        if elapsed < SHORTEST {
            return false;
        }
        let now = f64::from(std::mem::take(&mut self.ended)) / elapsed.as_secs_f64();
        self.per_second += (now - self.per_second) * NEWEST;
        true
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn size(&self) -> usize {
        ((self.per_second * AHEAD.as_secs_f64()) as usize).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use std::time::Duration;

    fn after(window: &mut Window, ended: usize, millis: u64) -> usize {
        (0..ended).for_each(|_| window.note_ended());
        assert!(window.measure(Duration::from_millis(millis)));
        window.size()
    }

    #[test]
    fn quick_handlers_have_work_for_fifty_milliseconds_at_hand() {
        let mut window = Window::new(500);
        assert_eq!(window.size(), 0);
        for _ in 0..20 {
            after(&mut window, 10, 10);
        }
        assert_eq!(after(&mut window, 10, 10), 49);
        assert_eq!(after(&mut window, 100_000, 10), 500);
    }

    #[test]
    fn slow_handlers_have_nothing_claimed_ahead() {
        let mut window = Window::new(500);
        assert_eq!(after(&mut window, 64, 10_000), 0);
        after(&mut window, 1_000, 10);
        assert!(window.size() > 0);
        for _ in 0..20 {
            after(&mut window, 1, 1_000);
        }
        assert_eq!(window.size(), 0);
    }

    #[test]
    fn too_short_a_time_is_not_measured() {
        let mut window = Window::new(500);
        window.note_ended();
        assert!(!window.measure(Duration::from_micros(10)));
        assert_eq!(window.size(), 0);
    }
}

//! How many jobs to claim ahead of the free slots.
//!
//! Claiming ahead makes fast handlers fast, and would keep slow jobs from idle workers. So the window grows while a claim is used up
//! quickly, and shrinks as soon as claimed jobs have to wait.

use std::time::Duration;

/// A claim used up within this time makes the window grow; one that takes twice as long makes it shrink.
const QUICK: Duration = Duration::from_millis(50);
const FIRST: usize = 16;

#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    max: usize,
}

impl Window {
    pub(super) const fn new(max: usize) -> Self {
        Self { size: 0, max }
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// A claim's jobs were all started, this long after they were claimed.
    pub(super) fn used_up_after(&mut self, took: Duration) {
        if took <= QUICK {
            self.size = (self.size * 2).max(FIRST).min(self.max);
        } else if took > QUICK * 2 {
            self.size /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use std::time::Duration;

    #[test]
    fn grows_while_jobs_are_quick_and_shrinks_to_nothing_when_they_wait() {
        let mut window = Window::new(100);
        assert_eq!(window.size(), 0);
        for expected in [16, 32, 64, 100, 100] {
            window.used_up_after(Duration::from_millis(1));
            assert_eq!(window.size(), expected);
        }
        window.used_up_after(Duration::from_millis(80));
        assert_eq!(window.size(), 100);
        for expected in [50, 25, 12, 6, 3, 1, 0, 0] {
            window.used_up_after(Duration::from_secs(1));
            assert_eq!(window.size(), expected);
        }
        let mut none = Window::new(0);
        none.used_up_after(Duration::ZERO);
        assert_eq!(none.size(), 0);
    }
}

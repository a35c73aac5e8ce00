//! How many slots the pools have. Decisions without I/O.

use std::time::Duration;

/// What a run is taken to last where nothing is known yet.
const UNKNOWN_RUN: Duration = Duration::from_secs(1);

/// A pool as far as its size depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// The fewest slots of each process.
    pub(super) least: usize,
    /// The most slots of each process.
    pub(super) most: usize,
    /// The slots of each process now.
    pub(super) slots: usize,
    /// How many jobs are available on its queues.
    pub(super) waiting: u64,
    /// How long one of its jobs runs.
    pub(super) run_time: Option<Duration>,
    /// Whether every process has a slot that is free.
    pub(super) has_idle: bool,
}

impl Load {
    /// How long one slot would work on what waits, in seconds.
    fn time_to_clear(&self) -> f64 {
        self.waiting as f64 * self.run_time.unwrap_or(UNKNOWN_RUN).as_secs_f64()
    }

    /// The slots that a share of all the work, from 0 to 1, is worth.
    fn target(&self, share: f64) -> usize {
        let range = self.most.saturating_sub(self.least);
        let more = (range as f64 * share).ceil();
        // Between 0 and `range`, as the share is.
        self.least + (more as usize).min(range)
    }

    fn step(&self, share: f64) -> usize {
        let target = self.target(share);
        match self.slots {
            slots if slots < target => slots + 1,
            slots if slots > target && self.has_idle => slots - 1,
            slots => slots,
        }
    }
}

/// The slots of each pool's processes from now on: at most one more or less than before, between least and most, and fewer only where one
/// is idle. A pool's range is used in proportion to its share of the time that all pools need for what waits.
pub(super) fn step(loads: &[Load]) -> Vec<usize> {
    let whole: f64 = loads.iter().map(Load::time_to_clear).sum();
    let share = |load: &Load| if whole > 0.0 { load.time_to_clear() / whole } else { 0.0 };
    loads.iter().map(|load| load.step(share(load))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Load, step};

    fn load(slots: usize, waiting: u64, millis: u64, has_idle: bool) -> Load {
        Load { least: 2, most: 10, slots, waiting, run_time: Some(Duration::from_millis(millis)), has_idle }
    }

    #[test]
    fn a_pool_alone_grows_to_its_most_and_shrinks_to_its_least() {
        let mut one = load(2, 50, 100, false);
        for expected in [3, 4, 5, 6, 7, 8, 9, 10, 10] {
            one.slots = step(&[one])[0];
            assert_eq!(one.slots, expected);
        }
        one.waiting = 0;
        assert_eq!(step(&[one]), [10], "every slot is busy");
        one.has_idle = true;
        for expected in [9, 8, 7, 6, 5, 4, 3, 2, 2] {
            one.slots = step(&[one])[0];
            assert_eq!(one.slots, expected);
        }
    }

    #[test]
    fn the_time_to_clear_counts_and_not_the_number_of_jobs() {
        let (many, long) = (load(6, 1_000, 1, true), load(6, 10, 1_000, true));
        assert_eq!(step(&[many, long]), [5, 7]);
    }

    fn any_load() -> impl Strategy<Value = Load> {
        let runs = proptest::option::of((0_u64..u64::MAX).prop_map(Duration::from_millis));
        (1_usize..100, 0_usize..100, 0_usize..100, any::<u64>(), runs, any::<bool>()).prop_map(
            |(least, range, slots, waiting, run_time, has_idle)| Load {
                least,
                most: least + range,
                slots: least + slots % (range + 1),
                waiting,
                run_time,
                has_idle,
            },
        )
    }

    proptest! {
        #[test]
        fn a_step_is_one_slot_within_the_range_and_takes_idle_slots_only(
            loads in prop::collection::vec(any_load(), 0..6),
        ) {
            for (load, slots) in loads.iter().zip(step(&loads)) {
                prop_assert!(slots.abs_diff(load.slots) <= 1);
                prop_assert!((load.least..=load.most).contains(&slots));
                prop_assert!(slots >= load.slots || load.has_idle);
                prop_assert!(slots <= load.slots || load.waiting > 0, "nothing waits");
            }
        }

        #[test]
        fn steps_come_to_rest(mut loads in prop::collection::vec(any_load(), 1..6)) {
            for load in &mut loads {
                load.has_idle = true;
            }
            for _ in 0..100 {
                let stepped = step(&loads);
                for (load, slots) in std::iter::zip(&mut loads, stepped) {
                    load.slots = slots;
                }
            }
            let slots: Vec<_> = loads.iter().map(|load| load.slots).collect();
            prop_assert_eq!(step(&loads), slots);
        }
    }
}

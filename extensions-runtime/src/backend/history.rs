//! What backends keep of tallies, alike for every store (Q43).

use std::time::Duration;

#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
use crate::job::{HandlerKey, QueueName};
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
use crate::queue::Tally;
use crate::time::Timestamp;

/// For how long history is kept.
pub(super) const KEPT: Duration = Duration::from_secs(48 * 3600);

const MINUTE: i64 = 60_000;

/// The start of the minute.
pub(super) const fn minute(now: Timestamp) -> Timestamp {
    let millis = now.as_millis();
    Timestamp::from_millis(millis - millis.rem_euclid(MINUTE))
}

/// The first minute of the last `since`.
pub(super) fn first_minute(now: Timestamp, since: Duration) -> Timestamp {
    minute(now.saturating_sub(since.min(KEPT)))
}

/// The numbers of a tally as stored: counts, then the sum, the longest and the waits in µs. Each leaves room for thousands of its kind.
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(super) fn figures(tally: &Tally) -> [i64; 9] {
    let count = |number: u64| number.min(1 << 34) as i64;
    let micros = |time: Duration| time.as_micros().min(1 << 46) as i64;
    [
        count(tally.started),
        count(tally.completed),
        count(tally.failed),
        count(tally.retried),
        count(tally.dead),
        count(tally.cancelled),
        micros(tally.run_time),
        micros(tally.longest),
        micros(tally.wait),
    ]
}

/// A tally of stored numbers.
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(super) fn tally(queue: QueueName, handler: HandlerKey, figures: [i64; 9]) -> Tally {
    let [started, completed, failed, retried, dead, cancelled, run_time, longest, wait] =
        figures.map(i64::unsigned_abs);
    Tally {
        queue,
        handler,
        started,
        completed,
        failed,
        retried,
        dead,
        cancelled,
        run_time: Duration::from_micros(run_time),
        longest: Duration::from_micros(longest),
        wait: Duration::from_micros(wait),
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Timestamp, first_minute, minute};

    #[test]
    fn minutes_begin_where_the_clock_says_so() {
        for (millis, start) in [(0, 0), (59_999, 0), (60_000, 60_000), (-1, -60_000)] {
            assert_eq!(minute(Timestamp::from_millis(millis)).as_millis(), start);
        }
    }

    #[test]
    fn at_most_two_days_are_asked_for() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let two_days = minute(Timestamp::from_millis(1_700_000_000_000 - 48 * 3_600_000));
        assert_eq!(first_minute(now, Duration::MAX), two_days);
        assert_eq!(first_minute(now, Duration::ZERO), minute(now));
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn the_largest_tally_can_be_stored_and_a_common_one_comes_back() {
        use super::{figures, tally};
        use crate::queue::Tally;
        let none = Tally::new("q".into(), "P/h".into());
        let common = Tally { started: 3, run_time: Duration::from_micros(7), ..none.clone() };
        assert_eq!(tally("q".into(), "P/h".into(), figures(&common)), common);
        let largest = Tally { started: u64::MAX, run_time: Duration::MAX, wait: Duration::MAX, ..none };
        assert!(figures(&largest).iter().all(|figure| (0..=1 << 46).contains(figure)));
    }
}

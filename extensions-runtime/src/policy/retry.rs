//! What a failed attempt leads to.

use std::time::Duration;

use super::Backoff;

/// What comes after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// Try again after the delay.
    Retry(Duration),
    /// No more: the job is dead.
    Bury,
}

/// Decides over the failed attempt `attempt` of at most `max_attempts`.
///
/// `chosen` is a wait that the handler itself asked for. `age` is how long ago the job was pushed; with `retry_until`, an
/// attempt that would start later than that after the push is not made.
pub(crate) fn after_failure(
    attempt: u32,
    max_attempts: u32,
    backoff: &Backoff,
    chosen: Option<Duration>,
    retry_until: Option<Duration>,
    age: Duration,
    random: f64,
) -> AfterFailure {
    let delay = chosen.unwrap_or_else(|| backoff.delay(attempt, random));
    let too_late = retry_until.is_some_and(|until| age.saturating_add(delay) > until);
    if attempt >= max_attempts || too_late { AfterFailure::Bury } else { AfterFailure::Retry(delay) }
}

#[cfg(test)]
mod tests {
    use super::{AfterFailure, after_failure};
    use crate::policy::Backoff;
    use crate::time::secs;
    use std::time::Duration;

    fn decide(attempt: u32, max: u32, chosen: Option<u64>, until: Option<u64>, age: u64) -> AfterFailure {
        let backoff = Backoff::fixed(secs(10));
        after_failure(attempt, max, &backoff, chosen.map(secs), until.map(secs), secs(age), 0.0)
    }

    #[test]
    fn retries_until_the_attempts_are_used_up() {
        assert_eq!(decide(1, 3, None, None, 0), AfterFailure::Retry(secs(10)));
        assert_eq!(decide(2, 3, Some(7), None, 0), AfterFailure::Retry(secs(7)));
        assert_eq!(decide(3, 3, Some(7), None, 0), AfterFailure::Bury);
        assert_eq!(decide(1, 1, None, None, 0), AfterFailure::Bury);
    }

    #[test]
    fn retries_no_later_than_retry_until() {
        assert_eq!(decide(1, 9, None, Some(60), 50), AfterFailure::Retry(secs(10)));
        assert_eq!(decide(1, 9, None, Some(60), 51), AfterFailure::Bury);
        assert_eq!(decide(1, 9, None, Some(60), u64::MAX / 1_000_000_000), AfterFailure::Bury);
        assert_eq!(
            after_failure(1, 9, &Backoff::fixed(Duration::MAX), None, Some(secs(1)), Duration::MAX, 0.0),
            AfterFailure::Bury
        );
    }
}

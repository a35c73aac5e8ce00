//! How long to wait before the next attempt.

use std::fmt;
use std::slice;
use std::time::Duration;

/// The default base of every strategy.
pub(crate) const DEFAULT_BASE: Duration = Duration::from_secs(10);

/// The wait between attempts: fixed, linear, exponential, or a list, with an optional ceiling and jitter.
///
/// The wait before attempt n+1, counting from n = 1: fixed `b`; linear `b·n`; exponential `b·2^(n−1)`; a list gives its
/// n-th entry, the last one repeating. Nothing overflows: the wait stops growing at `Duration::MAX` or at the ceiling.
///
/// ```
/// # use extensions_runtime::{policy::Backoff, time::secs};
/// let backoff = Backoff::exponential(secs(10)).max(secs(60));
/// let waits: Vec<_> = (1..=4).map(|n| backoff.delay(n, 0.0).as_secs()).collect();
/// assert_eq!(waits, [10, 20, 40, 60]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    strategy: Strategy,
    max: Option<Duration>,
    jitter: Jitter,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Strategy {
    Fixed(Duration),
    Linear(Duration),
    Exponential(Duration),
    List(Vec<Duration>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Jitter {
    None,
    Fraction(f64),
    Full,
}

impl Default for Backoff {
    /// Exponential from 10 s, without ceiling or jitter.
    fn default() -> Self {
        Self::exponential(DEFAULT_BASE)
    }
}

impl Backoff {
    const fn new(strategy: Strategy) -> Self {
        Self { strategy, max: None, jitter: Jitter::None }
    }

    /// Always `base`.
    #[must_use]
    pub const fn fixed(base: Duration) -> Self {
        Self::new(Strategy::Fixed(base))
    }

    /// `base`, twice `base`, three times `base`, …
    #[must_use]
    pub const fn linear(base: Duration) -> Self {
        Self::new(Strategy::Linear(base))
    }

    /// `base`, doubled with every attempt.
    #[must_use]
    pub const fn exponential(base: Duration) -> Self {
        Self::new(Strategy::Exponential(base))
    }

    /// These waits, one after the other; the last one repeats. An empty list waits not at all.
    #[must_use]
    pub fn list(waits: impl IntoIterator<Item = Duration>) -> Self {
        Self::new(Strategy::List(waits.into_iter().collect()))
    }

    /// Never more than `max`, jitter included.
    #[must_use]
    pub const fn max(mut self, max: Duration) -> Self {
        self.max = Some(max);
        self
    }

    /// Adds or takes away up to this share of the wait, at random; 0.1 turns 10 s into 9 s to 11 s. Outside 0 to 1 the
    /// nearer end counts.
    #[must_use]
    pub const fn jitter(mut self, fraction: f64) -> Self {
        self.jitter = Jitter::Fraction(fraction.clamp(0.0, 1.0));
        self
    }

    /// Anything between nothing and the wait, at random.
    #[must_use]
    pub const fn full_jitter(mut self) -> Self {
        self.jitter = Jitter::Full;
        self
    }

    /// The same without jitter.
    #[must_use]
    pub const fn without_jitter(mut self) -> Self {
        self.jitter = Jitter::None;
        self
    }

    /// The wait after the failed attempt `attempt` (from 1), for a random number from 0 up to 1.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let n = attempt.max(1);
        let wait = match &self.strategy {
            Strategy::Fixed(base) => *base,
            Strategy::Linear(base) => base.saturating_mul(n),
            Strategy::Exponential(base) => 2_u32
                .checked_pow(n - 1)
                .map_or_else(|| doubled(*base, n - 1), |factor| base.saturating_mul(factor)),
            Strategy::List(waits) => {
                let index = usize::try_from(n - 1).unwrap_or(usize::MAX).min(waits.len().saturating_sub(1));
                waits.get(index).copied().unwrap_or_default()
            }
        };
        let wait = self.ceiling(wait);
        self.ceiling(match self.jitter {
            Jitter::None => wait,
            Jitter::Full => scaled(wait, random),
            Jitter::Fraction(fraction) => scaled(wait, 1.0 - fraction + 2.0 * fraction * random),
        })
    }

    fn ceiling(&self, wait: Duration) -> Duration {
        self.max.map_or(wait, |max| wait.min(max))
    }

    /// The strategy's name, and its base or list.
    pub(crate) fn parts(&self) -> (&'static str, &[Duration]) {
        match &self.strategy {
            Strategy::Fixed(base) => ("fixed", slice::from_ref(base)),
            Strategy::Linear(base) => ("linear", slice::from_ref(base)),
            Strategy::Exponential(base) => ("exponential", slice::from_ref(base)),
            Strategy::List(waits) => ("list", waits),
        }
    }

    /// The entries of a list that `max_attempts` attempts never reach.
    #[must_use]
    pub fn unreached(&self, max_attempts: u32) -> &[Duration] {
        match &self.strategy {
            Strategy::List(waits) => {
                let reached = usize::try_from(max_attempts.saturating_sub(1)).unwrap_or(usize::MAX);
                waits.get(reached..).unwrap_or_default()
            }
            _ => &[],
        }
    }
}

/// In words: `exponential from 10s, at most 60s, jitter 10 %`.
impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.strategy {
            Strategy::Fixed(base) => write!(f, "fixed at {base:?}")?,
            Strategy::Linear(base) => write!(f, "linear from {base:?}")?,
            Strategy::Exponential(base) => write!(f, "exponential from {base:?}")?,
            Strategy::List(waits) => write!(f, "the list {waits:?}")?,
        }
        if let Some(max) = self.max {
            write!(f, ", at most {max:?}")?;
        }
        match self.jitter {
            Jitter::None => Ok(()),
            Jitter::Fraction(fraction) => write!(f, ", jitter {} %", fraction * 100.0),
            Jitter::Full => f.write_str(", full jitter"),
        }
    }
}

fn doubled(base: Duration, times: u32) -> Duration {
    if base.is_zero() {
        return base;
    }
    (0..times.min(128)).fold(base, |wait, _| wait.saturating_mul(2))
}

fn scaled(wait: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use crate::time::secs;
    use std::time::Duration;

    fn waits(backoff: &Backoff, attempts: u32) -> Vec<u64> {
        (1..=attempts).map(|n| backoff.delay(n, 0.5).as_secs()).collect()
    }

    #[test]
    fn each_strategy_gives_the_documented_sequence() {
        assert_eq!(waits(&Backoff::fixed(secs(10)), 4), [10, 10, 10, 10]);
        assert_eq!(waits(&Backoff::linear(secs(10)), 4), [10, 20, 30, 40]);
        assert_eq!(waits(&Backoff::exponential(secs(10)), 5), [10, 20, 40, 80, 160]);
        assert_eq!(waits(&Backoff::list([10, 30, 60].map(secs)), 5), [10, 30, 60, 60, 60]);
        assert_eq!(waits(&Backoff::default(), 2), [10, 20]);
        assert_eq!(waits(&Backoff::list([]), 2), [0, 0]);
    }

    #[test]
    fn nothing_overflows_and_the_ceiling_holds_at_any_attempt() {
        for n in [1, 2, 31, 32, 33, 64, 65, 1_000_000, u32::MAX] {
            for base in [Duration::ZERO, Duration::from_nanos(1), secs(10), Duration::MAX] {
                for make in [Backoff::fixed, Backoff::linear, Backoff::exponential] {
                    let free = make(base).jitter(1.0);
                    assert!(make(base).delay(n, 0.0) >= base);
                    assert!(free.max(secs(60)).delay(n, 0.999_999) <= secs(60));
                }
            }
        }
        assert_eq!(Backoff::exponential(Duration::ZERO).delay(u32::MAX, 0.0), Duration::ZERO);
        assert_eq!(Backoff::exponential(secs(1)).delay(u32::MAX, 0.0), Duration::MAX);
    }

    #[test]
    fn jitter_stays_in_its_band() {
        let tenth = Backoff::fixed(secs(100)).jitter(0.1);
        assert_eq!(tenth.delay(1, 0.0), secs(90));
        assert_eq!(tenth.delay(1, 0.5), secs(100));
        assert!(tenth.delay(1, 0.999_999) < secs(110));
        let full = Backoff::fixed(secs(100)).full_jitter();
        assert_eq!(full.delay(1, 0.0), Duration::ZERO);
        assert!(full.delay(1, 0.999_999) < secs(100));
    }

    #[test]
    fn a_back_off_says_what_it_is() {
        let list = Backoff::list([10, 30].map(secs)).max(secs(20)).full_jitter();
        assert_eq!(list.to_string(), "the list [10s, 30s], at most 20s, full jitter");
        assert_eq!(list.without_jitter().delay(2, 0.0), secs(20));
        assert_eq!(Backoff::linear(secs(1)).jitter(0.25).to_string(), "linear from 1s, jitter 25 %");
    }

    #[test]
    fn list_entries_beyond_the_attempts_are_named() {
        let list = Backoff::list([10, 30, 60, 300].map(secs));
        assert_eq!(list.unreached(3), [secs(60), secs(300)]);
        assert!(list.unreached(5).is_empty());
        assert!(Backoff::default().unreached(1).is_empty());
    }
}

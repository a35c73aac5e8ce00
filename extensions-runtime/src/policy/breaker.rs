//! When calls are kept from what keeps failing: the circuit breaker as a pure state machine.

mod options;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::options::BreakerOptions;

/// What a circuit breaker does with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerStatus {
    /// Lets every call through.
    Closed,
    /// Lets none through.
    Open,
    /// Lets a few through, to see whether they succeed.
    HalfOpen,
}

impl BreakerStatus {
    /// The status's name as logged and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for BreakerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: BreakerStatus,
    pub(crate) to: BreakerStatus,
}

/// One call that was let through; owed back once, by its result or by [`BreakerMachine::give_back`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permit {
    generation: u64,
    /// Whether it takes one of the places in half-open.
    pub(crate) probe: bool,
}

/// Whether a call is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admit {
    Allowed(Permit),
    Refused {
        /// As [`BreakerMachine::retry_in`] says.
        retry_in: Duration,
    },
}

/// The states and the roads between them. It has no clock: `now` is the time since any fixed start.
///
/// Every step that can change the state says so; each such [`Change`] starts where the last one led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BreakerMachine {
    options: BreakerOptions,
    state: State,
    /// Failures without a success in between, of the results that counted.
    failures: u32,
    /// Counts the changes of state, so that results from before the last one are known.
    generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { since: Duration },
    OpenByHand,
    HalfOpen { out: u32, successes: u32 },
}

impl State {
    const fn status(self) -> BreakerStatus {
        match self {
            Self::Closed => BreakerStatus::Closed,
            Self::Open { .. } | Self::OpenByHand => BreakerStatus::Open,
            Self::HalfOpen { .. } => BreakerStatus::HalfOpen,
        }
    }
}

impl BreakerMachine {
    pub(crate) const fn new(options: BreakerOptions) -> Self {
        Self { options, state: State::Closed, failures: 0, generation: 0 }
    }

    /// Asks for a call. After the time-out, the first to ask makes it half-open.
    pub(crate) fn admit(&mut self, now: Duration) -> (Admit, Option<Change>) {
        let change = match self.state {
            State::Open { since } if self.rest(since, now).is_zero() => {
                self.enter(State::HalfOpen { out: 0, successes: 0 })
            }
            _ => None,
        };
        if let Some(retry_in) = self.retry_in(now) {
            return (Admit::Refused { retry_in }, change);
        }
        let probe = if let State::HalfOpen { out, .. } = &mut self.state {
            *out += 1;
            true
        } else {
            false
        };
        (Admit::Allowed(Permit { generation: self.generation, probe }), change)
    }

    /// The call succeeded.
    pub(crate) fn success(&mut self, permit: Permit) -> Option<Change> {
        if self.is_stale(permit) {
            return None;
        }
        self.failures = 0;
        let State::HalfOpen { out, successes } = &mut self.state else { return None };
        *out = out.saturating_sub(1);
        *successes = successes.saturating_add(1);
        if *successes < self.options.successes { None } else { self.enter(State::Closed) }
    }

    /// The call failed.
    pub(crate) fn failure(&mut self, permit: Permit, now: Duration) -> Option<Change> {
        if self.is_stale(permit) {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let opens = permit.probe || self.failures >= self.options.threshold;
        if opens { self.enter(State::Open { since: now }) } else { None }
    }

    /// The call says nothing about success or failure.
    pub(crate) fn give_back(&mut self, permit: Permit) {
        if self.is_stale(permit) {
            return;
        }
        if let State::HalfOpen { out, .. } = &mut self.state {
            *out = out.saturating_sub(1);
        }
    }

    /// Opens it until [`close`](Self::close) or [`reset`](Self::reset): no time-out ends that.
    pub(crate) fn force_open(&mut self) -> Option<Change> {
        self.enter(State::OpenByHand)
    }

    /// Opens it for a full time-out, as a failure would.
    pub(crate) fn open(&mut self, now: Duration) -> Option<Change> {
        self.enter(State::Open { since: now })
    }

    /// Closes it, without failures. One that is closed already stays as it is.
    pub(crate) fn close(&mut self) -> Option<Change> {
        if self.state == State::Closed { None } else { self.reset() }
    }

    /// Makes it as new: closed, without failures, and no call that is under way counts any more.
    pub(crate) fn reset(&mut self) -> Option<Change> {
        self.failures = 0;
        self.enter(State::Closed)
    }

    /// What it is; half-open as soon as the time-out is over.
    pub(crate) fn status(&self, now: Duration) -> BreakerStatus {
        match self.state {
            State::Open { since } if self.rest(since, now).is_zero() => BreakerStatus::HalfOpen,
            state => state.status(),
        }
    }

    /// How many failures in a row it has seen.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it is closed without failures, so that a success changes nothing.
    pub(crate) fn is_pristine(&self) -> bool {
        self.state == State::Closed && self.failures == 0
    }

    /// How long until a call may be let through; none if it would be now. Zero while all places of half-open are taken: it
    /// may be as soon as one of those calls ends. `Duration::MAX` if it was opened by hand.
    pub(crate) fn retry_in(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Closed => None,
            State::Open { since } => Some(self.rest(since, now)).filter(|rest| !rest.is_zero()),
            State::OpenByHand => Some(Duration::MAX),
            State::HalfOpen { out, .. } => (out >= self.options.half_open_max).then_some(Duration::ZERO),
        }
    }

    /// What is left of the time-out.
    const fn rest(&self, since: Duration, now: Duration) -> Duration {
        self.options.timeout.saturating_sub(now.saturating_sub(since))
    }

    const fn is_stale(&self, permit: Permit) -> bool {
        permit.generation != self.generation
    }

    fn enter(&mut self, state: State) -> Option<Change> {
        let change = Change { from: self.state.status(), to: state.status() };
        self.state = state;
        self.generation += 1;
        (change.from != change.to).then_some(change)
    }
}

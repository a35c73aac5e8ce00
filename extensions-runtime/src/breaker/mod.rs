//! Circuit breakers: one for each handler, and named ones for the application's own calls.
//!
//! The states and the roads between them are `policy`'s; here are the lock, the clock, and who is told of a change.

mod handle;
mod store;

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

pub use self::handle::{BreakerError, BreakerReport, CircuitBreaker};
pub use self::store::{BreakerChange, BreakerLink, BreakerStore, SharedBreakers};
use crate::policy::{Admit, BreakerMachine, Change, Permit};
pub use crate::policy::{BreakerOptions, BreakerStatus};
use crate::telemetry::names::event;
use crate::telemetry::record;
use crate::time::Clock;

/// Called with every change of a breaker's state.
pub(crate) type Hook = Arc<dyn Fn(&BreakerChange) + Send + Sync>;

/// All breakers of an instance, and what they have in common.
pub(crate) struct Breakers {
    clock: Arc<dyn Clock>,
    hooks: Vec<Hook>,
    store: Option<Arc<dyn BreakerStore>>,
    all: Mutex<Vec<Weak<Breaker>>>,
    named: Mutex<HashMap<String, Arc<Breaker>>>,
    /// How many breakers of async handlers have a failure to remember.
    restless_jobs: Arc<AtomicU32>,
}

impl Breakers {
    pub(crate) fn new(clock: Arc<dyn Clock>, hooks: Vec<Hook>, store: Option<Arc<dyn BreakerStore>>) -> Self {
        let (all, named, restless_jobs) = (Mutex::default(), Mutex::default(), Arc::default());
        Self { clock, hooks, store, all, named, restless_jobs }
    }

    /// A new breaker. While it has a failure to remember, it counts one in `restless`.
    pub(crate) fn make(
        self: &Arc<Self>,
        name: String,
        options: BreakerOptions,
        restless: Arc<AtomicU32>,
    ) -> Arc<Breaker> {
        let machine = Mutex::new(BreakerMachine::new(options));
        let breaker = Arc::new(Breaker { name, machine, restless, breakers: Arc::downgrade(self) });
        let mut all = lock(&self.all);
        if all.len() == all.capacity() {
            all.retain(|breaker| breaker.strong_count() > 0);
        }
        all.push(Arc::downgrade(&breaker));
        breaker
    }

    /// What breakers of async handlers count themselves in.
    pub(crate) const fn restless_jobs(&self) -> &Arc<AtomicU32> {
        &self.restless_jobs
    }

    /// Whether no breaker of an async handler holds anything back.
    pub(crate) fn are_all_at_rest(&self) -> bool {
        self.restless_jobs.load(Ordering::Acquire) == 0
    }

    pub(crate) fn named(self: &Arc<Self>, name: &str, options: BreakerOptions) -> Arc<Breaker> {
        if let Some(breaker) = lock(&self.named).get(name) {
            return Arc::clone(breaker);
        }
        let made = self.make(name.to_owned(), options, Arc::default());
        Arc::clone(lock(&self.named).entry(name.to_owned()).or_insert(made))
    }

    fn all(&self) -> Vec<Arc<Breaker>> {
        let mut all: Vec<_> = lock(&self.all).iter().filter_map(Weak::upgrade).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn tell(&self, change: &BreakerChange) {
        let holds_back = match change.to {
            BreakerStatus::Closed => 0,
            BreakerStatus::HalfOpen => 1,
            BreakerStatus::Open => 2,
        };
        record::breaker_changed(&change.name, change.to.as_str(), holds_back);
        match change.to {
            BreakerStatus::Open => {
                tracing::warn!(name: event::BREAKER_OPENED, breaker = change.name, "circuit opened")
            }
            status => {
                tracing::info!(name: event::BREAKER_CHANGED, breaker = change.name, %status, "circuit changed")
            }
        }
        for hook in &self.hooks {
            if catch_unwind(AssertUnwindSafe(|| hook(change))).is_err() {
                tracing::error!(name: event::BREAKER_HOOK_PANICKED, breaker = change.name, "a hook for changes of breakers panicked");
            }
        }
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

/// One circuit breaker.
pub(crate) struct Breaker {
    name: String,
    machine: Mutex<BreakerMachine>,
    restless: Arc<AtomicU32>,
    breakers: Weak<Breakers>,
}

impl Breaker {
    /// Lets a call through, or says how long to wait: zero where all places of half-open are taken.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Pass, Duration> {
        match self.step(BreakerMachine::admit) {
            Admit::Allowed(permit) => Ok(Pass { breaker: Arc::clone(self), permit: Some(permit) }),
            Admit::Refused { retry_in } => Err(retry_in),
        }
    }

    /// How long until a call may be let through; none if it would be now.
    pub(crate) fn retry_in(&self) -> Option<Duration> {
        let now = self.breakers.upgrade()?.clock.elapsed();
        lock(&self.machine).retry_in(now)
    }

    /// Makes a step of the machine and tells everyone of a change.
    fn step<T>(&self, step: impl FnOnce(&mut BreakerMachine, Duration) -> (T, Option<Change>)) -> T {
        let Some(breakers) = self.breakers.upgrade() else {
            return step(&mut lock(&self.machine), Duration::ZERO).0;
        };
        let (value, change) = self.change(|machine| step(machine, breakers.clock.elapsed()));
        if let Some(change) = change {
            let change = BreakerChange { name: self.name.clone(), from: change.from, to: change.to };
            breakers.tell(&change);
            if let Some(store) = &breakers.store {
                store.publish(&change);
            }
        }
        value
    }

    fn change<T>(&self, step: impl FnOnce(&mut BreakerMachine) -> T) -> T {
        let mut machine = lock(&self.machine);
        let before = machine.is_pristine();
        let value = step(&mut machine);
        match (before, machine.is_pristine()) {
            (true, false) => drop(self.restless.fetch_add(1, Ordering::AcqRel)),
            (false, true) => drop(self.restless.fetch_sub(1, Ordering::AcqRel)),
            _ => {}
        }
        value
    }

    /// Takes over a change that another process published.
    fn follow(&self, to: BreakerStatus) {
        let Some(breakers) = self.breakers.upgrade() else { return };
        let now = breakers.clock.elapsed();
        let change = self.change(|machine| match to {
            BreakerStatus::Open => machine.open(now),
            BreakerStatus::Closed => machine.close(),
            BreakerStatus::HalfOpen => None,
        });
        if let Some(change) = change {
            breakers.tell(&BreakerChange { name: self.name.clone(), from: change.from, to: change.to });
        }
    }

    fn report(&self) -> BreakerReport {
        let now = self.breakers.upgrade().map_or(Duration::ZERO, |breakers| breakers.clock.elapsed());
        let machine = lock(&self.machine);
        BreakerReport {
            name: self.name.clone(),
            status: machine.status(now),
            failures: machine.failures(),
            retry_in: machine.retry_in(now),
        }
    }
}

impl Drop for Breaker {
    fn drop(&mut self) {
        if !lock(&self.machine).is_pristine() {
            self.restless.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Breaker").field(&self.report()).finish()
    }
}

/// A call that was let through. Dropped without a result, it only gives its place back.
#[derive(Debug)]
pub(crate) struct Pass {
    breaker: Arc<Breaker>,
    permit: Option<Permit>,
}

impl Pass {
    /// Says how the call ended.
    pub(crate) fn settle(mut self, succeeded: bool) {
        let Some(permit) = self.permit.take() else { return };
        self.breaker.step(|machine, now| {
            let change = if succeeded { machine.success(permit) } else { machine.failure(permit, now) };
            ((), change)
        });
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            lock(&self.breaker.machine).give_back(permit);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

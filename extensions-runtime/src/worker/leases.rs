//! The claims that a worker holds, and what runs for each.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::{Job, Stop};
use crate::breaker::Pass;
use crate::job::{JobId, LeaseToken};
use crate::queue::{Extend, Extended};
use crate::registry::JobRunner;
use crate::telemetry::names::event;

/// How long after its time-out a handler that does not return is waited for before it counts as stuck.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The claims that a worker holds.
#[derive(Debug, Default)]
pub(super) struct Leases {
    state: Mutex<State>,
    /// How many slots are taken.
    pub(super) busy: AtomicU32,
    /// How many claims of stuck handlers were ended: each may have made a job available.
    pub(super) given_up: AtomicU32,
}

type Claim = (JobId, LeaseToken);

#[derive(Debug, Default)]
struct State {
    held: HashMap<JobId, Held>,
    /// The claims that were given up while their handlers go on, and keep their slots.
    outlived: HashSet<Claim>,
}

#[derive(Debug)]
struct Held {
    job: Job,
    until: Instant,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Not started yet.
    Waiting,
    Running(Run),
    /// Its end is on its way to the store.
    Ending,
}

/// What runs for a claim.
#[derive(Debug)]
struct Run {
    runner: Arc<JobRunner>,
    what: What,
    limit: Option<Duration>,
    pass: Option<Pass>,
}

/// A handler's attempt, or the call of its `on_failure`, with its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Attempt,
    Callback(Instant),
}

/// A run that did not end in time.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) job: Job,
    pub(super) runner: Arc<JobRunner>,
    pub(super) what: What,
    pub(super) limit: Duration,
}

/// How a run stood when it returned.
#[derive(Debug)]
pub(super) enum Returned {
    /// In time, with its breaker's pass.
    InTime(Option<Pass>),
    /// Given up before: what it did does not count.
    GivenUp,
}

impl Run {
    /// When its time is over.
    fn ends(&self, job: &Job) -> Option<Instant> {
        let since = match self.what {
            What::Attempt => job.begun_at()?,
            What::Callback(since) => since,
        };
        since.checked_add(self.limit?)
    }
}

impl Held {
    fn claim(&self) -> Claim {
        (self.job.id(), self.job.token())
    }
}

impl State {
    /// The entry of this very claim: a later one of the same job is another.
    fn get(&mut self, (job, token): Claim) -> Option<&mut Held> {
        self.held.get_mut(&job).filter(|held| held.job.token() == token)
    }

    fn remove(&mut self, claim: Claim) {
        if self.get(claim).is_some() {
            self.held.remove(&claim.0);
        }
    }
}

impl Leases {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in jobs that were claimed by a call made at `asked`.
    pub(super) fn add<'a>(&self, jobs: impl IntoIterator<Item = &'a Job>, asked: Instant, lease: Duration) {
        let mut state = self.state();
        for job in jobs {
            let held = Held { job: job.clone(), until: asked + lease, phase: Phase::Waiting };
            if let Some(earlier) = state.held.insert(job.id(), held) {
                earlier.job.stop(Stop::LeaseLost);
            }
        }
    }

    /// Lets go of claims.
    pub(super) fn remove(&self, claims: impl IntoIterator<Item = Claim>) {
        let mut state = self.state();
        claims.into_iter().for_each(|claim| state.remove(claim));
    }

    /// Whether the claim certainly holds, as far as this process knows.
    pub(super) fn is_sure(&self, job: &Job) -> bool {
        let held = |held: &mut Held| held.until > Instant::now();
        self.state().get((job.id(), job.token())).is_some_and(held)
    }

    /// Whether no claim is held.
    pub(super) fn is_empty(&self) -> bool {
        self.state().held.is_empty()
    }

    /// Tells every handler to stop.
    pub(super) fn stop_all(&self, why: Stop) {
        for held in self.state().held.values() {
            held.job.stop(why);
        }
    }

    /// Something runs now for the claim; it is watched if it has a limit.
    pub(super) fn begin(
        &self,
        job: &Job,
        runner: &Arc<JobRunner>,
        what: What,
        limit: Option<Duration>,
        pass: Option<Pass>,
    ) {
        if let Some(held) = self.state().get((job.id(), job.token())) {
            held.phase = Phase::Running(Run { runner: Arc::clone(runner), what, limit, pass });
        }
    }

    /// What ran for the claim has returned.
    pub(super) fn end(&self, job: &Job) -> Returned {
        let claim = (job.id(), job.token());
        let mut state = self.state();
        if state.outlived.remove(&claim) {
            return Returned::GivenUp;
        }
        let Some(held) = state.get(claim) else { return Returned::InTime(None) };
        match std::mem::replace(&mut held.phase, Phase::Ending) {
            Phase::Running(run) => Returned::InTime(run.pass),
            Phase::Waiting | Phase::Ending => Returned::InTime(None),
        }
    }

    /// The claim has ended, and its handler goes on in its slot until [`end`](Self::end).
    pub(super) fn outlive(&self, job: &Job) {
        self.state().outlived.insert((job.id(), job.token()));
    }

    /// How many slots are taken by handlers whose claims are given up.
    pub(super) fn outlived(&self) -> usize {
        self.state().outlived.len()
    }

    /// Tells handlers that are out of time to stop, and gives up those that are so for longer than [`PATIENCE`].
    pub(super) fn give_up_stuck(&self, now: Instant) -> Vec<Stuck> {
        let mut state = self.state();
        let State { held, outlived } = &mut *state;
        let mut stuck = Vec::new();
        for held in held.values_mut() {
            let Phase::Running(run) = &mut held.phase else { continue };
            let Some(ends) = run.ends(&held.job).filter(|ends| *ends <= now) else { continue };
            held.job.stop(Stop::TimedOut);
            if now.duration_since(ends) < PATIENCE {
                continue;
            }
            if let Some(pass) = run.pass.take() {
                pass.settle(false);
            }
            let (job, runner) = (held.job.clone(), Arc::clone(&run.runner));
            stuck.push(Stuck { job, runner, what: run.what, limit: run.limit.unwrap_or_default() });
            held.phase = Phase::Ending;
        }
        outlived.extend(stuck.iter().map(|stuck| (stuck.job.id(), stuck.job.token())));
        stuck
    }

    /// Whether a handler runs that still has time.
    pub(super) fn has_one_in_time(&self) -> bool {
        self.state().held.values().any(|held| matches!(held.phase, Phase::Running(_)))
    }

    /// The claims whose jobs were not started; they are let go of, and will not be.
    pub(super) fn take_waiting(&self) -> Vec<Claim> {
        let mut state = self.state();
        let waiting = state.held.values().filter(|held| matches!(held.phase, Phase::Waiting));
        let claims: Vec<Claim> = waiting
            .map(|held| {
                held.job.stop(Stop::LeaseLost);
                held.claim()
            })
            .collect();
        claims.iter().for_each(|claim| state.remove(*claim));
        claims
    }

    /// What is to be extended. Not what its handler ends in a transaction of its own: that may hold the job's row.
    pub(super) fn extensions(&self) -> Vec<Extend> {
        let state = self.state();
        let held = state.held.values().filter(|held| !held.job.is_completed_within());
        held.map(|held| Extend {
            job: held.job.id(),
            token: held.job.token(),
            progress: held.job.take_progress(),
        })
        .collect()
    }

    pub(super) fn note(&self, asked: &[Extend], answers: &[Extended], until: Instant) {
        let mut state = self.state();
        for (asked, answer) in asked.iter().zip(answers) {
            let claim = (asked.job, asked.token);
            let Some(held) = state.get(claim) else { continue };
            match answer {
                Extended::Held => held.until = until,
                Extended::CancelRequested => {
                    held.until = until;
                    held.job.stop(Stop::Cancelled);
                }
                Extended::LeaseLost if held.job.is_completed_within() => {}
                Extended::LeaseLost => {
                    tracing::warn!(name: event::LEASE_LOST, job = %asked.job, handler = %held.job.handler(), "lease lost; its handler is stopped");
                    held.job.stop(Stop::LeaseLost);
                    state.remove(claim);
                }
            }
        }
    }
}

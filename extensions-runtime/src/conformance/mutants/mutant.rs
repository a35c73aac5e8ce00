//! A backend with one fault: the one in memory, whose calls and answers it bends.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Fault;
use crate::conformance::bench;
use crate::job::{
    ClaimedJob, HandlerKey, JobId, JobRecord, JobState, LeaseToken, NewJob, QueueName, UniqueKey, WorkerId,
};
use crate::queue::{
    Capabilities, ClaimRequest, Claimed, Extend, Extended, Finding, Handed, HistoryEntry, JobFilter,
    KnownHandler, Memory, Migration, Pushed, QueueAdmin, QueueBackend, QueueError, QueueErrorKind,
    QueueFuture, QueueStats, Settle, Settled, Settlement, TakeLost, Tally, WaitRequest, WorkerInfo, forward,
};
use crate::time::Timestamp;

/// How wrong the times of some mutants are.
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Mutant {
    inner: Memory,
    fault: Option<Fault>,
    /// Whether it is the handle of another process.
    second: bool,
    refuses: Arc<AtomicBool>,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Default)]
struct Notes {
    tokens: HashMap<JobId, LeaseToken>,
    last: Option<ClaimedJob>,
    in_flight: HashSet<UniqueKey>,
    handlers: HashSet<HandlerKey>,
    pushed: HashSet<JobId>,
    kept_out: HashSet<JobId>,
    pushing: usize,
    /// What was stored last wakes nobody.
    quiet: bool,
    paused: [bool; 2],
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutant").field("fault", &self.fault).finish_non_exhaustive()
    }
}

/// Ends the refusal.
pub(super) struct Obstacle(Arc<AtomicBool>);

impl Drop for Obstacle {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Mutant {
    pub(super) fn new(inner: Memory, fault: Option<Fault>) -> Self {
        Self { inner, fault, second: false, refuses: Arc::default(), notes: Arc::default() }
    }

    pub(super) fn second_handle(&self) -> Self {
        Self { second: true, ..self.clone() }
    }

    /// Refuses pushes, claims and settlements for as long as the obstacle is there.
    pub(super) fn refuse(&self) -> Obstacle {
        self.refuses.store(true, Ordering::SeqCst);
        Obstacle(Arc::clone(&self.refuses))
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn through<'a, T>(
        &'a self,
        _: &'static str,
        call: impl FnOnce(&'a dyn QueueBackend) -> QueueFuture<'a, T>,
    ) -> QueueFuture<'a, T> {
        call(&self.inner)
    }

    fn available(&self, operation: &'static str) -> Result<(), QueueError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(QueueError::new(QueueErrorKind::Unavailable, operation, "told to refuse"));
        }
        Ok(())
    }

    /// The jobs as this mutant stores them.
    fn bend_jobs(&self, jobs: &[NewJob]) -> Vec<NewJob> {
        let mut notes = self.notes();
        let mut jobs = jobs.to_vec();
        for job in &mut jobs {
            notes.handlers.insert(job.handler.clone());
            match self.fault {
                Some(Fault::WrongPriority) => job.priority = 9 - job.priority.min(9),
                Some(Fault::DroppedDelay) => job.delay = Duration::ZERO,
                Some(Fault::ForgottenId) => job.once = None,
                Some(Fault::IdTakenForEver) => job.once = job.once.map(|_| Duration::MAX),
                Some(Fault::CutNames) => job.queue = cut(&job.queue),
                Some(Fault::SecondJobForAnId) if !notes.pushed.insert(job.id) => job.id = JobId::new(),
                Some(Fault::UniqueRace) => {
                    let raced = |lock: &crate::job::UniqueLock| !notes.in_flight.insert(lock.key.clone());
                    if job.unique.as_ref().is_some_and(raced) {
                        job.unique = None;
                    }
                }
                _ => {}
            }
        }
        match self.fault {
            Some(Fault::HalfBatch) if jobs.len() > 1 => jobs.truncate(jobs.len() / 2),
            Some(Fault::CutBatch) => jobs.truncate(1000),
            Some(Fault::IdTakenByTheKeptOut) => jobs.retain(|job| !notes.kept_out.contains(&job.id)),
            Some(Fault::DeafToOtherHandles) => notes.quiet = self.second,
            _ => {}
        }
        jobs
    }

    async fn bent_push(&self, jobs: &[NewJob]) -> Result<Vec<Pushed>, QueueError> {
        let bent = self.bend_jobs(jobs);
        if self.is(Fault::UniqueRace) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if self.is(Fault::DeadlockVictim) {
            self.cross().await?;
        }
        let mut answers = self.inner.push(bent.into()).await?;
        answers.resize(jobs.len(), Pushed::Queued);
        let mut notes = self.notes();
        for lock in jobs.iter().filter_map(|job| job.unique.as_ref()) {
            notes.in_flight.remove(&lock.key);
        }
        let kept_out = jobs.iter().zip(&answers).filter(|(_, answer)| **answer != Pushed::Queued);
        notes.kept_out.extend(kept_out.map(|(job, _)| job.id));
        drop(notes);
        Ok(answers)
    }

    /// Fails where another push is on its way.
    async fn cross(&self) -> Result<(), QueueError> {
        self.notes().pushing += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
        let others = {
            let mut notes = self.notes();
            notes.pushing -= 1;
            notes.pushing
        };
        if others > 0 { Err(QueueError::new(QueueErrorKind::Conflict, "push", "deadlock")) } else { Ok(()) }
    }

    fn bend_request(&self, mut request: ClaimRequest) -> ClaimRequest {
        match self.fault {
            Some(Fault::EarlyExpiry) => request.lease /= 2,
            Some(Fault::LostToEverybody) => request.lost = TakeLost::All,
            Some(Fault::BeyondMax) if request.max > 0 => request.max += 1,
            Some(Fault::UnknownHandler) => {
                let notes = self.notes();
                let known = notes.handlers.iter();
                request.handlers =
                    known.map(|handler| KnownHandler { handler: handler.clone(), max_version: 9 }).collect();
            }
            _ => {}
        }
        request
    }

    fn bend_claim(&self, claimed: &mut Claimed) {
        let mut notes = self.notes();
        if self.is(Fault::DoubleClaim)
            && let (Some(last), false) = (notes.last.take(), claimed.jobs.is_empty())
        {
            claimed.jobs.push(last);
        }
        notes.last = claimed.jobs.first().cloned();
        notes.tokens.extend(claimed.jobs.iter().map(|job| (job.id, job.token)));
        match self.fault {
            Some(Fault::LostWakeUpBetween) => claimed.cursor.0 = u64::MAX,
            Some(Fault::LaneByLane) => claimed.jobs.sort_by(|a, b| a.handler.cmp(&b.handler)),
            Some(Fault::NoAge) => claimed.jobs.iter_mut().for_each(|job| job.age = Duration::ZERO),
            Some(Fault::YoungRetry) => {
                let retried = claimed.jobs.iter_mut().filter(|job| job.attempt > 1);
                retried.for_each(|job| job.age = Duration::ZERO);
            }
            _ => {}
        }
    }

    fn bend_settlements(&self, settlements: &mut Vec<Settlement>) {
        let mut notes = self.notes();
        for settlement in settlements.iter_mut() {
            match (self.fault, &mut settlement.end) {
                (Some(Fault::IgnoredToken), _) => {
                    settlement.token = notes.tokens.get(&settlement.job).copied().unwrap_or(settlement.token);
                }
                (Some(Fault::AttemptNotGivenBack), end @ Settle::Release) => {
                    *end = bench::retry(Duration::ZERO);
                }
                (Some(Fault::ForgottenDebt), Settle::Bury { owe_on_failure, .. }) => *owe_on_failure = false,
                (Some(Fault::DroppedResult), Settle::Complete { result, .. }) => *result = None,
                (
                    Some(Fault::DroppedFollowUps | Fault::FollowUpsFirst),
                    Settle::Complete { follow_ups, .. },
                ) => {
                    *follow_ups = Arc::default();
                }
                (Some(Fault::QuietFollowUps), Settle::Complete { .. }) => notes.quiet = true,
                (Some(Fault::DroppedError), end) => {
                    if let Settle::Retry { delay, .. } = end {
                        *end = Settle::Snooze { delay: *delay };
                    }
                }
                _ => {}
            }
        }
        if self.is(Fault::LostSettlement) {
            settlements.pop();
        }
    }

    async fn bend_settled(&self, asked: &[Settlement], answers: &mut [Settled]) -> Result<(), QueueError> {
        let mut ended = HashSet::new();
        for (end, answer) in asked.iter().zip(answers) {
            let again = !ended.insert((end.job, end.token));
            match self.fault {
                Some(Fault::SettledTwice) if again => *answer = Settled::Done,
                Some(Fault::FollowUpsOfTheLost) if *answer == Settled::LeaseLost => {
                    self.inner.push(follow_ups(end)).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Settles one by one up to the first that is lost.
    async fn settle_in_chain(&self, settlements: Vec<Settlement>) -> Result<Vec<Settled>, QueueError> {
        let mut answers = Vec::new();
        for settlement in settlements {
            if answers.last() == Some(&Settled::LeaseLost) {
                answers.push(Settled::LeaseLost);
            } else {
                answers.extend(self.inner.settle(vec![settlement]).await?);
            }
        }
        Ok(answers)
    }
}

fn cut(name: &QueueName) -> QueueName {
    name.as_str().chars().take(64).collect::<String>().into()
}

fn follow_ups(settlement: &Settlement) -> Arc<[NewJob]> {
    match &settlement.end {
        Settle::Complete { follow_ups, .. } => Arc::clone(follow_ups),
        _ => Arc::default(),
    }
}

fn has_zero(settlement: &Settlement) -> bool {
    matches!(&settlement.end, Settle::Retry { error, .. } | Settle::Bury { error, .. } if error.message.contains('\0'))
}

impl QueueBackend for Mutant {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn describe(&self) -> String {
        format!("mutant {:?}", self.fault)
    }

    fn push(&self, jobs: Arc<[NewJob]>) -> QueueFuture<'_, Vec<Pushed>> {
        Box::pin(async move {
            match self.available("push") {
                Err(_) if self.is(Fault::SwallowedError) => Ok(vec![Pushed::Queued; jobs.len()]),
                Err(error) => Err(error),
                Ok(()) => self.bent_push(&jobs).await,
            }
        })
    }

    fn reserve(&self, request: ClaimRequest) -> QueueFuture<'_, Claimed> {
        Box::pin(async move {
            self.available("reserve")?;
            if self.is(Fault::PauseOfOneHandle) && self.notes().paused[usize::from(self.second)] {
                return self.inner.reserve(ClaimRequest { max: 0, ..request }).await;
            }
            let mut claimed = self.inner.reserve(self.bend_request(request)).await?;
            self.bend_claim(&mut claimed);
            if self.is(Fault::LeakedClaim) {
                tokio::task::yield_now().await;
            }
            Ok(claimed)
        })
    }

    fn settle(&self, mut settlements: Vec<Settlement>) -> QueueFuture<'_, Vec<Settled>> {
        Box::pin(async move {
            if self.is(Fault::FollowUpsFirst) {
                let first: Vec<_> = settlements.iter().flat_map(|end| follow_ups(end).to_vec()).collect();
                self.inner.push(first.into()).await?;
            }
            self.available("settle")?;
            if self.is(Fault::RefusedText) && settlements.iter().any(has_zero) {
                return Err(QueueError::new(QueueErrorKind::Other, "settle", "a zero byte"));
            }
            let asked = settlements.clone();
            self.bend_settlements(&mut settlements);
            if self.is(Fault::DependentSettlements) {
                return self.settle_in_chain(settlements).await;
            }
            let mut answers = self.inner.settle(settlements).await?;
            answers.resize(asked.len(), Settled::Done);
            self.bend_settled(&asked, &mut answers).await?;
            Ok(answers)
        })
    }

    fn extend(&self, mut claims: Vec<Extend>, lease: Duration) -> QueueFuture<'_, Vec<Extended>> {
        Box::pin(async move {
            let asked = claims.len();
            if self.is(Fault::ExtendsAll) {
                let all = self.notes().tokens.clone().into_iter();
                claims.extend(all.map(|(job, token)| Extend { job, token, progress: None }));
            }
            let mut answers = self.inner.extend(claims, lease).await?;
            answers.truncate(asked);
            if self.is(Fault::UnheardCancellation) {
                let held = |answer| if answer == Extended::CancelRequested { Extended::Held } else { answer };
                answers = answers.into_iter().map(held).collect();
            }
            Ok(answers)
        })
    }

    fn wait(&self, request: WaitRequest) -> QueueFuture<'_, ()> {
        if self.is(Fault::LostWakeUp) {
            return Box::pin(async move {
                tokio::time::sleep(request.timeout).await;
                Ok(())
            });
        }
        Box::pin(async move {
            let timeout = request.timeout;
            self.inner.wait(request).await?;
            if self.notes().quiet {
                tokio::time::sleep(timeout).await;
            }
            Ok(())
        })
    }

    fn wait_for_jobs(&self, request: WaitRequest, claim: ClaimRequest) -> QueueFuture<'_, Option<Handed>> {
        Box::pin(async move {
            self.wait(request).await?;
            if !self.is(Fault::BringsUnclaimed) {
                return Ok(None);
            }
            let since = Instant::now();
            let claimed = self.inner.reserve(claim).await?;
            let release =
                |job: &ClaimedJob| Settlement { job: job.id, token: job.token, end: Settle::Release };
            self.inner.settle(claimed.jobs.iter().map(release).collect()).await?;
            Ok(Some(Handed { claimed, since }))
        })
    }

    forward!(maintain connection reconnect store);

    fn beat(&self, worker: WorkerInfo, mut done: Vec<Tally>) -> QueueFuture<'_, ()> {
        if self.is(Fault::FirstTally) {
            done.truncate(1);
        }
        self.inner.beat(worker, done)
    }

    fn leave(&self, worker: WorkerId) -> QueueFuture<'_, ()> {
        // The memory backend lists workers apart from claims, so another id leaves every claim in place.
        let silent = self.is(Fault::KeptOnLeaving);
        self.inner.leave(if silent { WorkerId::new() } else { worker })
    }
}

impl QueueAdmin for Mutant {
    fn stats(&self) -> QueueFuture<'_, Vec<QueueStats>> {
        Box::pin(async move {
            let mut stats = self.inner.stats().await?;
            if self.is(Fault::ForgetfulStats) {
                stats.iter_mut().for_each(|stats| {
                    stats.counts.remove(&JobState::Running);
                });
            }
            if self.is(Fault::HiddenPause) {
                stats.iter_mut().for_each(|stats| stats.paused = false);
            }
            if self.is(Fault::LastingFigures) {
                stats.push(QueueStats::empty("default".into()));
                stats.iter_mut().for_each(|stats| {
                    stats.counts.entry(JobState::Completed).or_default();
                });
            }
            Ok(stats)
        })
    }

    fn list(&self, mut filter: JobFilter) -> QueueFuture<'_, Vec<JobRecord>> {
        filter.newest &= !self.is(Fault::AlwaysOldestFirst);
        if self.is(Fault::ForgottenFilter) && filter.queue.is_some() {
            filter.states.clear();
        }
        self.inner.list(filter)
    }

    forward!(get retry cancel forget prune workers);

    fn history(&self, since: Duration) -> QueueFuture<'_, Vec<HistoryEntry>> {
        Box::pin(async move {
            let mut entries = self.inner.history(since).await?;
            if self.is(Fault::HistoryOfTheLiving) && self.inner.workers().await?.is_empty() {
                entries.clear();
            }
            if self.is(Fault::AnyMinute) {
                let later = |entry: &mut HistoryEntry| entry.minute = entry.minute.saturating_add(SECOND);
                entries.iter_mut().for_each(later);
            }
            Ok(entries)
        })
    }

    fn check(&self) -> QueueFuture<'_, Vec<Finding>> {
        Box::pin(async move {
            let mut found = self.inner.check().await?;
            if self.is(Fault::FalseAlarm) {
                found.push(Finding::problem("nothing", "do nothing"));
            }
            Ok(found)
        })
    }

    fn now(&self) -> QueueFuture<'_, Timestamp> {
        Box::pin(async move {
            let now = self.inner.now().await?;
            Ok(if self.is(Fault::AnotherClock) { now.saturating_add(SECOND) } else { now })
        })
    }

    fn resume(&self, queue: QueueName) -> QueueFuture<'_, ()> {
        self.notes().paused = [false; 2];
        self.inner.resume(queue)
    }

    fn pause(&self, queue: QueueName) -> QueueFuture<'_, ()> {
        match self.fault {
            Some(Fault::IgnoredPause) => Box::pin(async { Ok(()) }),
            Some(Fault::PauseOfOneHandle) => {
                self.notes().paused[usize::from(self.second)] = true;
                Box::pin(async { Ok(()) })
            }
            _ => self.inner.pause(queue),
        }
    }

    fn migrations(&self) -> Vec<Migration> {
        self.inner.migrations()
    }
}

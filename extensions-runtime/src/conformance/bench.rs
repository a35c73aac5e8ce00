//! What the cases are written with.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Fixture;
use crate::job::{
    AttemptError, ClaimedJob, ErrorKind, FireId, HandlerKey, JobId, JobMeta, JobRecord, JobState, NewJob,
    Payload, QueueName, UniqueKey, UniqueLock, UniqueUntil, WorkerId,
};
use crate::queue::{
    ClaimRequest, Claimed, Extend, Extended, KnownHandler, Maintained, Pushed, QueueBackend, QueueStats,
    Retention, Settle, Settled, Settlement, TakeLost, WaitCursor, WaitRequest, WorkerInfo,
};
use crate::time::Timestamp;

/// A lease that a case does not want to end.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// A lease or delay whose end a case waits for.
pub(super) const SHORT: Duration = Duration::from_millis(120);
/// The longest time for which a case waits for an event.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// Every ended job is old.
pub(super) const KEEP_NOTHING: Retention =
    Retention { completed: Duration::ZERO, cancelled: Duration::ZERO, dead: Duration::ZERO };

/// A fresh store with the small vocabulary of the cases.
pub struct Bench {
    pub(super) fixture: Arc<dyn Fixture>,
    pub(super) backend: Arc<dyn QueueBackend>,
    pub(super) worker: WorkerId,
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// The queue that most jobs go to.
pub(super) fn queue() -> QueueName {
    QueueName::from("default")
}

/// The handler of most jobs.
pub(super) fn handler() -> HandlerKey {
    HandlerKey::new("OrderPlaced", "send")
}

/// An ordinary job.
pub(super) fn job() -> NewJob {
    NewJob {
        id: JobId::new(),
        handler: handler(),
        point_version: 1,
        payload: Payload::from(br#"{"order_id":7}"#.as_slice()),
        queue: queue(),
        priority: 5,
        max_attempts: 3,
        delay: Duration::ZERO,
        unique: None,
        on_failure: false,
        once: None,
        meta: JobMeta::new(FireId::new()),
    }
}

pub(super) fn jobs(n: usize) -> Vec<NewJob> {
    (0..n).map(|_| job()).collect()
}

/// An ordinary job under the key, until it ends.
pub(super) fn unique(key: &str) -> NewJob {
    unique_with(key, None, UniqueUntil::End)
}

pub(super) fn unique_with(key: &str, ttl: Option<Duration>, until: UniqueUntil) -> NewJob {
    NewJob { unique: Some(UniqueLock { key: UniqueKey::from(key), ttl, until }), ..job() }
}

pub(super) fn error(attempt: u32, message: &str) -> AttemptError {
    AttemptError {
        attempt,
        at: Timestamp::default(),
        kind: ErrorKind::Failed,
        message: message.to_owned(),
        worker: None,
        took: None,
    }
}

pub(super) fn retry(delay: Duration) -> Settle {
    Settle::Retry { delay, error: error(1, "again") }
}

pub(super) fn bury() -> Settle {
    Settle::Bury { error: error(1, "for good"), owe_on_failure: false }
}

pub(super) fn bury_owing() -> Settle {
    Settle::Bury { error: error(1, "for good"), owe_on_failure: true }
}

pub(super) fn complete() -> Settle {
    Settle::complete(true)
}

/// The job is completed, and these are stored with that.
pub(super) fn followed_by(jobs: &[NewJob]) -> Settle {
    Settle::Complete { keep: true, result: None, follow_ups: jobs.into() }
}

pub(super) fn settlement(job: &ClaimedJob, end: Settle) -> Settlement {
    Settlement { job: job.id, token: job.token, end }
}

pub(super) fn ids(jobs: &[NewJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

pub(super) fn claimed_ids(jobs: &[ClaimedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

pub(super) fn known(handler: &HandlerKey) -> KnownHandler {
    KnownHandler { handler: handler.clone(), max_version: 1 }
}

/// Polls once and drops; the answer, if that was enough.
pub(super) fn start_and_drop<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// A wait that should end by an event, long before its time-out.
pub(super) struct Waiting(JoinHandle<()>);

impl Waiting {
    pub(super) fn on(backend: &Arc<dyn QueueBackend>, request: WaitRequest) -> Self {
        let backend = Arc::clone(backend);
        Self(tokio::spawn(async move { backend.wait(request).await.expect("wait") }))
    }

    pub(super) async fn ended(self) {
        timeout(PATIENCE, self.0).await.expect("the wait was to end").expect("the wait succeeds");
    }

    pub(super) fn dropped(self) {
        self.0.abort();
    }
}

impl Bench {
    /// A bench on the fixture's store.
    #[must_use]
    pub fn new(fixture: Arc<dyn Fixture>) -> Self {
        let backend = fixture.backend();
        Self { fixture, backend, worker: WorkerId::new() }
    }

    pub(super) async fn pass(&self, time: Duration) {
        self.fixture.advance(time).await;
    }

    pub(super) async fn push(&self, jobs: impl Into<Arc<[NewJob]>>) -> Vec<Pushed> {
        self.backend.push(jobs.into()).await.expect("push")
    }

    /// Pushes one ordinary job.
    pub(super) async fn pushed(&self) -> JobId {
        let job = job();
        let id = job.id;
        assert_eq!(self.push([job]).await, [Pushed::Queued]);
        id
    }

    pub(super) fn request(&self, max: usize) -> ClaimRequest {
        ClaimRequest {
            worker: self.worker,
            queues: vec![queue()],
            handlers: vec![known(&handler())].into(),
            max,
            lease: LONG,
            lost: TakeLost::All,
        }
    }

    pub(super) async fn reserve(&self, request: ClaimRequest) -> Claimed {
        self.backend.reserve(request).await.expect("reserve")
    }

    pub(super) async fn claim(&self, max: usize) -> Vec<ClaimedJob> {
        self.reserve(self.request(max)).await.jobs
    }

    pub(super) async fn claim_for(&self, max: usize, lease: Duration) -> Vec<ClaimedJob> {
        self.reserve(ClaimRequest { lease, ..self.request(max) }).await.jobs
    }

    /// Claims until nothing is left: a backend may bring fewer at once than it is asked for.
    pub(super) async fn claim_all(&self) -> Vec<ClaimedJob> {
        let mut all = Vec::new();
        loop {
            let mut some = self.claim(1000).await;
            if some.is_empty() {
                return all;
            }
            all.append(&mut some);
        }
    }

    /// Claims exactly one job.
    pub(super) async fn take(&self) -> ClaimedJob {
        self.take_for(LONG).await
    }

    pub(super) async fn take_for(&self, lease: Duration) -> ClaimedJob {
        let mut jobs = self.claim_for(1, lease).await;
        assert_eq!(jobs.len(), 1, "one job was to be claimed");
        jobs.remove(0)
    }

    /// Claims one job and ends it so.
    pub(super) async fn assert_claimable_then(&self, end: Settle) {
        let claimed = self.take().await;
        self.end(&claimed, end).await;
    }

    pub(super) async fn assert_nothing_to_claim(&self) {
        assert_eq!(claimed_ids(&self.claim(100).await), [], "nothing was to be claimed");
    }

    pub(super) async fn settle(&self, job: &ClaimedJob, end: Settle) -> Settled {
        let settled = self.backend.settle(vec![settlement(job, end)]).await.expect("settle");
        assert_eq!(settled.len(), 1);
        settled[0]
    }

    /// Settles, which must take effect.
    pub(super) async fn end(&self, job: &ClaimedJob, end: Settle) {
        assert_eq!(self.settle(job, end).await, Settled::Done);
    }

    pub(super) async fn extend(&self, job: &ClaimedJob, lease: Duration) -> Extended {
        let claim = Extend { job: job.id, token: job.token, progress: None };
        self.backend.extend(vec![claim], lease).await.expect("extend")[0]
    }

    pub(super) async fn maintain(&self) -> Maintained {
        self.backend.maintain(Retention::default()).await.expect("maintain")
    }

    /// Lets a short claim end and takes it back.
    pub(super) async fn lose(&self) -> Maintained {
        self.pass(SHORT).await;
        self.maintain().await
    }

    /// The figures of one queue.
    pub(super) async fn stats_of(&self, queue: &QueueName) -> QueueStats {
        let all = self.backend.stats().await.expect("stats");
        let of = all.into_iter().find(|stats| stats.queue == *queue);
        of.unwrap_or_else(|| QueueStats::empty(queue.clone()))
    }

    pub(super) async fn find(&self, id: JobId) -> Option<JobRecord> {
        let mut found = self.backend.get(vec![id]).await.expect("get");
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    pub(super) async fn record(&self, id: JobId) -> JobRecord {
        self.find(id).await.expect("the job is stored")
    }

    pub(super) async fn state(&self, id: JobId) -> JobState {
        self.record(id).await.state
    }

    /// Waits on the queue since the claim that gave the cursor.
    pub(super) fn waits_after(&self, claimed: &Claimed) -> Waiting {
        Waiting::on(&self.backend, Self::wait_request(claimed.cursor, LONG))
    }

    pub(super) fn wait_request(cursor: WaitCursor, timeout: Duration) -> WaitRequest {
        WaitRequest { queues: vec![queue()], cursor, timeout }
    }

    /// A worker that serves the queue and knows the handlers.
    pub(super) fn worker_info(&self, handlers: &[HandlerKey], live_for: Duration) -> WorkerInfo {
        WorkerInfo {
            id: WorkerId::new(),
            host: "host".to_owned(),
            pid: 1,
            version: "0.1.0".to_owned(),
            queues: vec![queue()],
            handlers: handlers.iter().map(known).collect(),
            slots: 4,
            busy: 0,
            started_at: Timestamp::from_millis(1),
            last_beat: Timestamp::default(),
            live_for,
        }
    }
}

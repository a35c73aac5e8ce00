//! Product 8.6: every road that ends a job without success, each with its state, its error, its callback and its history.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use extensions::job::{ErrorKind, JobId, JobRecord, JobState, KEPT_ERRORS, NewJob};
use extensions::prelude::*;
use extensions::queue::{Memory, QueueAdmin, QueueBackend, Sqlite};
use extensions::testing::FaultyQueue;
use serde::{Deserialize, Serialize};
use tests::kit::{self, Log};
use tokio::sync::Notify;

const MS: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Task {
    what: String,
}

/// Tells the test that a handler runs.
#[derive(Default)]
struct Running {
    runs: AtomicU32,
    started: Notify,
}

struct Perform;
impl AsyncHandler<Task> for Perform {
    async fn handle(&self, task: &Task, job: &Job) -> HandlerResult {
        let running = job.resource::<Running>().unwrap();
        running.runs.fetch_add(1, Ordering::SeqCst);
        running.started.notify_one();
        match task.what.as_str() {
            "fails" => Err("it fails".into()),
            "panics" => panic!("it panics"),
            "permanent" => Err(HandlerError::permanent("no such customer")),
            "missing" => Err(HandlerError::missing("order 7")),
            "blocks" => {
                // Longer than its time-out and what it is waited for after that, on the only thread of a runtime.
                std::thread::sleep(Duration::from_secs(8));
                Ok(())
            }
            _ => pending().await,
        }
    }
}

struct Told;
impl OnFailure<Task> for Told {
    async fn on_failure(&self, task: &Task, error: &JobError, job: &Job) {
        job.resource::<Log>().unwrap().add(format!("{} {:?} {}", task.what, error.kind(), job.attempt()));
    }
}

struct Road {
    what: &'static str,
    options: AsyncOptions,
    state: JobState,
    kind: ErrorKind,
    says: &'static str,
    /// The errors that are kept.
    errors: usize,
    calls_on_failure: bool,
    /// Whether its last error is that of a handler that ran.
    has_run: bool,
}

fn road(what: &'static str, kind: ErrorKind, says: &'static str) -> Road {
    let options = AsyncOptions::new().retries(2).backoff(Backoff::fixed(MS)).timeout(Duration::from_secs(60));
    let options = options.on_failure::<Task, _>(Told);
    let state = JobState::Dead;
    Road { what, options, state, kind, says, errors: 1, calls_on_failure: true, has_run: true }
}

impl Road {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
    fn options(mut self, change: impl FnOnce(AsyncOptions) -> AsyncOptions) -> Self {
        self.options = change(self.options);
        self
    }
}

fn roads() -> Vec<Road> {
    vec![
        road("fails", ErrorKind::Failed, "it fails").with(|road| road.errors = 2),
        road("fails", ErrorKind::Failed, "it fails").options(|options| options.retry_until(Duration::ZERO)),
        road("panics", ErrorKind::Panicked, "it panics").with(|road| road.errors = 2),
        road("hangs", ErrorKind::TimedOut, "time-out of 20ms")
            .options(|options| options.timeout(20 * MS))
            .with(|road| road.errors = 2),
        road("permanent", ErrorKind::Permanent, "no such customer"),
        road("missing", ErrorKind::Missing, "order 7"),
        road("late", ErrorKind::Expired, "not started within its 1ms")
            .options(|options| options.expires_in(MS))
            .with(|road| road.has_run = false),
        road("garbage", ErrorKind::Undecodable, "expected").with(|road| {
            road.has_run = false;
            road.calls_on_failure = false;
        }),
        road("blocks", ErrorKind::TimedOut, "did not return")
            .options(|options| options.timeout(20 * MS).retries(1)),
        road("takes its workers down", ErrorKind::Lost, "").with(|road| {
            road.has_run = false;
            road.state = JobState::Quarantined;
        }),
    ]
}

struct Bench {
    ext: Extensions,
    queue: FaultyQueue,
    log: Arc<Log>,
    running: Arc<Running>,
}

impl Bench {
    async fn new(queue: Arc<dyn QueueBackend>, options: AsyncOptions) -> Self {
        let queue = FaultyQueue::shared(queue);
        let (log, running) = (Arc::new(Log::default()), Arc::new(Running::default()));
        let builder = Extensions::builder().register_async::<Task, _>(Perform, options);
        let builder =
            builder.resource(Arc::clone(&log)).resource(Arc::clone(&running)).without_circuit_breaker();
        let ext = builder.queue(queue.clone()).build().await.unwrap();
        Self { ext, queue, log, running }
    }

    async fn fire(&self, what: &str) -> JobId {
        if what == "garbage" {
            return self.push_garbage().await;
        }
        self.ext.fire(Task { what: what.to_owned() }).await.unwrap().queued()[0].id()
    }

    /// Stores a job like one of a fire, with bytes that are no point.
    async fn push_garbage(&self) -> JobId {
        self.queue.fail_next_pushes(1, extensions::queue::QueueErrorKind::Unavailable);
        let error = self.ext.fire(Task { what: String::new() }).await.unwrap_err();
        let mut jobs: Vec<NewJob> = error.unqueued().to_vec();
        jobs[0].payload = (&b"\xff garbage"[..]).into();
        let id = jobs[0].id;
        self.ext.push(jobs).await.unwrap();
        id
    }

    async fn job(&self, id: JobId) -> JobRecord {
        self.queue.get(vec![id]).await.unwrap().remove(0).unwrap()
    }

    /// Ends the lease of the running handler until its job is not tried again.
    async fn lose_workers(&self, id: JobId) {
        while self.job(id).await.state != JobState::Quarantined {
            tokio::select! {
                () = self.running.started.notified() => drop(self.queue.expire_leases().await.unwrap()),
                () = tokio::time::sleep(20 * MS) => {}
            }
        }
    }
}

async fn walk(queue: Arc<dyn QueueBackend>, road: Road) {
    let on = format!("{} on {}", road.what, queue.describe());
    let bench = Bench::new(queue, road.options).await;
    let id = bench.fire(road.what).await;
    // Longer than the job on the road `late` may wait.
    tokio::time::sleep(2 * MS).await;
    let worker = kit::in_time(&on, bench.ext.worker().stop_when_drained().run_until(pending()));
    let report = if road.state == JobState::Quarantined {
        tokio::join!(worker, bench.lose_workers(id)).0.unwrap()
    } else {
        worker.await.unwrap()
    };

    let job = bench.job(id).await;
    assert_eq!((job.state, job.errors.len()), (road.state, road.errors), "{on}: {job:?}");
    let last = job.errors.last().unwrap();
    assert_eq!(last.kind, road.kind, "{on}: {last:?}");
    assert!(last.message.contains(road.says), "{on}: {last:?}");
    let calls = if road.calls_on_failure {
        vec![format!("{} {:?} {}", road.what, road.kind, job.attempt)]
    } else {
        Vec::new()
    };
    assert_eq!(bench.log.take(), calls, "{on}: once, with the error that ended it");
    assert!(!job.owes_on_failure, "{on}");

    for error in &job.errors {
        assert!(error.at >= job.enqueued_at, "{on}: {error:?}");
        assert_eq!(error.took.is_some(), road.has_run, "{on}: {error:?}");
        assert!(error.worker.is_some(), "{on}: {error:?}");
    }
    let is_dead = road.state == JobState::Dead;
    let expired = u64::from(road.kind == ErrorKind::Expired);
    assert_eq!((report.dead, report.expired), (u64::from(is_dead), expired), "{on}: {report:?}");
    if road.kind == ErrorKind::Expired || road.kind == ErrorKind::Undecodable {
        assert_eq!(bench.running.runs.load(Ordering::SeqCst), 0, "{on}: the handler never ran");
    }
}

async fn walk_all(queue: impl AsyncFn() -> Arc<dyn QueueBackend>) {
    for road in roads() {
        walk(queue().await, road).await;
    }
}

#[tokio::test]
async fn every_road_out_in_memory() {
    walk_all(async || Arc::new(Memory::new()) as _).await;
}

#[tokio::test]
async fn every_road_out_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicU32::new(0);
    walk_all(async || {
        let file = format!("jobs{}.db", count.fetch_add(1, Ordering::SeqCst));
        Arc::new(Sqlite::open(folder.path().join(file)).await.unwrap()) as _
    })
    .await;
}

async fn long_history(queue: Arc<dyn QueueBackend>) {
    let attempts = 25;
    let options = AsyncOptions::new().retries(attempts).backoff(Backoff::fixed(Duration::ZERO));
    let bench = Bench::new(queue, options).await;
    let id = bench.fire("fails").await;
    kit::in_time("drained", bench.ext.worker().stop_when_drained().run_until(pending())).await.unwrap();
    let errors = bench.job(id).await.errors;
    let kept: Vec<u32> = errors.iter().map(|error| error.attempt).collect();
    let first = attempts - u32::try_from(KEPT_ERRORS).unwrap() + 1;
    assert_eq!(kept, (first..=attempts).collect::<Vec<_>>());
    assert!(errors.iter().all(|error| error.worker == errors[0].worker && error.worker.is_some()));
    assert!(errors.iter().all(|error| error.took.is_some() && error.message == "it fails"));
    assert!(errors.is_sorted_by_key(|error| error.at));
}

#[tokio::test]
async fn the_history_keeps_the_last_twenty_attempts() {
    long_history(Arc::new(Memory::new())).await;
    let folder = tempfile::tempdir().unwrap();
    long_history(Arc::new(Sqlite::open(folder.path().join("jobs.db")).await.unwrap())).await;
}

#[tokio::test]
async fn a_retry_that_would_come_too_late_is_not_waited_for() {
    let options = AsyncOptions::new().retries(9).backoff(Backoff::fixed(Duration::from_secs(600)));
    let bench = Bench::new(Arc::new(Memory::new()), options.expires_in(Duration::from_secs(60))).await;
    let id = bench.fire("fails").await;
    let report = bench.ext.worker().stop_when_drained().run_until(pending()).await.unwrap();
    assert_eq!((report.dead, report.expired, report.failed), (1, 0, 1), "{report:?}");
    assert_eq!(bench.job(id).await.errors[0].kind, ErrorKind::Failed, "dead for what went wrong");
}

#[tokio::test]
async fn a_job_that_would_expire_before_it_is_due_stops_the_start_up() {
    let options = AsyncOptions::new().expires_in(Duration::from_secs(60));
    for (own, defaults) in [
        (options.clone().delay(Duration::from_secs(60)), AsyncOptions::new()),
        (AsyncOptions::new().delay(Duration::from_secs(61)), options),
    ] {
        let builder = Extensions::builder().register_async::<Task, _>(Perform, own).async_defaults(defaults);
        let error = builder.queue(Memory::new()).build().await.unwrap_err().to_string();
        assert!(error.contains("`expires_in` is 60s"), "{error}");
    }
}

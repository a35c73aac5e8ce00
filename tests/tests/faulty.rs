//! Product 13: the queue that fails when a test tells it to, around a real instance and its workers.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use extensions::job::{JobId, JobRecord, JobState, QueueName, WorkerId};
use extensions::prelude::*;
use extensions::queue::{
    ClaimRequest, JobFilter, Memory, Pushed, QueueAdmin, QueueBackend, QueueError, QueueErrorKind, Retention,
    Sqlite, TakeLost, WaitCursor, WaitRequest,
};
use extensions::testing::FaultyQueue;
use extensions::{FireErrorKind, WorkerBuilder};
use serde::{Deserialize, Serialize};
use tests::kit::{in_time, until};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const MS: Duration = Duration::from_millis(1);

#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Order {
    id: u64,
}

/// What ran, in order; and permits for the handlers that wait for one.
struct Log {
    lines: Mutex<Vec<String>>,
    gate: Semaphore,
    queue: FaultyQueue,
}

impl Log {
    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

#[extension_handler(Order)]
#[async_handler]
async fn charge(order: &Order, log: Res<Log>) {
    log.add(format!("charge {}", order.id));
}

#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Slow;

#[extension_handler(Slow)]
#[async_handler]
async fn crawl(_: &Slow, log: Res<Log>) {
    log.add("crawl".into());
    log.gate.acquire().await.unwrap().forget();
}

#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Doomed;

#[extension_handler(Doomed)]
#[async_handler(retries = 1, on_failure = Told)]
async fn fail(_: &Doomed) -> HandlerResult {
    Err("no".into())
}

struct Told;
impl OnFailure<Doomed> for Told {
    async fn on_failure(&self, _: &Doomed, _: &JobError, job: &Job) {
        let log = job.resource::<Log>().unwrap();
        if log.lines().is_empty() {
            log.queue.lose_next_settlements(1);
        }
        log.add("told".into());
    }
}

type Working = JoinHandle<Result<WorkerReport, QueueError>>;

struct Bench {
    ext: Extensions,
    queue: FaultyQueue,
    log: Arc<Log>,
}

impl Bench {
    async fn new() -> Self {
        Self::around(Memory::new()).await
    }

    async fn around(inner: impl QueueBackend) -> Self {
        let queue = FaultyQueue::new(inner);
        let log = Log { lines: Mutex::default(), gate: Semaphore::new(0), queue: queue.clone() };
        let log = Arc::new(log);
        let builder = Extensions::builder().discover().resource(Arc::clone(&log));
        let ext = builder.queue(queue.clone()).build().await.unwrap();
        Self { ext, queue, log }
    }

    fn work(&self) -> Working {
        self.work_with(|worker| worker)
    }

    fn work_with(&self, change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Working {
        let worker = change(self.ext.worker().stop_when_drained());
        tokio::spawn(async move { worker.run_until(pending()).await })
    }

    async fn job(&self, id: JobId) -> JobRecord {
        self.queue.get(vec![id]).await.unwrap().remove(0).expect("the job is there")
    }

    async fn stored(&self) -> usize {
        self.queue.list(JobFilter::default()).await.unwrap().len()
    }
}

async fn end(worker: Working) -> WorkerReport {
    in_time("the worker's end", worker).await.unwrap().unwrap()
}

fn push_error(error: &FireError) -> &QueueError {
    let FireErrorKind::PushFailed(cause) = error.kind() else { panic!("{error:?}") };
    cause
}

#[tokio::test]
async fn a_push_whose_answer_is_lost_is_pushed_again_and_runs_one_job() {
    let bench = Bench::new().await;
    bench.queue.lose_next_push_answers(1);
    let error = bench.ext.fire(Order { id: 1 }).await.unwrap_err();
    assert_eq!(push_error(&error).kind(), QueueErrorKind::Timeout);
    assert_eq!(bench.stored().await, 1, "stored all the same");

    assert_eq!(bench.ext.push(Arc::clone(error.unqueued())).await.unwrap(), [Pushed::Queued]);
    assert_eq!(end(bench.work()).await.completed, 1);
    assert_eq!(bench.log.lines(), ["charge 1"]);
    assert_eq!((bench.stored().await, bench.queue.injected().lost_push_answers), (1, 1));
}

#[tokio::test]
async fn pushes_fail_as_often_and_as_they_are_told_to_and_store_nothing() {
    let bench = Bench::new().await;
    bench.queue.fail_next_pushes(9, QueueErrorKind::Corrupt);
    bench.queue.fail_next_pushes(2, QueueErrorKind::Full);
    for id in 0..2 {
        let error = bench.ext.fire(Order { id }).await.unwrap_err();
        assert_eq!(push_error(&error).kind(), QueueErrorKind::Full);
    }
    assert_eq!((bench.stored().await, bench.queue.injected().failed_pushes), (0, 2));
    bench.ext.fire(Order { id: 2 }).await.unwrap();
    assert_eq!(bench.stored().await, 1);
}

#[tokio::test]
async fn a_worker_whose_claims_fail_asks_again() {
    let bench = Bench::new().await;
    bench.ext.fire(Order { id: 1 }).await.unwrap();
    bench.queue.fail_next_claims(2);
    assert_eq!(end(bench.work()).await.completed, 1);
    assert_eq!(bench.queue.injected().failed_claims, 2);
}

#[tokio::test]
async fn a_worker_survives_a_disconnect_and_drains_after_the_reconnect() {
    let bench = Bench::new().await;
    bench.ext.fire(Slow).await.unwrap();
    let worker = bench.work();
    until("the handler runs", async || !bench.log.lines().is_empty()).await;

    bench.queue.disconnect();
    bench.log.gate.add_permits(1);
    let error = bench.ext.fire(Order { id: 1 }).await.unwrap_err();
    assert_eq!(push_error(&error).kind(), QueueErrorKind::Unavailable);
    until("the worker tries in vain", async || bench.queue.injected().refused_calls >= 4).await;
    assert!(!worker.is_finished(), "it goes on");

    bench.queue.reconnect();
    bench.ext.push(Arc::clone(error.unqueued())).await.unwrap();
    let report = end(worker).await;
    assert_eq!((report.completed, report.lost), (2, 0), "{report:?}");
    assert_eq!(bench.log.lines(), ["crawl", "charge 1"], "each once");
}

#[tokio::test]
async fn a_job_whose_settlement_is_lost_runs_again_once_its_lease_has_ended() {
    lose_a_settlement(&Bench::new().await).await;
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(folder.path().join("jobs.db")).await.unwrap();
    lose_a_settlement(&Bench::around(sqlite).await).await;
}

async fn lose_a_settlement(bench: &Bench) {
    bench.queue.lose_next_settlements(1);
    let id = bench.ext.fire(Order { id: 1 }).await.unwrap().queued()[0].id();
    let worker = bench.work();
    until("the settlement is lost", async || bench.queue.injected().lost_settlements == 1).await;
    assert_eq!(bench.job(id).await.state, JobState::Running, "as the store sees it");

    assert_eq!(bench.queue.expire_leases().await.unwrap(), 1);
    end(worker).await;
    let job = bench.job(id).await;
    assert_eq!((job.state, job.attempt), (JobState::Completed, 1));
    assert_eq!(bench.log.lines(), ["charge 1", "charge 1"]);
    assert_eq!(bench.queue.expire_leases().await.unwrap(), 0, "settled claims hold nothing");
    assert_eq!(bench.queue.injected().expired_leases, 1);
}

#[tokio::test]
async fn only_as_many_settlements_of_a_call_are_lost_as_were_to_be() {
    let bench = Bench::new().await;
    bench.ext.fire_many((0..5).map(|id| Order { id })).await;
    bench.queue.lose_next_settlements(2);
    let worker = bench.work();
    until("all have run", async || bench.log.lines().len() == 5).await;
    until("two are lost", async || bench.queue.injected().lost_settlements == 2).await;
    let completed = async || bench.queue.stats().await.unwrap()[0].count(JobState::Completed);
    until("three are settled", async || completed().await == 3).await;
    assert_eq!(bench.queue.expire_leases().await.unwrap(), 2);
    end(worker).await;
    assert_eq!((completed().await, bench.log.lines().len()), (5, 7));
}

#[tokio::test]
async fn a_callback_whose_end_is_lost_is_made_again() {
    let bench = Bench::new().await;
    let id = bench.ext.fire(Doomed).await.unwrap().queued()[0].id();
    let worker = bench.ext.worker();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run_until(async move { drop(stopped.await) }));
    until("the end is lost", async || bench.queue.injected().lost_settlements == 1).await;
    assert_eq!(bench.job(id).await.state, JobState::Dead);
    assert_eq!(bench.queue.expire_leases().await.unwrap(), 1, "the lease goes on through the callback");
    until("told again", async || bench.log.lines() == ["told", "told"]).await;
    drop(stop);
    end(worker).await;
}

#[tokio::test]
async fn a_handler_whose_lease_was_made_to_end_settles_nothing_and_its_job_runs_again() {
    let bench = Bench::new().await;
    bench.ext.fire(Slow).await.unwrap();
    let worker = bench.work();
    until("the handler runs", async || bench.log.lines().len() == 1).await;
    assert_eq!(bench.queue.expire_leases().await.unwrap(), 1);
    until("it runs again", async || bench.log.lines().len() == 2).await;
    bench.log.gate.add_permits(2);
    let report = end(worker).await;
    assert_eq!((report.completed, report.lost), (1, 1), "{report:?}");
}

/// The worker that lost the claim takes the job again while its first handler still runs: the second claim is another one, which the
/// first one's end must not let go of.
#[tokio::test]
async fn a_job_claimed_again_by_the_worker_that_lost_it_keeps_its_second_lease() {
    let bench = Bench::new().await;
    bench.ext.fire(Slow).await.unwrap();
    let lease = Duration::from_secs(1);
    let worker = bench.work_with(|worker| worker.lease(lease));
    until("the handler runs", async || bench.log.lines().len() == 1).await;
    assert_eq!(bench.queue.expire_leases().await.unwrap(), 1);
    until("it runs again", async || bench.log.lines().len() == 2).await;
    tokio::time::sleep(lease * 3).await;
    assert_eq!(bench.log.lines().len(), 2, "the second lease is extended");
    bench.log.gate.add_permits(1);
    let report = end(worker).await;
    assert_eq!((report.completed, report.lost), (1, 1), "the first handler was stopped: {report:?}");
}

#[tokio::test]
async fn while_it_is_disconnected_calls_fail_and_waits_end() {
    let queue = FaultyQueue::new(Memory::new());
    let request = WaitRequest {
        queues: vec![QueueName::from("default")],
        cursor: WaitCursor(u64::MAX),
        timeout: Duration::from_secs(3600),
    };
    let (waiting, under_way) = (queue.clone(), request.clone());
    let waiting = tokio::spawn(async move { waiting.wait(under_way).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    queue.disconnect();
    let ended = in_time("its end", waiting).await.unwrap();
    let worker = WorkerId::new();
    let name = || QueueName::from("default");
    let claim = ClaimRequest {
        worker,
        queues: vec![name()],
        handlers: Arc::new([]),
        max: 1,
        lease: MS,
        lost: TakeLost::All,
    };
    let errors = [
        ended.unwrap_err(),
        queue.wait(request).await.unwrap_err(),
        queue.push(Arc::new([])).await.unwrap_err(),
        queue.reserve(claim).await.unwrap_err(),
        queue.settle(Vec::new()).await.unwrap_err(),
        queue.extend(Vec::new(), MS).await.unwrap_err(),
        queue.maintain(Retention::default()).await.unwrap_err(),
        queue.leave(worker).await.unwrap_err(),
        queue.stats().await.unwrap_err(),
        queue.list(JobFilter::default()).await.unwrap_err(),
        queue.get(Vec::new()).await.unwrap_err(),
        queue.retry(Vec::new()).await.unwrap_err(),
        queue.cancel(Vec::new(), String::new()).await.unwrap_err(),
        queue.forget(Vec::new()).await.unwrap_err(),
        queue.prune(Retention::default(), 1).await.unwrap_err(),
        queue.pause(name()).await.unwrap_err(),
        queue.resume(name()).await.unwrap_err(),
        queue.workers().await.unwrap_err(),
    ];
    for error in &errors {
        assert_eq!(error.kind(), QueueErrorKind::Unavailable);
    }
    assert_eq!(queue.injected().refused_calls, errors.len() as u64);
    queue.reconnect();
    assert_eq!(queue.stats().await.unwrap(), []);
}

/// The thread that polls the call is the only one of its runtime, and blocked by `fire_sync`.
#[tokio::test]
async fn a_delay_holds_for_calls_from_any_thread() {
    let bench = Bench::new().await;
    bench.queue.delay(20 * MS);
    let asked = Instant::now();
    bench.ext.fire_sync(Order { id: 1 }).unwrap();
    assert!(asked.elapsed() >= 20 * MS);
    bench.ext.fire(Order { id: 2 }).await.unwrap();
    assert!(asked.elapsed() >= 40 * MS);
    assert_eq!(bench.queue.injected().delayed_calls, 2);
    bench.queue.delay(Duration::ZERO);
    assert_eq!(end(bench.work()).await.completed, 2);
    assert_eq!(bench.queue.injected().delayed_calls, 2);
}

#[tokio::test]
async fn it_says_what_is_inside_and_what_it_did() {
    let queue = FaultyQueue::new(Memory::new());
    queue.disconnect();
    assert_eq!(queue.describe(), "faulty memory");
    assert!(format!("{queue:?}").contains("connected: false"));
}

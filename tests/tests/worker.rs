//! Product 7, 8 and 10.1: what a worker makes of a handler's end, of its own end, and of what it does not know.

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use extensions::ExtensionsBuilder;
use extensions::job::{ErrorKind, JobId, JobRecord, JobState, NewJob};
use extensions::prelude::*;
use extensions::queue::{AdminOutcome, ClaimRequest, JobFilter, Memory, QueueBackend, Retention};
use extensions::time::{Clock, ManualClock};
use extensions::worker::StopReason;
use serde::{Deserialize, Serialize};
use tests::kit;
use tokio::sync::Notify;

const MS: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Task {
    what: String,
}

fn task(what: &str) -> Task {
    Task { what: what.to_owned() }
}

/// What handlers and callbacks wrote down, in order.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    started: Notify,
}

impl Log {
    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.started.notify_one();
    }
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
    fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|other| *other == line).count()
    }
}

#[extension_handler(Task, aliases = ["FormerName"])]
#[async_handler(retries = 3, backoff = fixed("20ms"), timeout = "200ms", on_failure = Told, on_retry = Told)]
async fn perform(task: &Task, log: Res<Log>, job: &Job) -> HandlerResult {
    log.add(format!("{} {}", task.what, job.attempt()));
    match task.what.as_str() {
        "fail" => Err("it fails".into()),
        "fail once" if job.attempt() == 1 => Err(std::io::Error::other("disk").into()),
        "panic" => panic!("it panics"),
        "late panic" => {
            tokio::task::yield_now().await;
            panic!("{} panics", job.attempt());
        }
        "hang" => pending().await,
        "slow" => {
            // Longer than a worker goes without a look for lost jobs.
            tokio::time::sleep(150 * MS).await;
            Ok(())
        }
        "missing" => Err(HandlerError::missing("order 7")),
        "permanent" => Err(HandlerError::permanent("no such customer")),
        "retry after" if job.attempt() == 1 => {
            Err(HandlerError::retry_after(60 * 60 * 1_000 * MS, "rate limited"))
        }
        "snooze" if log.count("snooze 1") < 5 => Err(HandlerError::snooze(MS)),
        "cancel" => Err(HandlerError::cancel("not needed")),
        _ => Ok(()),
    }
}

struct Told;
impl OnFailure<Task> for Told {
    async fn on_failure(&self, task: &Task, error: &JobError, job: &Job) {
        job.resource::<Log>().unwrap().add(format!("on_failure {} {} {error}", task.what, job.attempt()));
        if task.what == "fail" {
            panic!("so does its callback");
        }
    }
}
impl<P: QueuedPoint> OnRetry<P> for Told {
    async fn on_retry(&self, _: &P, error: &JobError, job: &Job) {
        assert!(job.next_attempt_at().unwrap() > job.enqueued_at());
        job.resource::<Log>().unwrap().add(format!("on_retry {} {error}", job.attempt()));
    }
}

struct Bench {
    ext: Extensions,
    queue: Arc<dyn QueueBackend>,
    log: Arc<Log>,
}

impl Bench {
    async fn new(builder: ExtensionsBuilder) -> Self {
        Self::on(builder, Arc::new(Memory::new())).await
    }

    async fn on(builder: ExtensionsBuilder, queue: Arc<dyn QueueBackend>) -> Self {
        let log = Arc::new(Log::default());
        let ext = builder.resource(Arc::clone(&log)).shared_queue(Arc::clone(&queue)).build().await.unwrap();
        Self { ext, queue, log }
    }

    /// Fires and works until nothing is left.
    async fn drain(&self, what: &str) -> (WorkerReport, JobRecord) {
        let id = self.ext.fire(task(what)).await.unwrap().queued()[0].id();
        let worker = self.ext.worker().stop_when_drained().run_until(pending());
        let report = kit::in_time("the worker's end", worker).await.unwrap();
        (report, self.job(id).await)
    }

    async fn job(&self, id: JobId) -> JobRecord {
        kit::job(&self.queue, id).await
    }

    /// Waits until the job is in the state.
    async fn until(&self, id: JobId, state: JobState) -> JobRecord {
        kit::until_state(&self.queue, id, state).await
    }
}

fn discovered() -> ExtensionsBuilder {
    Extensions::builder().discover()
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_and_told_of() {
    let bench = Bench::new(discovered()).await;
    let (report, job) = bench.drain("fail once").await;
    assert_eq!(bench.log.lines(), ["fail once 1", "on_retry 1 failed: disk", "fail once 2"]);
    assert_eq!((report.completed, report.failed, report.retried, report.dead), (1, 1, 1, 0));
    assert_eq!((job.state, job.attempt, job.errors.len()), (JobState::Completed, 2, 1));
    assert_eq!(
        (job.errors[0].attempt, job.errors[0].kind, job.errors[0].message.as_str()),
        (1, ErrorKind::Failed, "disk")
    );
    for state in [JobState::Available, JobState::Running, JobState::Retryable, JobState::Completed] {
        assert!(job.entered.contains_key(&state), "{state}: {job:?}");
    }
}

#[tokio::test]
async fn after_the_last_attempt_the_job_is_dead_and_on_failure_is_called_once() {
    let bench = Bench::new(discovered()).await;
    let (report, job) = bench.drain("fail").await;
    let lines = bench.log.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("fail ")).count(), 3);
    assert_eq!(lines.last().unwrap(), "on_failure fail 3 failed: it fails");
    assert_eq!(lines.iter().filter(|line| line.starts_with("on_failure")).count(), 1);
    assert_eq!((report.failed, report.retried, report.dead), (3, 2, 1));
    assert_eq!((job.state, job.attempt, job.errors.len()), (JobState::Dead, 3, 3));
    assert!(!job.owes_on_failure, "a callback that panics is paid all the same");
}

#[tokio::test]
async fn panics_and_time_outs_are_failed_attempts() {
    let bench = Bench::new(discovered().without_circuit_breaker()).await;
    for (what, kind, text) in [
        ("panic", ErrorKind::Panicked, "it panics"),
        ("late panic", ErrorKind::Panicked, "3 panics"),
        ("hang", ErrorKind::TimedOut, "time-out of 200ms"),
    ] {
        let (report, job) = bench.drain(what).await;
        assert_eq!((report.failed, report.dead, job.state), (3, 1, JobState::Dead), "{what}");
        assert_eq!(job.errors[2].kind, kind);
        assert!(job.errors[2].message.contains(text), "{:?}", job.errors[2]);
    }
}

#[tokio::test]
async fn handlers_settle_themselves() {
    let bench = Bench::new(discovered()).await;
    let (report, job) = bench.drain("permanent").await;
    assert_eq!((report.failed, job.state, job.attempt), (1, JobState::Dead, 1));
    assert_eq!(bench.log.lines().last().unwrap(), "on_failure permanent 1 failed for good: no such customer");

    let (report, job) = bench.drain("missing").await;
    assert_eq!((report.failed, report.dead, job.state, job.attempt), (1, 1, JobState::Dead, 1));
    assert_eq!((job.errors[0].kind, job.errors[0].message.as_str()), (ErrorKind::Missing, "order 7 is gone"));
    assert_eq!(bench.log.lines().last().unwrap(), "on_failure missing 1 missing: order 7 is gone");

    let (report, job) = bench.drain("cancel").await;
    assert_eq!((report.cancelled, report.failed, job.state), (1, 0, JobState::Cancelled));
    assert_eq!(job.reason.as_deref(), Some("not needed"));
    assert!(
        !bench.log.lines().iter().any(|line| line.starts_with("on_failure cancel")),
        "cancelling calls nothing"
    );

    let (report, job) = bench.drain("snooze").await;
    assert_eq!((report.snoozed, report.completed, report.failed), (4, 1, 0));
    assert_eq!((job.attempt, job.errors.len()), (1, 0), "a snooze uses no attempt");

    let id = bench.ext.fire(task("retry after")).await.unwrap().queued()[0].id();
    let report = bench.ext.worker().stop_when_empty().run_until(pending()).await.unwrap();
    let job = bench.job(id).await;
    assert_eq!((report.retried, report.stopped, job.state), (1, StopReason::Empty, JobState::Retryable));
    assert!(job.run_at.since(job.enqueued_at) >= Duration::from_secs(3_590), "{job:?}");
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, version = 3, upcast = newer)]
struct Versioned {
    total_cents: u64,
}

fn newer(version: u32, mut payload: serde_json::Value) -> Result<serde_json::Value, BoxError> {
    let total = payload["total"].as_u64().ok_or("no total")?;
    payload["total_cents"] = (total * if version == 1 { 100 } else { 1 }).into();
    Ok(payload)
}

static TOTAL: AtomicU32 = AtomicU32::new(0);

#[extension_handler(Versioned)]
#[async_handler(retries = 1)]
async fn book(point: &Versioned) {
    TOTAL.fetch_add(u32::try_from(point.total_cents).unwrap(), Ordering::SeqCst);
}

fn raw(handler: &str, version: u32, payload: &[u8]) -> NewJob {
    NewJob { point_version: version, on_failure: true, ..kit::new_job(handler, payload) }
}

#[tokio::test]
async fn older_payloads_are_turned_into_todays_type() {
    let bench = Bench::new(discovered()).await;
    let jobs = [
        raw("Versioned/book", 1, br#"{"total": 2}"#),
        raw("Versioned/book", 2, br#"{"total": 30}"#),
        raw("Versioned/book", 3, br#"{"total_cents": 4}"#),
        raw("Versioned/book", 1, br#"{}"#),
    ];
    let broken = jobs[3].id;
    bench.ext.push(jobs.to_vec()).await.unwrap();
    bench.ext.worker().stop_when_drained().run_until(pending()).await.unwrap();
    assert_eq!(TOTAL.load(Ordering::SeqCst), 234);
    let job = bench.job(broken).await;
    assert_eq!((job.state, job.errors[0].kind), (JobState::Dead, ErrorKind::Undecodable));
    assert!(job.errors[0].message.contains("`upcast` from version 1: no total"), "{:?}", job.errors);
}

#[tokio::test]
async fn what_cannot_be_decoded_is_dead_at_once_with_its_bytes() {
    let bench = Bench::new(discovered()).await;
    let garbage: &[u8] = &[0xff, 0x00, b'{', b'"'];
    let job = raw("Task/perform", 1, garbage);
    let id = job.id;
    bench.ext.push(vec![job]).await.unwrap();
    let report = bench.ext.worker().stop_when_drained().run_until(pending()).await.unwrap();
    let job = bench.job(id).await;
    assert_eq!((report.dead, job.state, job.attempt), (1, JobState::Dead, 1));
    assert_eq!((job.errors[0].kind, job.payload.as_bytes()), (ErrorKind::Undecodable, garbage));
    assert!(bench.log.lines().is_empty() && !job.owes_on_failure);
}

#[tokio::test]
async fn an_unknown_handler_or_version_is_left_alone_and_runs_once_it_is_known() {
    let bench = Bench::new(discovered()).await;
    let later = raw("Task/not_here_yet", 1, br#"{"what":"later"}"#);
    let newer = raw("Task/perform", 2, br#"{"what":"newer"}"#);
    let renamed = raw("Task/FormerName", 1, br#"{"what":"renamed"}"#);
    let ids = [later.id, newer.id, renamed.id];
    bench.ext.push(vec![later, newer, renamed]).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ext = bench.ext.clone();
    let worker = tokio::spawn(async move { ext.worker().run_until(async { drop(stopped.await) }).await });
    bench.until(ids[2], JobState::Completed).await;
    bench.until(ids[0], JobState::Unroutable).await;
    bench.until(ids[1], JobState::Unroutable).await;
    let knows = AsyncOptions::new().name("not_here_yet");
    let other = Extensions::builder()
        .register_async::<Task, _>(Nothing, knows)
        .shared_queue(Arc::clone(&bench.queue));
    other.build().await.unwrap().worker().stop_when_empty().run_until(pending()).await.unwrap();
    bench.until(ids[0], JobState::Completed).await;
    bench.until(ids[1], JobState::Unroutable).await;
    drop(stop);
    worker.await.unwrap().unwrap();
}

struct Nothing;
impl AsyncHandler<Task> for Nothing {
    async fn handle(&self, _: &Task, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Long {
    id: u32,
}

/// Runs until it is told to stop, or for ever.
struct Endless {
    heeds: bool,
}
impl AsyncHandler<Long> for Endless {
    async fn handle(&self, _: &Long, job: &Job) -> HandlerResult {
        job.progress(0.5, "half way");
        job.resource::<Log>().unwrap().add("started".into());
        if self.heeds {
            job.cancelled().await;
            job.resource::<Log>().unwrap().add("heeded".into());
            return Err("stopped half way".into());
        }
        pending().await
    }
}

fn endless(heeds: bool) -> ExtensionsBuilder {
    Extensions::builder().register_async::<Long, _>(Endless { heeds }, AsyncOptions::new().no_timeout())
}

#[tokio::test]
async fn cancelling_reaches_a_running_handler_and_its_progress_is_seen() {
    let bench = Bench::new(endless(true)).await;
    let id = bench.ext.fire(Long { id: 1 }).await.unwrap().queued()[0].id();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ext = bench.ext.clone();
    let lease = Duration::from_secs(1);
    let worker =
        tokio::spawn(async move { ext.worker().lease(lease).run_until(async { drop(stopped.await) }).await });
    bench.log.started.notified().await;
    kit::until("progress, with the heartbeat", async || bench.job(id).await.progress).await;
    let asked = bench.queue.cancel(vec![id], "wrong customer".into()).await.unwrap();
    assert_eq!(asked, [AdminOutcome::Requested]);
    let job = bench.until(id, JobState::Cancelled).await;
    assert_eq!(bench.log.lines(), ["started", "heeded"]);
    assert_eq!(job.progress.unwrap().note, "half way");
    assert_eq!(job.reason.as_deref(), Some("wrong customer"));
    drop(stop);
    assert_eq!(worker.await.unwrap().unwrap().cancelled, 1);
}

#[tokio::test]
async fn shut_down_gives_back_what_was_not_started_and_what_does_not_end_in_its_grace() {
    let bench = Bench::new(endless(true)).await;
    let fired = bench.ext.fire_many((0..3).map(|id| Long { id })).await;
    let ids: Vec<_> = fired.into_iter().map(|fired| fired.unwrap().queued()[0].id()).collect();
    let log = Arc::clone(&bench.log);
    let worker = bench.ext.worker().concurrency(1).grace(20 * MS);
    let report = worker.run_until(async move { log.started.notified().await }).await.unwrap();
    assert_eq!(bench.log.lines(), ["started", "heeded"]);
    assert_eq!((report.stopped, report.failed), (StopReason::Asked, 0), "{report:?}");
    for id in &ids {
        let job = bench.job(*id).await;
        assert_eq!((job.state, job.attempt, job.errors.len()), (JobState::Available, 0, 0));
    }
}

#[tokio::test]
async fn a_handler_that_ignores_shut_down_is_dropped_and_its_attempt_given_back() {
    let bench = Bench::new(endless(false)).await;
    let id = bench.ext.fire(Long { id: 1 }).await.unwrap().queued()[0].id();
    let log = Arc::clone(&bench.log);
    let worker = bench.ext.worker().grace(MS);
    let report = worker.run_until(async move { log.started.notified().await }).await.unwrap();
    assert_eq!((report.released, report.failed), (1, 0), "{report:?}");
    let job = bench.job(id).await;
    assert_eq!((job.state, job.attempt, job.lost_count), (JobState::Available, 0, 0));
    assert!(bench.queue.workers().await.unwrap().is_empty(), "it has said goodbye");
}

#[tokio::test]
async fn a_worker_ends_after_max_jobs_or_max_time_or_when_nothing_is_available() {
    let bench = Bench::new(discovered()).await;
    bench.ext.fire_many((0..5).map(|_| task("ok"))).await;
    bench.ext.point(task("later")).delay(secs(3600)).fire().await.unwrap();
    let report = bench.ext.worker().max_jobs(2).run_until(pending()).await.unwrap();
    assert_eq!((report.completed, report.stopped), (2, StopReason::MaxJobs));
    let report = bench.ext.worker().stop_when_empty().run_until(pending()).await.unwrap();
    assert_eq!((report.completed, report.stopped), (3, StopReason::Empty));
    let report = bench.ext.worker().max_time(30 * MS).run_until(pending()).await.unwrap();
    assert_eq!((report.completed, report.stopped), (0, StopReason::MaxTime));
}

#[tokio::test]
async fn a_worker_ends_after_max_jobs_of_which_the_last_ones_turn_slow() {
    let bench = Bench::new(discovered()).await;
    // The slow ones are claimed ahead, as the first was quick.
    bench.ext.fire_many(["ok", "slow", "slow", "slow", "ok"].map(task)).await;
    let worker = bench.ext.worker().concurrency(1).max_jobs(4).run_until(pending());
    let report = kit::in_time("the worker's end", worker).await.unwrap();
    assert_eq!((report.completed, report.stopped), (4, StopReason::MaxJobs));
}

#[tokio::test]
async fn queues_are_served_in_strict_order_and_unnamed_ones_not_at_all() {
    let bench = Bench::new(discovered()).await;
    for (queue, what) in [("c", "c"), ("b", "b"), ("a", "a"), ("x", "x")] {
        bench.ext.point(task(what)).on_queue(queue).fire().await.unwrap();
    }
    let worker = bench.ext.worker().queues(["a", "b", "c"]).concurrency(1);
    worker.stop_when_empty().run_until(pending()).await.unwrap();
    assert_eq!(bench.log.lines(), ["a 1", "b 1", "c 1"]);
}

#[tokio::test]
async fn without_retention_a_completed_job_leaves_nothing() {
    let retention =
        Retention { completed: Duration::ZERO, cancelled: Duration::ZERO, ..Retention::default() };
    let bench = Bench::new(discovered().retention(retention)).await;
    bench.ext.fire_many(["ok", "cancel"].map(task)).await;
    bench.ext.worker().stop_when_drained().run_until(pending()).await.unwrap();
    assert!(bench.queue.list(JobFilter::default()).await.unwrap().is_empty());
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Heavy;

#[extension_handler(Heavy)]
#[async_handler(blocking)]
fn grind(_: &Heavy, log: Res<Log>) {
    log.add("grinding".into());
    std::thread::sleep(400 * MS);
    log.add("ground".into());
}

#[extension_handler(Heavy, name = "grumble")]
#[async_handler(blocking, retries = 1)]
fn grumble(_: &Heavy) {
    panic!("too heavy");
}

#[tokio::test]
async fn a_blocking_handler_keeps_no_async_thread() {
    let bench = Bench::new(discovered()).await;
    bench.ext.fire(Heavy).await.unwrap();
    let ext = bench.ext.clone();
    let worker = tokio::spawn(async move { ext.worker().stop_when_drained().run_until(pending()).await });
    bench.log.started.notified().await;
    bench.ext.fire(task("meanwhile")).await.unwrap();
    let report = worker.await.unwrap().unwrap();
    assert_eq!(bench.log.lines(), ["grinding", "meanwhile 1", "ground"]);
    assert_eq!((report.completed, report.dead), (2, 1));
    let dead = JobFilter { states: vec![JobState::Dead], ..JobFilter::default() };
    assert_eq!(bench.queue.list(dead).await.unwrap()[0].errors[0].message, "too heavy");
}

#[test]
fn a_handler_that_blocks_its_thread_keeps_its_lease() {
    struct Blocks;
    impl AsyncHandler<Long> for Blocks {
        async fn handle(&self, _: &Long, job: &Job) -> HandlerResult {
            job.resource::<Log>().unwrap().add("started".into());
            std::thread::sleep(2_500 * MS);
            Ok(())
        }
    }
    let single = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let queue: Arc<dyn QueueBackend> = Arc::new(Memory::new());
    let builder = || Extensions::builder().register_async::<Long, _>(Blocks, AsyncOptions::new());
    let bench = single().block_on(Bench::on(builder(), Arc::clone(&queue)));
    let other = single().block_on(Bench::on(builder(), queue));
    let id = bench.ext.fire_sync(Long { id: 1 }).unwrap().queued()[0].id();
    let work = |ext: Extensions| {
        let worker = ext.worker().lease(Duration::from_secs(1)).stop_when_drained();
        std::thread::spawn(move || single().block_on(worker.run_until(pending())).unwrap())
    };
    let blocked = work(bench.ext.clone());
    single().block_on(bench.log.started.notified());
    let idle = work(other.ext.clone());
    assert_eq!((blocked.join().unwrap().completed, idle.join().unwrap().completed), (1, 0));
    let job = single().block_on(bench.job(id));
    assert_eq!((job.attempt, job.lost_count), (1, 0));
    assert!(other.log.lines().is_empty(), "nobody else ran it");
}

#[tokio::test]
async fn a_job_whose_subject_is_gone_is_cancelled_where_its_handler_discards_it() {
    struct Gone;
    impl AsyncHandler<Task> for Gone {
        async fn handle(&self, _: &Task, _: &Job) -> HandlerResult {
            Err(HandlerError::missing("order 7"))
        }
    }
    let discards = AsyncOptions::new().discard_missing(true).on_failure::<Task, _>(Told);
    for (options, defaults) in [(discards.clone(), AsyncOptions::new()), (AsyncOptions::new(), discards)] {
        let builder = Extensions::builder().register_async::<Task, _>(Gone, options);
        let bench = Bench::new(builder.async_defaults(defaults)).await;
        let (report, job) = bench.drain("x").await;
        assert_eq!((report.cancelled, report.failed, job.state), (1, 0, JobState::Cancelled));
        assert_eq!(job.reason.as_deref(), Some("order 7 is gone"));
        assert!(bench.log.lines().is_empty() && !job.owes_on_failure, "cancelling calls nothing");
    }
    let fails = AsyncOptions::new().discard_missing(false);
    let defaults = AsyncOptions::new().discard_missing(true);
    let builder = Extensions::builder().register_async::<Task, _>(Gone, fails).async_defaults(defaults);
    let (_, job) = Bench::new(builder).await.drain("x").await;
    assert_eq!(job.state, JobState::Dead, "the handler's own option wins");
}

#[tokio::test]
async fn retry_until_ends_the_attempts_of_an_old_job() {
    struct Fails;
    impl AsyncHandler<Task> for Fails {
        async fn handle(&self, _: &Task, _: &Job) -> HandlerResult {
            Err("no".into())
        }
    }
    let options = AsyncOptions::new().retries(1_000).backoff(Backoff::fixed(40 * MS)).retry_until(100 * MS);
    let bench = Bench::new(Extensions::builder().register_async::<Task, _>(Fails, options)).await;
    let (report, job) = bench.drain("x").await;
    assert_eq!(job.state, JobState::Dead);
    assert!((1..=3).contains(&report.failed), "{report:?}");
}

#[tokio::test]
async fn a_worker_without_a_queue_or_without_queues_is_an_error() {
    let ext = Extensions::builder().build().await.unwrap();
    assert!(ext.worker().run_until(pending()).await.unwrap_err().to_string().contains("no queue"));
    let bench = Bench::new(discovered()).await;
    let none: [&str; 0] = [];
    assert!(
        bench
            .ext
            .worker()
            .queues(none)
            .run_until(pending())
            .await
            .unwrap_err()
            .to_string()
            .contains("serves no queue")
    );
}

fn request() -> ClaimRequest {
    ClaimRequest { lease: secs(1), ..kit::claim_request("Task/perform", 100) }
}

/// Claims everything and dies over it, twice: the jobs then have a `lost_count` of 1.
async fn lose_all(queue: &Memory, clock: &ManualClock, jobs: usize) {
    let request = request();
    for claims in [1, jobs] {
        for _ in 0..claims {
            assert!(!queue.reserve(request.clone()).await.unwrap().jobs.is_empty());
        }
        clock.advance(secs(2));
        assert_eq!(queue.maintain(Retention::default()).await.unwrap().rescued, jobs as u64);
    }
}

#[tokio::test]
async fn jobs_that_were_lost_run_one_after_the_other_without_a_pause() {
    let clock = Arc::new(ManualClock::default());
    let queue = Memory::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let bench = Bench::on(discovered(), Arc::new(queue.clone())).await;
    let fired = bench.ext.fire_many((0..4).map(|_| task("ok"))).await;
    lose_all(&queue, &clock, 4).await;
    let ext = bench.ext.clone();
    let worker = tokio::spawn(async move { ext.worker().run_until(pending()).await });
    let started = Instant::now();
    for fired in fired {
        let job = bench.until(fired.unwrap().queued()[0].id(), JobState::Completed).await;
        assert_eq!(job.lost_count, 1);
    }
    assert!(started.elapsed() < Duration::from_secs(3), "idle beside lost jobs: {:?}", started.elapsed());
    worker.abort();
}

struct Short;
impl AsyncHandler<Task> for Short {
    async fn handle(&self, _: &Task, _: &Job) -> HandlerResult {
        tokio::time::sleep(4 * MS).await;
        Ok(())
    }
}

#[tokio::test]
async fn a_lost_job_is_not_kept_out_by_a_worker_that_always_has_others_to_run() {
    let clock = Arc::new(ManualClock::default());
    let queue = Memory::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let options = AsyncOptions::new().name("perform");
    let bench =
        Bench::on(Extensions::builder().register_async::<Task, _>(Short, options), Arc::new(queue.clone()))
            .await;
    bench.ext.fire_many((0..1_500).map(|_| task("short"))).await;
    let ext = bench.ext.clone();
    let worker = tokio::spawn(async move { ext.worker().concurrency(2).run_until(pending()).await });
    let completed = async || bench.queue.stats().await.unwrap()[0].count(JobState::Completed);
    kit::until("the worker is busy", async || completed().await > 50).await;
    let lost = queue.reserve(ClaimRequest { max: 1, ..request() }).await.unwrap().jobs.remove(0);
    clock.advance(secs(2));
    bench.until(lost.id, JobState::Completed).await;
    let waiting = bench.queue.stats().await.unwrap()[0].count(JobState::Available);
    assert!(waiting > 0, "it ran only after everything else");
    worker.abort();
}

#[test]
fn a_worker_outside_tokio_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::new(discovered()));
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(ended) = std::pin::pin!(bench.ext.worker().run()).poll(&mut task) else {
        panic!("it waits")
    };
    assert!(ended.unwrap_err().to_string().contains("#[tokio::main]"));
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Nap;

#[extension_handler(Nap)]
#[async_handler(blocking, timeout = "200ms", retries = 1)]
fn nap(_: &Nap) {
    std::thread::sleep(60 * MS);
}

struct Boom;
impl Drop for Boom {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "dropped half way");
    }
}

#[derive(Debug)]
struct Unspeakable;
impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("not to be shown")
    }
}
impl std::error::Error for Unspeakable {}

struct Treacherous;
impl AsyncHandler<Task> for Treacherous {
    async fn handle(&self, task: &Task, _: &Job) -> HandlerResult {
        if task.what == "shown" {
            return Err(Unspeakable.into());
        }
        let _boom = Boom;
        pending().await
    }
}

#[tokio::test]
async fn a_panic_while_a_handler_is_dropped_or_its_error_shown_is_a_failed_attempt() {
    let options = AsyncOptions::new().retries(1).timeout(20 * MS);
    let bench = Bench::new(Extensions::builder().register_async::<Task, _>(Treacherous, options)).await;
    for (what, kind, text) in [
        ("dropped", ErrorKind::Panicked, "dropped half way"),
        ("shown", ErrorKind::Failed, "panics when it is shown"),
    ] {
        let (report, job) = bench.drain(what).await;
        assert_eq!((report.dead, job.state, job.errors[0].kind), (1, JobState::Dead, kind), "{what}");
        assert!(job.errors[0].message.contains(text), "{:?}", job.errors);
    }
}

#[tokio::test]
async fn a_queue_that_is_named_twice_gives_its_jobs_once() {
    let bench = Bench::new(discovered()).await;
    bench.ext.fire_many((0..10).map(|_| task("once"))).await;
    let worker = bench.ext.worker().queues(["default", "default"]).stop_when_drained();
    let report = worker.run_until(pending()).await.unwrap();
    assert_eq!((report.completed, report.lost, bench.log.lines().len()), (10, 0, 10));
}

#[test]
fn the_time_out_of_a_blocking_handler_counts_from_its_start() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let bench = Bench::new(discovered()).await;
        bench.ext.fire_many((0..8).map(|_| Nap)).await;
        let report = bench.ext.worker().stop_when_drained().run_until(pending()).await.unwrap();
        assert_eq!((report.completed, report.dead), (8, 0), "eight times 60 ms one after the other");
    });
}

#[tokio::test]
async fn a_dropped_worker_says_goodbye_and_gives_back_what_it_held() {
    let bench = Bench::new(endless(false)).await;
    let id = bench.ext.fire(Long { id: 1 }).await.unwrap().queued()[0].id();
    let log = Arc::clone(&bench.log);
    let worker = bench.ext.worker();
    tokio::select! {
        _ = worker.run_until(pending()) => panic!("it ended"),
        () = log.started.notified() => {}
    }
    let job = bench.until(id, JobState::Available).await;
    assert_eq!(job.attempt, 0);
    assert!(bench.queue.workers().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_largest_values_of_every_option_work() {
    let bench = Bench::new(discovered()).await;
    bench.ext.fire(task("ok")).await.unwrap();
    let worker = bench
        .ext
        .worker()
        .concurrency(usize::MAX)
        .prefetch(usize::MAX)
        .lease(Duration::MAX)
        .grace(Duration::MAX);
    let report = worker.max_time(Duration::MAX).stop_when_drained().run_until(pending()).await.unwrap();
    assert_eq!(report.completed, 1);
}

//! Product 10.1, 10.3, 10.4: what an operator asks of workers: limits per queue, changes while they run, their end, and what they say of
//! themselves.

use std::fmt::Write as _;
use std::future::pending;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use extensions::job::JobState;
use extensions::prelude::*;
use extensions::queue::{Memory, QueueBackend, Sqlite};
use extensions::worker::{Control, StopReason, WorkerStatus};
use extensions::{AsyncHandler, AsyncOptions, WorkerBuilder};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tests::kit::{PATIENCE, in_time, until};
use tests::moody::MoodyQueue;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

const MS: Duration = Duration::from_millis(1);
/// Shorter than a worker's own poll: who is that quick was woken.
const WOKEN: Duration = Duration::from_secs(3);

#[derive(Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Task {
    name: String,
    /// Whether it waits until the test lets it end.
    waits: bool,
}

/// What the handler does with tasks: writes them down, and waits.
struct Stage {
    begun: Mutex<Vec<String>>,
    may_end: Semaphore,
}

struct Perform;
impl AsyncHandler<Task> for Perform {
    async fn handle(&self, task: &Task, job: &Job) -> HandlerResult {
        let stage = job.resource::<Stage>().unwrap();
        stage.begun.lock().unwrap().push(task.name.clone());
        if task.waits {
            stage.may_end.acquire().await?.forget();
        }
        Ok(())
    }
}

#[derive(Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Block;

/// Blocks its thread far beyond its time-out, until the test lets it end.
struct Blocks;
impl AsyncHandler<Block> for Blocks {
    async fn handle(&self, _: &Block, job: &Job) -> HandlerResult {
        let stage = job.resource::<Stage>().unwrap();
        stage.begun.lock().unwrap().push("stuck".to_owned());
        while stage.may_end.try_acquire().map(SemaphorePermit::forget).is_err() {
            std::thread::sleep(MS);
        }
        Ok(())
    }
}

/// An instance on a queue, and what happens in it.
struct Bench {
    ext: Extensions,
    queue: Arc<dyn QueueBackend>,
    stage: Arc<Stage>,
    _folder: Option<TempDir>,
}

impl Bench {
    async fn on(queue: Arc<dyn QueueBackend>) -> Self {
        let stage = Arc::new(Stage { begun: Mutex::default(), may_end: Semaphore::new(0) });
        let builder = Extensions::builder().resource(Arc::clone(&stage)).shared_queue(Arc::clone(&queue));
        let builder = builder.register_async::<Task, _>(Perform, AsyncOptions::new());
        let short = AsyncOptions::new().timeout(100 * MS).retries(1);
        let builder = builder.register_async::<Block, _>(Blocks, short);
        Self { ext: builder.build().await.unwrap(), queue, stage, _folder: None }
    }

    async fn on_memory() -> Self {
        Self::on(Arc::new(Memory::new())).await
    }

    async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let queue = Sqlite::open(folder.path().join("jobs.db")).await.unwrap();
        Self { _folder: Some(folder), ..Self::on(Arc::new(queue)).await }
    }

    async fn each() -> [Self; 2] {
        [Self::on_memory().await, Self::on_sqlite().await]
    }

    async fn fire(&self, queue: &str, waits: bool) {
        let task = Task { name: queue.to_owned(), waits };
        self.ext.point(task).on_queue(queue).fire().await.unwrap();
    }

    async fn fire_many(&self, jobs: usize, queue: &str, waits: bool) {
        for _ in 0..jobs {
            self.fire(queue, waits).await;
        }
    }

    /// The names of those that have begun, in their order.
    fn begun(&self) -> Vec<String> {
        self.stage.begun.lock().unwrap().clone()
    }

    fn begun_of(&self, queue: &str) -> usize {
        self.begun().iter().filter(|name| *name == queue).count()
    }

    async fn until_begun(&self, jobs: usize) {
        until(&format!("{jobs} that have begun"), async || self.begun().len() >= jobs).await;
    }

    fn let_end(&self, jobs: usize) {
        self.stage.may_end.add_permits(jobs);
    }

    /// How many jobs of the queue are claimed, by what the store says.
    async fn claimed(&self, queue: &str) -> u64 {
        let stats = self.queue.stats().await.unwrap();
        stats.iter().find(|stats| stats.queue == queue).map_or(0, |stats| stats.count(JobState::Running))
    }
}

fn start(worker: WorkerBuilder, control: &Control) -> JoinHandle<WorkerReport> {
    let worker = worker.control(control).run_until(pending());
    tokio::spawn(async { worker.await.unwrap() })
}

async fn ended(worker: JoinHandle<WorkerReport>) -> WorkerReport {
    in_time("the worker's end", worker).await.unwrap()
}

async fn until_status(control: &Control, what: &str, holds: impl Fn(&WorkerStatus) -> bool) -> WorkerStatus {
    until(what, async || Some(control.status()).filter(|status| holds(status))).await
}

#[tokio::test]
async fn a_worker_has_no_more_jobs_of_a_queue_than_its_limit_while_others_fill_the_slots() {
    for bench in Bench::each().await {
        bench.fire_many(10, "limited", true).await;
        bench.fire_many(10, "free", true).await;
        let control = Control::new();
        let worker = bench.ext.worker().queues(["limited", "free"]).concurrency(6);
        let worker = start(worker.queue_concurrency([("limited", 2)]).stop_when_empty(), &control);
        bench.until_begun(6).await;
        assert_eq!((bench.begun_of("limited"), bench.claimed("limited").await), (2, 2), "{:?}", bench.queue);

        for ended in 1..=10 {
            bench.let_end(1);
            bench.until_begun((6 + ended).min(20)).await;
            assert!(bench.claimed("limited").await <= 2, "{:?}", bench.queue);
        }
        bench.let_end(10);
        assert_eq!(ended_with(worker).await, (20, StopReason::Empty));
    }
}

async fn ended_with(worker: JoinHandle<WorkerReport>) -> (u64, StopReason) {
    let report = ended(worker).await;
    (report.completed, report.stopped)
}

#[tokio::test]
async fn what_is_claimed_ahead_counts_towards_the_limit() {
    for bench in Bench::each().await {
        bench.fire_many(300, "limited", false).await;
        bench.fire_many(300, "free", false).await;
        let worker = bench.ext.worker().weights([("limited", 1), ("free", 1)]).concurrency(2);
        let worker =
            worker.prefetch(100).queue_concurrency([("limited", 3)]).stop_when_empty().run_until(pending());
        let mut worker = Box::pin(in_time("the worker's end", worker));
        let report = loop {
            tokio::select! {
                report = &mut worker => break report.unwrap(),
                () = tokio::task::yield_now() => {}
            }
            let claimed = bench.claimed("limited").await;
            assert!(claimed <= 3, "{claimed} on {:?}", bench.queue);
        };
        assert_eq!(report.completed, 600);
    }
}

#[tokio::test]
async fn strict_order_holds_with_limits() {
    for bench in Bench::each().await {
        for queue in ["c", "b", "a"] {
            bench.fire_many(5, queue, false).await;
        }
        let worker = bench.ext.worker().queues(["a", "b", "c"]).queue_concurrency([("b", 1)]);
        let worker = worker.concurrency(1).prefetch(0).stop_when_empty();
        in_time("the worker's end", worker.run_until(pending())).await.unwrap();
        assert_eq!(bench.begun().concat(), "aaaaabbbbbccccc", "{:?}", bench.queue);
    }
}

#[tokio::test]
async fn weights_hold_with_limits() {
    let bench = Bench::on_memory().await;
    bench.fire_many(400, "often", false).await;
    bench.fire_many(400, "seldom", false).await;
    let worker = bench.ext.worker().weights([("often", 6), ("seldom", 1)]);
    let worker = worker.queue_concurrency([("often", 1)]).concurrency(1).prefetch(0).max_jobs(210);
    in_time("the worker's end", worker.run_until(pending())).await.unwrap();
    let often = bench.begun_of("often");
    assert!((140..=205).contains(&often), "{often} of 210, where 180 are to be expected");
}

#[tokio::test]
async fn an_idle_worker_with_limits_is_woken_for_each_of_its_queues_and_asks_for_nothing_meanwhile() {
    for bench in Bench::each().await {
        let queue = MoodyQueue::new(Arc::clone(&bench.queue), false);
        let bench = Bench { _folder: bench._folder, ..Bench::on(Arc::new(queue.clone())).await };
        let control = Control::new();
        let worker = bench.ext.worker().queues(["a", "b", "c", "d"]);
        let worker = start(worker.queue_concurrency([("a", 1), ("c", 1)]), &control);
        let mut begun = 0;
        for _ in 0..2 {
            for name in ["a", "b", "c", "d"] {
                until_status(&control, "a worker at rest", |status| status.ready && status.busy == 0).await;
                let fired = Instant::now();
                bench.fire(name, false).await;
                begun += 1;
                bench.until_begun(begun).await;
                assert!(fired.elapsed() < WOKEN, "{name} after {:?} on {:?}", fired.elapsed(), bench.queue);
            }
        }
        until_status(&control, "its end", |status| status.report.completed == 8 && status.busy == 0).await;
        // Only time shows that nothing happens.
        tokio::time::sleep(200 * MS).await;
        let before = queue.claims();
        tokio::time::sleep(1_000 * MS).await;
        let asked = queue.claims() - before;
        assert!(asked <= 6, "{asked} claims in a second of rest on {:?}", bench.queue);
        control.stop();
        ended(worker).await;
    }
}

#[tokio::test]
async fn a_queue_at_its_limit_goes_on_as_soon_as_one_of_its_jobs_has_ended() {
    for bench in Bench::each().await {
        bench.fire_many(3, "limited", true).await;
        let control = Control::new();
        let worker = bench.ext.worker().queues(["limited"]).queue_concurrency([("limited", 1)]);
        let worker = start(worker, &control);
        for begun in 1..=3 {
            bench.until_begun(begun).await;
            assert_eq!(bench.claimed("limited").await, 1);
            let ends = Instant::now();
            bench.let_end(1);
            if begun < 3 {
                bench.until_begun(begun + 1).await;
                assert!(ends.elapsed() < WOKEN, "{:?} on {:?}", ends.elapsed(), bench.queue);
            }
        }
        control.stop();
        assert_eq!(ended_with(worker).await, (3, StopReason::Asked));
    }
}

#[tokio::test]
async fn what_is_claimed_ahead_of_a_queue_at_its_limit_starts_in_a_slot_that_is_new() {
    for bench in Bench::each().await {
        bench.fire_many(5, "limited", false).await;
        bench.fire_many(2, "limited", true).await;
        let control = Control::new();
        let worker = bench.ext.worker().queues(["limited"]).queue_concurrency([("limited", 2)]);
        let worker = start(worker.concurrency(1), &control);
        bench.until_begun(6).await;
        until("the last job claimed ahead", async || (bench.claimed("limited").await == 2).then_some(()))
            .await;
        // Until a look for lost jobs is due, which cannot be made.
        tokio::time::sleep(200 * MS).await;
        control.set_concurrency(2);
        bench.until_begun(7).await;
        bench.let_end(2);
        control.stop();
        assert_eq!(ended_with(worker).await, (7, StopReason::Asked));
    }
}

#[tokio::test]
async fn a_worker_with_limits_is_at_its_end_only_when_every_queue_was_looked_at() {
    for bench in Bench::each().await {
        for drained in [false, true] {
            for queue in ["a", "b", "c"] {
                bench.fire_many(2, queue, false).await;
                let worker =
                    bench.ext.worker().queues(["a", "b", "c"]).queue_concurrency([("a", 1), ("c", 1)]);
                let worker = if drained { worker.stop_when_drained() } else { worker.stop_when_empty() };
                let report = in_time("the worker's end", worker.run_until(pending())).await.unwrap();
                assert_eq!(report.completed, 2, "{queue} on {:?}", bench.queue);
            }
        }
    }
}

#[tokio::test]
async fn a_pause_holds_at_once_with_limits_too() {
    for bench in Bench::each().await {
        bench.fire_many(3, "limited", true).await;
        let control = Control::new();
        let worker = bench.ext.worker().queues(["limited", "free"]).queue_concurrency([("limited", 1)]);
        let worker = start(worker, &control);
        bench.until_begun(1).await;
        bench.queue.pause("limited".into()).await.unwrap();
        bench.let_end(1);
        until_status(&control, "the end of what ran", |status| status.report.completed == 1).await;
        bench.fire("free", false).await;
        until_status(&control, "the other queue's job", |status| status.report.completed == 2).await;
        assert_eq!((bench.begun().len(), bench.claimed("limited").await), (2, 0));
        bench.queue.resume("limited".into()).await.unwrap();
        bench.let_end(2);
        until_status(&control, "the rest", |status| status.report.completed == 4).await;
        control.stop();
        ended(worker).await;
    }
}

/// The worker does nothing and is right: only time shows that nobody interferes.
#[tokio::test]
async fn that_a_queue_has_its_fill_is_no_silence_to_the_watchdog() {
    let queue = MoodyQueue::new(Arc::new(Memory::new()), false);
    let bench = Bench::on(Arc::new(queue.clone())).await;
    bench.fire_many(2, "limited", true).await;
    let control = Control::new();
    let worker = bench.ext.worker().queues(["limited"]).queue_concurrency([("limited", 1)]);
    let worker = start(worker.watchdog(Duration::from_secs(1)).stop_when_empty(), &control);
    bench.until_begun(1).await;
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert!(control.status().live);
        tokio::time::sleep(10 * MS).await;
    }
    assert_eq!(queue.reconnects(), 0);
    bench.let_end(2);
    assert_eq!(ended_with(worker).await, (2, StopReason::Empty));
}

/// It takes as long as a stuck handler is waited for: five seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_handler_keeps_its_place_in_the_limit_and_does_not_keep_the_worker_from_ending() {
    let bench = Bench::on_memory().await;
    bench.ext.fire(Block).await.unwrap();
    bench.fire_many(2, "default", false).await;
    let control = Control::new();
    let worker = bench.ext.worker().queue_concurrency([("default", 1)]).grace(MS).stop_when_empty();
    let worker = start(worker, &control);
    bench.until_begun(1).await;
    until_status(&control, "that it is given up", |status| status.report.stuck == 1).await;
    let decided = until_status(&control, "its decision to end", |status| !status.ready).await;
    assert_eq!((decided.report.completed, bench.begun().concat().as_str()), (0, "stuck"));
    bench.let_end(1);
    assert_eq!(ended_with(worker).await, (0, StopReason::Empty));
}

#[tokio::test]
async fn slots_can_be_changed_while_the_worker_runs() {
    for bench in Bench::each().await {
        bench.fire_many(12, "default", true).await;
        let control = Control::new();
        let worker = start(bench.ext.worker().concurrency(1).stop_when_empty(), &control);
        bench.until_begun(1).await;
        let asked = Instant::now();
        control.set_concurrency(4);
        bench.until_begun(4).await;
        assert!(asked.elapsed() < WOKEN, "{:?}", asked.elapsed());
        assert_eq!((control.status().slots, control.status().busy), (4, 4));
        let entry = async || bench.queue.workers().await.unwrap().remove(0).slots;
        until("the new number in the worker's entry", async || entry().await == 4).await;

        control.set_concurrency(2);
        bench.let_end(2);
        until_status(&control, "two ends", |status| status.report.completed == 2 && status.busy == 2).await;
        assert_eq!((bench.begun().len(), control.status().slots), (4, 2), "nothing starts in their place");
        bench.let_end(1);
        bench.until_begun(5).await;
        assert_eq!(control.status().busy, 2);

        control.set_concurrency(0);
        bench.let_end(9);
        assert_eq!(ended_with(worker).await, (12, StopReason::Empty));
        assert_eq!(control.status().slots, 1, "at least one");
    }
}

#[tokio::test]
async fn an_idle_worker_takes_its_new_slots_at_its_next_job() {
    let bench = Bench::on_memory().await;
    let control = Control::new();
    let worker = start(bench.ext.worker().concurrency(1), &control);
    until_status(&control, "a worker at rest", |status| status.ready).await;
    control.set_concurrency(3);
    bench.fire_many(4, "default", true).await;
    bench.until_begun(3).await;
    assert_eq!((bench.begun().len(), bench.claimed("default").await), (3, 3));
    bench.let_end(4);
    bench.until_begun(4).await;
    control.stop();
    assert_eq!(ended_with(worker).await, (4, StopReason::Asked));
}

#[tokio::test]
async fn what_a_control_was_told_before_the_start_holds_from_the_start() {
    let bench = Bench::on_memory().await;
    bench.fire_many(3, "default", true).await;
    let control = Control::new();
    assert_eq!(control.status(), WorkerStatus::default());
    control.set_concurrency(2);
    let worker = start(bench.ext.worker().concurrency(64), &control);
    bench.until_begun(2).await;
    assert_eq!((control.status().slots, bench.claimed("default").await), (2, 2));
    bench.let_end(3);
    bench.until_begun(3).await;
    control.stop();
    assert_eq!(ended_with(worker).await, (3, StopReason::Asked));

    bench.fire("default", false).await;
    let report = ended(start(bench.ext.worker(), &control)).await;
    assert_eq!((report.completed, report.stopped), (0, StopReason::Asked), "it was told to stop before");
}

#[tokio::test]
async fn a_control_shows_how_its_worker_is() {
    let bench = Bench::on_memory().await;
    let control = Control::new();
    let worker = start(bench.ext.worker().concurrency(2).prefetch(0), &control);
    let idle = until_status(&control, "the first answer", |status| status.ready).await;
    assert!(idle.live && idle.up && idle.last_claim.is_some(), "{idle:?}");
    assert_eq!((idle.slots, idle.busy, idle.mean_run_time), (2, 0, None));

    bench.fire_many(2, "default", true).await;
    let busy = until_status(&control, "two that run", |status| status.busy == 2).await;
    assert!(busy.ready && busy.live && busy.worker == idle.worker, "{busy:?}");
    // So long they have run at least.
    tokio::time::sleep(5 * MS).await;
    bench.let_end(2);
    let done = until_status(&control, "both ends", |status| status.report.completed == 2).await;
    assert!(
        until_status(&control, "its run time", |status| status.mean_run_time.is_some())
            .await
            .mean_run_time
            .is_some_and(|mean| mean >= 5 * MS),
        "{done:?}"
    );
    let read: WorkerStatus = serde_json::from_str(&serde_json::to_string(&done).unwrap()).unwrap();
    assert_eq!(read, done);

    control.stop();
    let report = ended(worker).await;
    let last = control.status();
    assert!(!last.ready && !last.live, "{last:?}");
    assert_eq!((last.report, last.busy, last.worker), (report, 0, idle.worker));
}

#[tokio::test]
async fn a_worker_that_shuts_down_is_live_and_not_ready() {
    let bench = Bench::on_memory().await;
    bench.fire("default", true).await;
    let control = Control::new();
    let worker = start(bench.ext.worker(), &control);
    bench.until_begun(1).await;
    control.stop();
    let draining = until_status(&control, "the beginning of its end", |status| !status.ready).await;
    assert!(draining.live && draining.busy == 1, "{draining:?}");
    bench.let_end(1);
    assert_eq!(ended_with(worker).await, (1, StopReason::Asked));
}

#[tokio::test]
async fn a_worker_whose_queue_is_gone_is_live_and_not_ready() {
    let queue = MoodyQueue::new(Arc::new(Memory::new()), true);
    let bench = Bench::on(Arc::new(queue.clone())).await;
    let control = Control::new();
    queue.moods().down.store(true, Ordering::SeqCst);
    let worker = start(bench.ext.worker(), &control);
    let down = until_status(&control, "the loss", |status| status.worker.is_some() && !status.up).await;
    assert!(!down.ready && down.last_claim.is_none(), "{down:?}");
    until_status(&control, "a heartbeat's thread", |status| status.live).await;
    queue.moods().down.store(false, Ordering::SeqCst);
    until_status(&control, "a claim", |status| status.ready && status.up).await;
    control.stop();
    ended(worker).await;
}

#[tokio::test]
async fn a_worker_of_which_the_watchdog_complains_is_not_live_until_a_claim_is_answered() {
    let queue = MoodyQueue::new(Arc::new(Memory::new()), false);
    let bench = Bench::on(Arc::new(queue.clone())).await;
    queue.moods().claims_hang.store(true, Ordering::SeqCst);
    queue.moods().reconnect_helps.store(true, Ordering::SeqCst);
    bench.fire("default", true).await;
    let control = Control::new();
    let worker = start(bench.ext.worker().watchdog(Duration::from_secs(1)), &control);
    until_status(&control, "its start", |status| status.live).await;
    let ill = until_status(&control, "a complaint", |status| !status.live).await;
    assert!(!ill.ready && ill.last_claim.is_none(), "{ill:?}");
    bench.until_begun(1).await;
    until_status(&control, "its recovery", |status| status.live && status.ready).await;
    bench.let_end(1);
    control.stop();
    assert_eq!((ended_with(worker).await, queue.reconnects()), ((1, StopReason::Asked), 1));
}

#[tokio::test]
async fn one_job_and_no_more_is_run_once() {
    for bench in Bench::each().await {
        bench.fire_many(2, "default", false).await;
        for expected in [(1, StopReason::MaxJobs), (1, StopReason::MaxJobs), (0, StopReason::Empty)] {
            let report =
                in_time("the worker's end", bench.ext.worker().once().run_until(pending())).await.unwrap();
            assert_eq!((report.completed, report.stopped), expected, "{:?}", bench.queue);
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_worker_whose_process_grows_too_large_ends_in_order() {
    let bench = Bench::on_memory().await;
    bench.fire("default", true).await;
    let roomy = start(bench.ext.worker().max_memory(u64::MAX).stop_when_empty(), &Control::new());
    bench.until_begun(1).await;
    bench.let_end(1);
    assert_eq!(ended_with(roomy).await, (1, StopReason::Empty));

    bench.fire("default", true).await;
    let control = Control::new();
    let narrow = start(bench.ext.worker().max_memory(1), &control);
    bench.until_begun(2).await;
    until_status(&control, "its decision", |status| !status.ready).await;
    bench.let_end(1);
    assert_eq!(ended_with(narrow).await, (1, StopReason::MaxMemory), "what ran has its grace");
}

#[tokio::test]
async fn workers_that_cron_starts_may_overlap_and_run_each_job_once() {
    const JOBS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let mut benches = Vec::new();
    for _ in 0..3 {
        benches.push(Bench::on(Arc::new(Sqlite::open(&path).await.unwrap())).await);
    }
    for job in 0..JOBS {
        let task = Task { name: job.to_string(), waits: false };
        benches[0].ext.fire(task).await.unwrap();
    }
    let cron = |bench: &Bench| {
        let worker = bench.ext.worker().concurrency(4).stop_when_empty().max_time(PATIENCE);
        start(worker, &Control::new())
    };
    let workers: Vec<_> = benches.iter().map(cron).collect();
    let mut completed = 0;
    for worker in workers {
        let report = ended(worker).await;
        assert_eq!((report.stopped, report.lost, report.failed), (StopReason::Empty, 0, 0));
        completed += report.completed;
    }
    let mut begun: Vec<usize> =
        benches.iter().flat_map(Bench::begun).map(|job| job.parse().unwrap()).collect();
    begun.sort_unstable();
    assert_eq!((completed, begun), (JOBS as u64, (0..JOBS).collect()));
}

/// Writes down the events.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, " {field}={value:?}");
            }
        }
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
}

/// It takes as long as a worker gives others to start: ten seconds.
#[tokio::test]
async fn a_queue_with_jobs_and_no_worker_is_named_once() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
    let bench = Bench::on_memory().await;
    bench.fire_many(2, "nobody", false).await;
    bench.fire("paused", false).await;
    bench.queue.pause("paused".into()).await.unwrap();
    bench
        .ext
        .point(Task { name: "later".into(), waits: false })
        .on_queue("later")
        .delay(PATIENCE * 10)
        .fire()
        .await
        .unwrap();
    let control = Control::new();
    let worker = start(bench.ext.worker().queues(["default"]), &control);
    let status = until_status(&control, "the look", |status| !status.unserved.is_empty()).await;
    assert_eq!(status.unserved, ["nobody"]);
    control.stop();
    ended(worker).await;
    let lines = lines.0.lock().unwrap();
    let named: Vec<_> = lines.iter().filter(|line| line.contains("no live worker serves")).collect();
    assert_eq!(named.len(), 1, "{lines:#?}");
    assert!(named[0].starts_with("WARN") && named[0].contains("queue=nobody jobs=2"), "{named:?}");
}

//! Product 7.3 and 8.2, faults R7: handlers that block their thread, never yield, or never return.

use std::future::pending;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use extensions::job::{ErrorKind, JobId, JobRecord, JobState};
use extensions::prelude::*;
use extensions::queue::{Memory, QueueBackend};
use serde::{Deserialize, Serialize};
use tests::kit::{self, Log, until, until_state};
use tokio::runtime::{Builder, Runtime};

const MS: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum How {
    /// Blocks its thread until the gate opens, in its first attempt.
    Blocks,
    /// Spins until it is told to stop, in its first attempt.
    Spins,
    Returns,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Work {
    how: How,
}

/// Keeps threads, until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn wait(&self) {
        let is_open = self.is_open.lock().unwrap();
        let limit = Duration::from_secs(60);
        let _open = self.opened.wait_timeout_while(is_open, limit, |is_open| !*is_open).unwrap();
    }
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

fn work(work: &Work, job: &Job) -> HandlerResult {
    let log = job.resource::<Log>().unwrap();
    log.add(format!("{:?} {}", work.how, job.attempt()));
    match work.how {
        How::Blocks if job.attempt() == 1 => {
            job.resource::<Gate>().unwrap().wait();
            log.add("let go");
        }
        How::Spins if job.attempt() == 1 => {
            while !job.is_cancelled() {
                std::hint::spin_loop();
            }
            return Err("stopped half way".into());
        }
        _ => {}
    }
    Ok(())
}

struct OnTheRuntime;
impl AsyncHandler<Work> for OnTheRuntime {
    async fn handle(&self, point: &Work, job: &Job) -> HandlerResult {
        work(point, job)
    }
}

/// Found where an instance discovers, on the blocking pool.
#[extension_handler(Work)]
#[async_handler(blocking)]
fn on_the_pool(point: &Work, job: &Job) -> HandlerResult {
    work(point, job)
}

struct Told;
impl OnRetry<Work> for Told {
    async fn on_retry(&self, _: &Work, error: &JobError, job: &Job) {
        job.resource::<Log>().unwrap().add(format!("on_retry {:?}", error.kind()));
    }
}
impl OnFailure<Work> for Told {
    async fn on_failure(&self, _: &Work, error: &JobError, job: &Job) {
        job.resource::<Log>().unwrap().add(format!("on_failure {:?}", error.kind()));
    }
}

fn options() -> AsyncOptions {
    let told = AsyncOptions::new().on_retry::<Work, _>(Told).on_failure::<Work, _>(Told);
    told.timeout(300 * MS).backoff(Backoff::fixed(MS)).retries(2)
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An instance whose workers have runtimes of their own.
struct Bench {
    ext: Extensions,
    queue: Arc<dyn QueueBackend>,
    gate: Arc<Gate>,
    log: Arc<Log>,
}

impl Bench {
    fn new(is_blocking: bool, options: AsyncOptions) -> Self {
        let (log, gate, queue) = (Arc::new(Log::default()), Arc::new(Gate::default()), Memory::new());
        let builder = Extensions::builder().queue(queue.clone());
        let builder = builder.resource(Arc::clone(&log)).resource(Arc::clone(&gate));
        let builder = if is_blocking {
            builder.discover().async_defaults(options)
        } else {
            builder.register_async::<Work, _>(OnTheRuntime, options)
        };
        let ext = current_thread().block_on(builder.build()).unwrap();
        Self { ext, queue: Arc::new(queue), gate, log }
    }

    fn fire(&self, how: How) -> JobId {
        self.ext.fire_sync(Work { how }).unwrap().queued()[0].id()
    }

    fn work(&self, runtime: Runtime, slots: usize) -> JoinHandle<WorkerReport> {
        let worker = self.ext.worker().concurrency(slots).lease(Duration::from_secs(1)).stop_when_drained();
        std::thread::spawn(move || {
            let report = runtime.block_on(worker.run_until(pending())).unwrap();
            runtime.shutdown_background();
            report
        })
    }

    fn job(&self, id: JobId) -> JobRecord {
        current_thread().block_on(kit::job(&self.queue, id))
    }

    fn until_written(&self, lines: usize) {
        let look = async || self.log.len() >= lines;
        current_thread().block_on(until(&format!("{lines} lines in the log"), look));
    }
}

/// A worker of one slot runs a handler that blocks; another one takes the job over, and the first handler's end counts for nothing.
fn the_job_goes_on_elsewhere(is_blocking: bool, runtime: Runtime) {
    let bench = Bench::new(is_blocking, options());
    let id = bench.fire(How::Blocks);
    let blocked = bench.work(runtime, 1);
    bench.until_written(1);
    let began = Instant::now();
    let other = bench.work(current_thread(), 1);

    current_thread().block_on(until_state(&bench.queue, id, JobState::Completed));
    assert!(began.elapsed() > Duration::from_secs(4), "its lease is kept past its time-out");
    let report = other.join().unwrap();
    assert_eq!((report.completed, report.stuck), (1, 0), "{report:?}");
    bench.gate.open();
    let report = blocked.join().unwrap();
    assert_eq!((report.stuck, report.failed, report.retried), (1, 1, 1), "{report:?}");
    assert_eq!((report.completed, report.lost), (0, 0), "its own end is refused quietly: {report:?}");

    let job = bench.job(id);
    assert_eq!((job.attempt, job.lost_count, job.errors.len()), (2, 0, 1));
    assert_eq!((job.errors[0].kind, job.errors[0].attempt), (ErrorKind::TimedOut, 1));
    assert!(job.errors[0].took.unwrap() > Duration::from_secs(5) && job.errors[0].worker.is_some());
    bench.until_written(4);
    let mut lines = bench.log.take();
    lines.sort();
    assert_eq!(lines, ["Blocks 1", "Blocks 2", "let go", "on_retry TimedOut"]);
}

#[test]
fn a_handler_that_blocks_a_thread_of_many_is_given_up() {
    the_job_goes_on_elsewhere(false, multi_thread());
}

#[test]
fn a_blocking_handler_that_does_not_return_is_given_up() {
    the_job_goes_on_elsewhere(true, multi_thread());
}

#[test]
fn a_handler_that_blocks_the_whole_runtime_is_given_up_and_what_waits_there_is_given_back() {
    let bench = Bench::new(false, options());
    let ids = [How::Blocks, How::Returns, How::Returns].map(|how| bench.fire(how));
    let blocked = bench.work(current_thread(), 3);
    bench.until_written(1);
    let report = bench.work(current_thread(), 3).join().unwrap();
    assert_eq!(report.completed, 3, "{report:?}");
    for id in ids {
        assert_eq!(bench.job(id).state, JobState::Completed);
    }
    bench.gate.open();
    let report = blocked.join().unwrap();
    assert_eq!((report.stuck, report.retried, report.released, report.lost), (1, 1, 2, 0), "{report:?}");
    assert_eq!(report.completed, 0, "{report:?}");
}

#[test]
fn a_stuck_handler_keeps_its_slot_while_others_go_on_and_does_not_keep_the_worker_from_ending() {
    let bench = Bench::new(true, options().retries(1));
    let stuck = bench.fire(How::Blocks);
    let others: Vec<_> = (0..3).map(|_| bench.fire(How::Returns)).collect();
    let report = bench.work(multi_thread(), 2).join().unwrap();
    assert_eq!((report.completed, report.dead, report.stuck), (3, 1, 1), "{report:?}");
    assert_eq!((report.owed_callbacks, report.lost), (1, 0), "its callback is another claim: {report:?}");
    let job = bench.job(stuck);
    assert_eq!((job.state, job.owes_on_failure, job.lost_count), (JobState::Dead, false, 0));
    assert!(others.iter().all(|id| bench.job(*id).state == JobState::Completed));
    assert_eq!(bench.log.take().last().unwrap(), "on_failure TimedOut");
    bench.gate.open();
}

#[test]
fn a_handler_that_never_yields_is_told_at_its_time_out() {
    for is_blocking in [false, true] {
        let bench = Bench::new(is_blocking, options());
        let id = bench.fire(How::Spins);
        let report = bench.work(current_thread(), 1).join().unwrap();
        assert_eq!((report.completed, report.retried, report.stuck), (1, 1, 0), "{report:?}");
        let job = bench.job(id);
        assert_eq!((job.errors.len(), job.errors[0].kind), (1, ErrorKind::TimedOut), "{job:?}");
    }
}

#[test]
fn without_a_time_out_no_handler_is_stuck() {
    let bench = Bench::new(false, options().no_timeout());
    let id = bench.fire(How::Blocks);
    let worker = bench.work(current_thread(), 1);
    bench.until_written(1);
    std::thread::sleep(Duration::from_secs(7));
    bench.gate.open();
    let report = worker.join().unwrap();
    assert_eq!((report.completed, report.stuck, report.failed), (1, 0, 0), "{report:?}");
    assert_eq!((bench.job(id).attempt, bench.job(id).lost_count), (1, 0));
}

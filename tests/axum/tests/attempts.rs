//! Product 4.12: layers around attempts, by hand and from `tower`.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use extensions::job::{ErrorKind, JobRecord, JobState};
use extensions::prelude::*;
use extensions::queue::{JobFilter, Memory, QueueAdmin};
use extensions::tower::{AttemptService, Layer, Service};
use extensions::{BoxFuture, ExtensionsBuilder};
use serde::{Deserialize, Serialize};
use tokio::sync::{Barrier, Notify};
use tower::ServiceBuilder;

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Task {
    number: u32,
    #[serde(default, deserialize_with = "never")]
    unreadable: Option<bool>,
}

/// What was stored as null is read; anything else is not.
fn never<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let read = Option::<bool>::deserialize(deserializer)?;
    read.map_or(Ok(None), |_| Err(serde::de::Error::custom("it is unreadable")))
}

const TASK: Task = Task { number: 7, unreadable: None };

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, line: impl Into<String>) {
    log.lock().unwrap().push(line.into());
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

/// A handler out of a closure.
struct Act<F>(F);

impl<F, Fut> AsyncHandler<Task> for Act<F>
where
    F: Fn(u32, Job) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send,
{
    async fn handle(&self, task: &Task, job: &Job) -> HandlerResult {
        (self.0)(task.number, job.clone()).await
    }
}

/// A layer out of a closure that is given the job and the rest.
#[derive(Clone)]
struct Around<F, S = ()>(F, S);

type Rest = BoxFuture<'static, HandlerResult>;

fn around<F: Fn(Job, Rest) -> Rest>(wrap: F) -> Around<F> {
    Around(wrap, ())
}

impl<F: Clone, S> Layer<S> for Around<F> {
    type Service = Around<F, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Around(self.0.clone(), inner)
    }
}

impl<F, S> Service<Job> for Around<F, S>
where
    F: Fn(Job, Rest) -> Rest,
    S: Service<Job, Response = (), Error = HandlerError, Future: Send + 'static>,
{
    type Response = ();
    type Error = HandlerError;
    type Future = Rest;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<HandlerResult> {
        self.1.poll_ready(cx)
    }

    fn call(&mut self, job: Job) -> Self::Future {
        let rest = Box::pin(self.1.call(job.clone()));
        (self.0)(job, rest)
    }
}

fn options() -> AsyncOptions {
    AsyncOptions::new().retries(2).backoff(Backoff::fixed(Duration::ZERO))
}

struct Bench {
    ext: Extensions,
    queue: Memory,
}

impl Bench {
    async fn new<F, Fut>(
        handler: F,
        options: AsyncOptions,
        layers: impl FnOnce(ExtensionsBuilder) -> ExtensionsBuilder,
    ) -> Self
    where
        F: Fn(u32, Job) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let queue = Memory::new();
        let builder = Extensions::builder().queue(queue.clone());
        let builder = builder.register_async::<Task, _>(Act(handler), options.name("act"));
        Self { ext: layers(builder).build().await.unwrap(), queue }
    }

    async fn drain(&self) -> WorkerReport {
        self.ext.worker().stop_when_drained().run_until(pending()).await.unwrap()
    }

    /// The only job, after a fire and all that follows.
    async fn fire(&self, task: Task) -> JobRecord {
        self.ext.fire(task).await.unwrap();
        self.drain().await;
        let mut jobs = self.queue.list(JobFilter::default()).await.unwrap();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }
}

async fn fine(_: u32, _: Job) -> HandlerResult {
    Ok(())
}

#[tokio::test]
async fn the_first_layer_is_the_outermost_and_each_sees_whose_attempt_it_is() {
    let log = Log::default();
    let layer = |name: &'static str| {
        let log = Arc::clone(&log);
        around(move |job: Job, rest| {
            let log = Arc::clone(&log);
            Box::pin(async move {
                let (handler, tenant) = (job.handler(), job.tenant().unwrap_or("none").to_owned());
                note(
                    &log,
                    format!(
                        "{name}: {} of {}, {} for {tenant}",
                        handler.handler(),
                        handler.point(),
                        job.attempt()
                    ),
                );
                let done = rest.await;
                note(&log, format!("{name}: {done:?}"));
                done
            })
        })
    };
    let handled = Arc::clone(&log);
    let act = move |number, _| {
        note(&handled, format!("task {number}"));
        async { Ok(()) }
    };
    let bench =
        Bench::new(act, options(), |builder| builder.attempt_layer(layer("a")).attempt_layer(layer("b")))
            .await;
    let job = bench.ext.tenant("acme").run(bench.fire(TASK)).await;
    assert_eq!(job.state, JobState::Completed);
    let expected =
        ["a: act of Task, 1 for acme", "b: act of Task, 1 for acme", "task 7", "b: Ok(())", "a: Ok(())"];
    assert_eq!(lines(&log), expected);
}

#[tokio::test]
async fn a_layer_that_errs_is_a_failed_attempt_and_the_handler_need_not_run() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let refuse = around(|job: Job, rest| {
        Box::pin(async move { if job.attempt() == 1 { Err("not today".into()) } else { rest.await } })
    });
    let counted = Arc::clone(&attempts);
    let act = move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    };
    let bench = Bench::new(act, options(), |builder| builder.attempt_layer(refuse)).await;
    let job = bench.fire(TASK).await;
    assert_eq!((job.state, job.attempt, attempts.load(Ordering::SeqCst)), (JobState::Completed, 2, 1));
    assert_eq!((job.errors[0].kind, &*job.errors[0].message), (ErrorKind::Failed, "not today"));
}

#[tokio::test]
async fn a_layer_that_answers_for_the_handler_settles_the_job_as_the_handler_would() {
    let outcome = |answer: fn() -> HandlerResult| {
        let instead = around(move |_, _| Box::pin(async move { answer() }));
        async move {
            let never = |_, _| async { panic!("it was not asked") };
            Bench::new(never, options(), |builder| builder.attempt_layer(instead)).await.fire(TASK).await
        }
    };
    assert_eq!(outcome(|| Ok(())).await.state, JobState::Completed);
    assert_eq!(outcome(|| Err(HandlerError::cancel("not needed"))).await.state, JobState::Cancelled);
    let dead = outcome(|| Err(HandlerError::permanent("no use"))).await;
    assert_eq!((dead.state, dead.attempt, dead.errors[0].kind), (JobState::Dead, 1, ErrorKind::Permanent));
    let panicked = outcome(|| panic!("a broken layer")).await;
    assert_eq!((panicked.state, panicked.attempt), (JobState::Dead, 2));
    assert_eq!(
        (panicked.errors[1].kind, &*panicked.errors[1].message),
        (ErrorKind::Panicked, "a broken layer")
    );
}

/// What most of `tower` asks for: standard errors inside, and the handler's own again outside.
macro_rules! standard_errors {
    ($builder:expr) => {
        $builder.map_err(HandlerError::into_boxed)
    };
}

#[tokio::test]
async fn a_time_out_of_tower_is_a_failed_attempt() {
    let layer = standard_errors!(
        ServiceBuilder::new()
            .map_err(|error: BoxError| HandlerError::from(error))
            .timeout(Duration::from_millis(10))
    );
    let bench =
        Bench::new(|_, _| pending(), options(), |builder| builder.attempt_layer(layer.into_inner())).await;
    let job = bench.fire(TASK).await;
    assert_eq!((job.state, job.attempt), (JobState::Dead, 2));
    assert_eq!((job.errors[0].kind, &*job.errors[0].message), (ErrorKind::Failed, "request timed out"));
}

#[tokio::test]
async fn what_an_error_means_comes_through_layers_that_know_standard_errors_only() {
    type Fail = fn() -> HandlerError;
    let fails: [(Fail, JobState, Option<ErrorKind>); 4] = [
        (|| HandlerError::permanent("no use"), JobState::Dead, Some(ErrorKind::Permanent)),
        (|| HandlerError::missing("order 7"), JobState::Dead, Some(ErrorKind::Missing)),
        (|| HandlerError::cancel("not needed"), JobState::Cancelled, None),
        (|| "away".into(), JobState::Dead, Some(ErrorKind::Failed)),
    ];
    for (fail, state, kind) in fails {
        let layer = standard_errors!(
            ServiceBuilder::new().map_err(|error: BoxError| HandlerError::from(error)).timeout(secs(60))
        );
        let act = move |_, _| async move { Err(fail()) };
        let bench = Bench::new(act, options(), |builder| builder.attempt_layer(layer.into_inner())).await;
        let job = bench.fire(TASK).await;
        assert_eq!((job.state, job.errors.first().map(|error| error.kind)), (state, kind), "{job:?}");
    }
}

#[tokio::test]
async fn a_payload_that_cannot_be_decoded_is_dead_at_once_and_the_layers_are_told() {
    let log = Log::default();
    let told = Arc::clone(&log);
    let layer = ServiceBuilder::new()
        .map_err(move |error: BoxError| {
            let error = HandlerError::from(error);
            note(&told, error.to_string());
            error
        })
        .timeout(secs(60))
        .map_err(HandlerError::into_boxed);
    let bench = Bench::new(fine, options(), |builder| builder.attempt_layer(layer.into_inner())).await;
    let job = bench.fire(Task { unreadable: Some(true), ..TASK }).await;
    assert_eq!((job.state, job.attempt, job.errors[0].kind), (JobState::Dead, 1, ErrorKind::Undecodable));
    assert!(lines(&log)[0].starts_with("the payload cannot be decoded: it is unreadable"), "{log:?}");
}

#[tokio::test]
async fn a_limit_of_tower_holds_for_all_workers_of_the_instance() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let most_seen = Arc::clone(&most);
    // Two at a time can meet; a third would be seen.
    let pairs = Arc::new(Barrier::new(2));
    let act = move |_, _| {
        let (now, most, pairs) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&pairs));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            pairs.wait().await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    };
    let limit = ServiceBuilder::new().concurrency_limit(2).into_inner();
    let bench = Bench::new(act, options(), |builder| builder.attempt_layer(limit)).await;
    for number in 0..20 {
        bench.ext.fire(Task { number, ..TASK }).await.unwrap();
    }
    let (one, other) = tokio::join!(bench.drain(), bench.drain());
    assert_eq!((one.completed + other.completed, one.failed + other.failed), (20, 0));
    assert_eq!(most_seen.load(Ordering::SeqCst), 2);
}

/// Notifies when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn the_handlers_time_out_ends_its_layers_and_starts_only_with_the_handler() {
    let dropped = Arc::new(Notify::new());
    let seen = Arc::clone(&dropped);
    let layer = around(move |_, rest| {
        let dropped = Dropped(Arc::clone(&dropped));
        Box::pin(async move {
            // Longer than the time-out: it does not count yet.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let _done = rest.await;
            let _held = dropped;
            pending().await
        })
    });
    let options = AsyncOptions::new().retries(1).timeout(Duration::from_millis(100));
    let bench = Bench::new(fine, options, |builder| builder.attempt_layer(layer)).await;
    let job = bench.fire(TASK).await;
    assert_eq!(
        (job.state, job.errors[0].kind),
        (JobState::Dead, ErrorKind::TimedOut),
        "the layer never ends"
    );
    tokio::time::timeout(secs(10), seen.notified()).await.expect("what the layer held is dropped");
}

#[tokio::test]
async fn a_layer_can_run_the_rest_again_within_one_attempt() {
    /// Tries a second time at once.
    #[derive(Clone)]
    struct Twice<S>(S);
    impl Service<Job> for Twice<AttemptService> {
        type Response = ();
        type Error = HandlerError;
        type Future = Rest;
        fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<HandlerResult> {
            self.0.poll_ready(cx)
        }
        fn call(&mut self, job: Job) -> Self::Future {
            let (first, mut inner) = (self.0.call(job.clone()), self.0.clone());
            Box::pin(async move {
                match first.await {
                    Ok(()) => Ok(()),
                    Err(_) => inner.call(job).await,
                }
            })
        }
    }
    let runs = Arc::new(AtomicUsize::new(0));
    let act = move |number, job: Job| {
        let first = runs.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if number == TASK.number {
                job.fire(Task { number: 8, ..TASK }).await?;
            }
            if first {
                job.record("of the first run")?;
                return Err("once".into());
            }
            Ok(())
        }
    };
    let bench =
        Bench::new(act, options(), |builder| builder.attempt_layer(tower::layer::layer_fn(Twice))).await;
    bench.ext.fire(TASK).await.unwrap();
    bench.drain().await;
    let jobs = bench.queue.list(JobFilter::default()).await.unwrap();
    assert_eq!(jobs.len(), 2, "the run that failed left no follow-up");
    for job in jobs {
        assert_eq!((job.state, job.attempt, job.errors.len()), (JobState::Completed, 1, 0));
        assert_eq!(job.result, None, "and no result");
    }
}

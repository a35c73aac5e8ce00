//! `sync:`: async handlers run in place, before `fire` returns.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use extensions::prelude::*;
use extensions::queue::QueueErrorKind;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Ordered {
    id: u64,
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);
impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Notes its attempts; fails as often as it is told to.
struct Mail {
    log: Log,
    failures: u32,
}
impl AsyncHandler<Ordered> for Mail {
    async fn handle(&self, order: &Ordered, job: &Job) -> HandlerResult {
        self.log.note(format!("mail {} attempt {}", order.id, job.attempt()));
        if job.attempt() <= self.failures { Err("the mail server is away".into()) } else { Ok(()) }
    }
}

struct Note(Log);
impl OnRetry<Ordered> for Note {
    async fn on_retry(&self, _: &Ordered, error: &JobError, job: &Job) {
        self.0.note(format!("retry after {} ({})", job.attempt(), error.message()));
    }
}
impl OnFailure<Ordered> for Note {
    async fn on_failure(&self, _: &Ordered, error: &JobError, job: &Job) {
        self.0.note(format!("failure after {} ({})", job.attempt(), error.message()));
    }
}

async fn with<H: AsyncHandler<Ordered>>(handler: H, options: AsyncOptions) -> Extensions {
    Extensions::builder()
        .queue_url("sync:")
        .register_async::<Ordered, _>(handler, options)
        .build()
        .await
        .unwrap()
}

fn order(id: u64) -> Ordered {
    Ordered { id }
}

#[tokio::test]
async fn jobs_have_run_when_fire_returns_whatever_their_delay() {
    let log = Log::default();
    let options = AsyncOptions::new().delay(secs(24 * 3600)).queue("mails");
    let ext = with(Mail { log: log.clone(), failures: 0 }, options).await;
    let began = Instant::now();
    let fired = ext.fire(order(1)).await.unwrap();
    assert_eq!((log.take(), fired.queued().len()), (vec!["mail 1 attempt 1".to_owned()], 1));
    ext.point(order(2)).on_queue("elsewhere").fire().await.unwrap();
    assert_eq!(log.take(), ["mail 2 attempt 1"]);
    ext.fire_many([order(3), order(4)]).await;
    assert_eq!(log.take(), ["mail 3 attempt 1", "mail 4 attempt 1"]);
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn fire_sync_runs_them_inside_a_runtime_of_one_thread() {
    let log = Log::default();
    let ext = with(Mail { log: log.clone(), failures: 0 }, AsyncOptions::new()).await;
    ext.fire_sync(order(1)).unwrap();
    assert_eq!(log.take(), ["mail 1 attempt 1"]);
}

#[test]
fn fire_sync_runs_them_without_any_runtime() {
    let log = Log::default();
    let building = with(Mail { log: log.clone(), failures: 1 }, AsyncOptions::new());
    let ext = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(building);
    ext.fire_sync(order(1)).unwrap();
    assert_eq!(log.take(), ["mail 1 attempt 1", "mail 1 attempt 2"]);
}

#[tokio::test]
async fn attempts_and_callbacks_are_those_of_a_queue_without_the_waits() {
    let log = Log::default();
    let options = || {
        AsyncOptions::new()
            .max_attempts(3)
            .backoff(Backoff::fixed(secs(3600)))
            .on_retry::<Ordered, _>(Note(log.clone()))
            .on_failure::<Ordered, _>(Note(log.clone()))
    };
    let began = Instant::now();
    with(Mail { log: log.clone(), failures: 1 }, options()).await.fire(order(1)).await.unwrap();
    let why = "(the mail server is away)";
    assert_eq!(
        log.take(),
        ["mail 1 attempt 1".to_owned(), format!("retry after 1 {why}"), "mail 1 attempt 2".to_owned()]
    );
    with(Mail { log: log.clone(), failures: 9 }, options()).await.fire(order(2)).await.unwrap();
    let expected = [
        "mail 2 attempt 1".to_owned(),
        format!("retry after 1 {why}"),
        "mail 2 attempt 2".to_owned(),
        format!("retry after 2 {why}"),
        "mail 2 attempt 3".to_owned(),
        format!("failure after 3 {why}"),
    ];
    assert_eq!(log.take(), expected);
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<String>>);
impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = write!(self.0.lock().unwrap(), "{}", String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_job_that_fails_fails_no_fire_and_is_logged_with_point_handler_and_error() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let ext = with(Mail { log: Log::default(), failures: 9 }, AsyncOptions::new().max_attempts(1)).await;
    let fired = ext.fire(order(1)).await.unwrap();
    assert!(fired.is_success());
    let text = lines.0.lock().unwrap().clone();
    let line =
        text.lines().find(|line| line.contains("sync: a job failed")).unwrap_or_else(|| panic!("{text}"));
    for part in ["ERROR", "point=\"Ordered\"", "handler=\"Mail\"", "the mail server is away"] {
        assert!(line.contains(part), "{line}");
    }
}

#[tokio::test]
async fn a_panic_of_one_job_keeps_no_other_from_running_then_or_later() {
    struct Bomb;
    impl AsyncHandler<Ordered> for Bomb {
        async fn handle(&self, _: &Ordered, _: &Job) -> HandlerResult {
            panic!("boom")
        }
    }
    let log = Log::default();
    let ext = Extensions::builder()
        .queue_url("sync:")
        .register_async::<Ordered, _>(Bomb, AsyncOptions::new().max_attempts(1))
        .register_async::<Ordered, _>(Mail { log: log.clone(), failures: 0 }, AsyncOptions::new())
        .build()
        .await
        .unwrap();
    ext.fire(order(1)).await.unwrap();
    ext.fire(order(2)).await.unwrap();
    assert_eq!(log.take(), ["mail 1 attempt 1", "mail 2 attempt 1"]);
}

#[tokio::test]
async fn failures_of_many_fires_open_no_circuit_that_would_hold_a_job_back() {
    let log = Log::default();
    let ext = with(Mail { log: log.clone(), failures: 1 }, AsyncOptions::new().max_attempts(1)).await;
    for id in 0..20 {
        ext.fire(order(id)).await.unwrap();
    }
    assert_eq!(log.take().len(), 20);
}

/// Fires the order before: with `fire`, or with `fire_sync`, which blocks its thread.
struct Before {
    log: Log,
    blocks: bool,
}
impl AsyncHandler<Ordered> for Before {
    async fn handle(&self, order: &Ordered, job: &Job) -> HandlerResult {
        self.log.note(format!("begin {}", order.id));
        if let Some(id) = order.id.checked_sub(1) {
            if self.blocks {
                job.extensions().fire_sync(Ordered { id })?;
            } else {
                job.extensions().fire(Ordered { id }).await?;
            }
        }
        self.log.note(format!("end {}", order.id));
        Ok(())
    }
}

#[tokio::test]
async fn handlers_that_fire_have_the_jobs_of_that_fire_run_before_they_go_on() {
    for blocks in [false, true] {
        let log = Log::default();
        let ext = with(Before { log: log.clone(), blocks }, AsyncOptions::new()).await;
        ext.fire(order(10)).await.unwrap();
        let begins = (0..=10).rev().map(|id| format!("begin {id}"));
        let ends = (0..=10).map(|id| format!("end {id}"));
        assert_eq!(log.take(), begins.chain(ends).collect::<Vec<_>>());
    }
}

#[extension_handler(Ordered)]
#[async_handler(blocking)]
fn fires_the_one_before_from_a_thread(order: &Ordered, job: &Job, log: Res<Log>) -> HandlerResult {
    log.note(format!("begin {}", order.id));
    if let Some(id) = order.id.checked_sub(1) {
        job.extensions().fire_sync(Ordered { id })?;
    }
    log.note(format!("end {}", order.id));
    Ok(())
}

#[tokio::test]
async fn blocking_handlers_may_fire_as_well() {
    let log = Log::default();
    let ext =
        Extensions::builder().discover().resource(log.clone()).queue_url("sync:").build().await.unwrap();
    ext.fire(order(5)).await.unwrap();
    assert_eq!(log.take().len(), 12);
}

#[tokio::test]
async fn jobs_that_fire_themselves_for_ever_are_stopped_at_the_depth_of_nested_fires() {
    struct Endless(Arc<AtomicU32>);
    impl AsyncHandler<Ordered> for Endless {
        async fn handle(&self, order: &Ordered, job: &Job) -> HandlerResult {
            self.0.fetch_add(1, Ordering::SeqCst);
            job.extensions().fire(order.clone()).await?;
            Ok(())
        }
    }
    let runs = Arc::<AtomicU32>::default();
    let ext = Extensions::builder()
        .queue_url("sync:")
        .max_depth(10)
        .register_async::<Ordered, _>(Endless(Arc::clone(&runs)), AsyncOptions::new())
        .build()
        .await
        .unwrap();
    assert!(ext.fire(order(1)).await.unwrap().is_success());
    assert_eq!(runs.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn a_unique_job_is_unique_as_long_as_it_runs_and_free_when_its_fire_is_over() {
    struct Again(Log);
    impl AsyncHandler<Ordered> for Again {
        async fn handle(&self, order: &Ordered, job: &Job) -> HandlerResult {
            let fired = job.extensions().fire(order.clone()).await?;
            let of = fired.duplicates().first().map(extensions::fire::DuplicateJob::of);
            self.0.note(format!("{} queued, of this one: {}", fired.queued().len(), of == Some(job.id())));
            Ok(())
        }
    }
    let log = Log::default();
    let ext = with(Again(log.clone()), AsyncOptions::new().unique(true)).await;
    for _ in 0..2 {
        assert_eq!(ext.fire(order(1)).await.unwrap().queued().len(), 1);
        assert_eq!(log.take(), ["0 queued, of this one: true"]);
    }
    let results = ext.fire_many([order(2), order(2), order(3)]).await;
    let queued: Vec<_> = results.iter().map(|fired| fired.as_ref().unwrap().queued().len()).collect();
    assert_eq!(queued, [1, 0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fires_side_by_side_have_each_its_own_jobs_run() {
    struct Meets(Arc<tokio::sync::Barrier>);
    impl AsyncHandler<Ordered> for Meets {
        async fn handle(&self, _: &Ordered, _: &Job) -> HandlerResult {
            self.0.wait().await;
            Ok(())
        }
    }
    // Nobody's job ends before all jobs have begun.
    let ext = with(Meets(Arc::new(tokio::sync::Barrier::new(12))), AsyncOptions::new()).await;
    let fires = (0..12).map(|id| {
        let ext = ext.clone();
        tokio::spawn(async move { ext.fire(order(id)).await.unwrap().queued().len() })
    });
    for fire in fires.collect::<Vec<_>>() {
        assert_eq!(fire.await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_job_that_puts_itself_off_for_ever_hangs_no_fire() {
    struct Never;
    impl AsyncHandler<Ordered> for Never {
        async fn handle(&self, _: &Ordered, _: &Job) -> HandlerResult {
            Err(HandlerError::snooze(secs(3600)))
        }
    }
    let ext = with(Never, AsyncOptions::new()).await;
    assert!(ext.fire(order(1)).await.unwrap().is_success());
}

#[tokio::test]
async fn jobs_run_in_the_scopes_of_their_fire_and_with_its_global_instance() {
    struct Where(Log);
    impl AsyncHandler<Ordered> for Where {
        async fn handle(&self, _: &Ordered, job: &Job) -> HandlerResult {
            let global = Extensions::global().is_some();
            self.0.note(format!("{:?} {global}", job.tenant()));
            Ok(())
        }
    }
    let log = Log::default();
    let ext = with(Where(log.clone()), AsyncOptions::new()).await;
    ext.as_global(async { ext.point(order(1)).for_tenant("acme").fire().await.unwrap() }).await;
    ext.fire(order(2)).await.unwrap();
    assert_eq!(log.take(), ["Some(\"acme\") true", "None false"]);
}

#[tokio::test]
async fn a_veto_or_an_error_runs_no_job() {
    let log = Log::default();
    let ext = Extensions::builder()
        .queue_url("sync:")
        .register_fn::<Ordered>("no", |_, _| Err("no".into()), HandlerOptions::new())
        .register_async::<Ordered, _>(Mail { log: log.clone(), failures: 0 }, AsyncOptions::new())
        .build()
        .await
        .unwrap();
    ext.fire(order(1)).await.unwrap_err();
    assert!(log.take().is_empty());
}

#[tokio::test]
async fn a_fire_that_is_dropped_leaves_its_job_to_run_on_and_its_unique_key_to_it() {
    struct Waits {
        begun: Arc<tokio::sync::Notify>,
        end: Arc<tokio::sync::Notify>,
        log: Log,
    }
    impl AsyncHandler<Ordered> for Waits {
        async fn handle(&self, _: &Ordered, _: &Job) -> HandlerResult {
            self.begun.notify_one();
            self.end.notified().await;
            self.log.note("done");
            Ok(())
        }
    }
    let (begun, end, log) =
        (Arc::<tokio::sync::Notify>::default(), Arc::<tokio::sync::Notify>::default(), Log::default());
    let handler = Waits { begun: Arc::clone(&begun), end: Arc::clone(&end), log: log.clone() };
    let ext = with(handler, AsyncOptions::new().unique(true)).await;
    tokio::select! {
        _ = ext.fire(order(1)) => panic!("the job waits"),
        () = begun.notified() => {}
    }
    assert_eq!(ext.fire(order(1)).await.unwrap().duplicates().len(), 1);
    end.notify_one();
    let again = async {
        while !ext.fire(order(1)).await.unwrap().duplicates().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let next_may_end = async {
        begun.notified().await;
        end.notify_one();
    };
    let both = async { tokio::join!(again, next_may_end) };
    tokio::time::timeout(Duration::from_secs(30), both).await.expect("the key is free in time");
    assert_eq!(log.take(), ["done", "done"]);
}

#[tokio::test]
async fn it_is_no_queue_that_can_be_connected_to() {
    let error = extensions::queue::connect("sync:").await.unwrap_err();
    assert_eq!(error.kind(), QueueErrorKind::InvalidConfig);
    assert!(error.to_string().contains(".queue_url(\"sync:\")"), "{error}");
}

/// Runs in a process of its own, where the variable is set.
#[tokio::test]
async fn the_variable_chooses_it_where_the_builder_names_no_queue() {
    let log = Log::default();
    if std::env::var("EXTENSIONS_QUEUE_URL").is_err() {
        let this = std::env::current_exe().unwrap();
        let name = "the_variable_chooses_it_where_the_builder_names_no_queue";
        let mut again = std::process::Command::new(this);
        let output = again.args(["--exact", name]).env("EXTENSIONS_QUEUE_URL", "sync:").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let handler = Mail { log: log.clone(), failures: 0 };
    let builder = Extensions::builder().register_async::<Ordered, _>(handler, AsyncOptions::new());
    builder.build().await.unwrap().fire(order(1)).await.unwrap();
    assert_eq!(log.take(), ["mail 1 attempt 1"]);
}

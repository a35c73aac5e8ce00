//! What the tests by section have in common.

use std::fmt::Debug;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use extensions::ExtensionsBuilder;
use extensions::fire::{SkipReason, Skipped};
use extensions::job::{FireId, HandlerKey, JobId, JobMeta, JobRecord, JobState, NewJob, WorkerId};
use extensions::prelude::*;
use extensions::queue::{ClaimRequest, JobFilter, KnownHandler, Memory, QueueBackend, TakeLost};
use extensions::time::{Clock, ManualClock};

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What handlers wrote down, in order.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<String>>);

impl Log {
    /// Writes a line.
    pub fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// The lines so far; the log is empty again.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An instance on a memory queue, with a [`Log`].
pub async fn on_memory(builder: ExtensionsBuilder) -> (Extensions, Arc<dyn QueueBackend>) {
    on(builder, Arc::new(Memory::new())).await
}

/// An instance on a queue, with a [`Log`].
pub async fn on(
    builder: ExtensionsBuilder,
    queue: Arc<dyn QueueBackend>,
) -> (Extensions, Arc<dyn QueueBackend>) {
    let builder = builder.resource(Log::default()).shared_queue(Arc::clone(&queue));
    (builder.build().await.unwrap(), queue)
}

/// A clock that is moved by hand, and an instance's builder that goes by it.
pub fn by_hand() -> (Arc<ManualClock>, ExtensionsBuilder) {
    let clock = Arc::new(ManualClock::default());
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
    (clock, Extensions::builder().clock(shared))
}

/// An ordinary job of a handler.
pub fn new_job(handler: impl Into<HandlerKey>, payload: impl AsRef<[u8]>) -> NewJob {
    NewJob {
        id: JobId::new(),
        handler: handler.into(),
        point_version: 1,
        payload: payload.as_ref().into(),
        queue: "default".into(),
        priority: 5,
        max_attempts: 3,
        delay: Duration::ZERO,
        unique: None,
        on_failure: false,
        once: None,
        meta: JobMeta::new(FireId::new()),
    }
}

/// A claim by a new worker that knows this one handler.
pub fn claim_request(handler: impl Into<HandlerKey>, max: usize) -> ClaimRequest {
    ClaimRequest {
        worker: WorkerId::new(),
        queues: vec!["default".into()],
        handlers: [KnownHandler { handler: handler.into(), max_version: 1 }].into(),
        max,
        lease: Duration::from_secs(60),
        lost: TakeLost::All,
    }
}

/// What was written down since the last time.
pub fn lines(ext: &Extensions) -> Vec<String> {
    ext.resource::<Log>().unwrap().take()
}

/// All jobs of a queue.
pub async fn jobs(queue: &Arc<dyn QueueBackend>) -> Vec<JobRecord> {
    queue.list(JobFilter::default()).await.unwrap()
}

/// One job.
pub async fn job(queue: &Arc<dyn QueueBackend>, id: JobId) -> JobRecord {
    queue.get(vec![id]).await.unwrap().remove(0).expect("the job is there")
}

/// Waits until a job is in a state.
pub async fn until_state(queue: &Arc<dyn QueueBackend>, id: JobId, state: JobState) -> JobRecord {
    until(&format!("{state}"), async || {
        let job = job(queue, id).await;
        if job.state == state { Ok(job) } else { Err(job) }
    })
    .await
}

/// What a look found: `true`, `Some` and `Ok` are what is waited for, and an `Err` is shown where the wait is in vain.
pub trait Look {
    /// What is waited for.
    type Found;
    /// What is there instead.
    type Instead: Debug;

    /// One or the other.
    fn found(self) -> Result<Self::Found, Self::Instead>;
}

impl Look for bool {
    type Found = ();
    type Instead = ();

    fn found(self) -> Result<(), ()> {
        self.then_some(()).ok_or(())
    }
}

impl<T> Look for Option<T> {
    type Found = T;
    type Instead = ();

    fn found(self) -> Result<T, ()> {
        self.ok_or(())
    }
}

impl<T, E: Debug> Look for Result<T, E> {
    type Found = T;
    type Instead = E;

    fn found(self) -> Self {
        self
    }
}

/// Waits until a look finds what it looks for.
pub async fn until<L: Look>(what: &str, mut look: impl AsyncFnMut() -> L) -> L::Found {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match in_time(what, look()).await.found() {
            Ok(found) => return found,
            Err(instead) => assert!(Instant::now() < deadline, "waited for {what} in vain: {instead:?}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for an end that has to come.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited for {what} in vain"))
}

/// Works until nothing is left to be claimed.
pub async fn work(ext: &Extensions) -> WorkerReport {
    let worker = ext.worker().concurrency(1).prefetch(0).stop_when_empty();
    in_time("the worker's end", worker.run_until(pending())).await.unwrap()
}

/// The names of a point's handlers, in their order.
pub fn names<P: ExtensionPoint>(ext: &Extensions) -> Vec<String> {
    ext.handlers_of::<P>().iter().map(|info| info.name.to_string()).collect()
}

/// Who was passed over in a fire, and why.
pub fn skips(skipped: &[Skipped]) -> Vec<(String, SkipReason)> {
    skipped.iter().map(|skipped| (skipped.handler.name.to_string(), skipped.reason)).collect()
}

/// The kind of error of a fire that erred, as text.
pub fn kind<T: Debug>(fired: Result<T, FireError>) -> String {
    format!("{:?}", fired.unwrap_err().kind())
}

/// Runs a test of the current binary in a process of its own, which has no other; answers whether this is that process. For what is
/// global to a process, such as who listens to `tracing`.
pub fn is_alone(test: &str) -> bool {
    const ALONE: &str = "TESTS_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let output = child.args([test, "--exact", "--test-threads=1"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

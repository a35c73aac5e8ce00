//! What a worker does and says while its store is away. One binary for itself, since its threads log too.

use std::fmt::Write as _;
use std::future::pending;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use extensions::job::{JobId, JobState};
use extensions::prelude::*;
use extensions::queue::{Memory, QueueAdmin};
use serde::{Deserialize, Serialize};
use tests::kit::{self, Log};
use tests::moody::MoodyQueue;
use tokio::sync::Semaphore;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

/// Every event from `INFO` up, as `LEVEL fields`.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl<S: Subscriber> Layer<S> for Said {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        if *event.metadata().level() <= Level::INFO {
            self.0.lock().unwrap().push(fields.0);
        }
    }
}

#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Work;

#[extension_handler(Work)]
#[async_handler]
async fn work(_: &Work, log: Res<Log>, gate: Res<Semaphore>) {
    log.add("working");
    gate.acquire().await.unwrap().forget();
}

struct Bench {
    ext: Extensions,
    inner: Memory,
    queue: MoodyQueue,
    log: Arc<Log>,
    gate: Arc<Semaphore>,
}

impl Bench {
    async fn new(has_link: bool) -> Self {
        let (inner, log) = (Memory::new(), Arc::new(Log::default()));
        let (queue, gate) = (MoodyQueue::new(Arc::new(inner.clone()), has_link), Arc::new(Semaphore::new(0)));
        let builder = Extensions::builder().discover().queue(queue.clone());
        let ext = builder.resource(Arc::clone(&log)).resource(Arc::clone(&gate)).build().await.unwrap();
        Self { ext, inner, queue, log, gate }
    }

    fn go_away(&self, away: bool) {
        self.queue.moods().down.store(away, Ordering::SeqCst);
    }

    async fn fire(&self) -> JobId {
        self.ext.fire(Work).await.unwrap().queued()[0].id()
    }

    async fn state(&self, id: JobId) -> JobState {
        self.inner.get(vec![id]).await.unwrap().remove(0).unwrap().state
    }
}

/// A handler ends while the store is away for longer than its lease; nobody else is there to take the job back.
async fn outlast(said: &Said, has_link: bool) {
    let bench = Bench::new(has_link).await;
    let id = bench.fire().await;
    let lease = Duration::from_secs(1);
    let worker = bench.ext.worker().lease(lease).stop_when_drained().run_until(pending());
    let worker = tokio::spawn(worker);
    kit::until("the handler runs", async || !bench.log.is_empty()).await;
    said.take();
    bench.go_away(true);
    bench.gate.add_permits(2);
    tokio::time::sleep(lease * 3).await;
    assert_eq!(bench.state(id).await, JobState::Running, "the settlement waits");
    bench.go_away(false);
    let report = kit::in_time("it drains", worker).await.unwrap().unwrap();
    assert_eq!((report.completed, bench.state(id).await), (1, JobState::Completed), "{report:?}");
    assert_eq!(report.connection_losses, u64::from(has_link));

    let said = said.take();
    let count = |part: &str| said.iter().filter(|line| line.contains(part)).count();
    let (by_worker, by_queue) = (usize::from(!has_link), usize::from(has_link));
    assert_eq!(count("the queue fails"), by_worker, "{said:#?}");
    assert_eq!(count("the queue works again"), by_worker, "{said:#?}");
    assert_eq!(count("cannot be reached"), by_queue, "{said:#?}");
    assert_eq!(count("can be reached again"), by_queue, "{said:#?}");
    assert_eq!(count("WARN"), 1, "nothing else is said: {said:#?}");
    assert_eq!(count("ERROR"), 0, "{said:#?}");
}

async fn start_while_away(said: &Said) {
    let bench = Bench::new(false).await;
    bench.gate.add_permits(1);
    let id = bench.fire().await;
    bench.go_away(true);
    said.take();
    let worker = tokio::spawn(bench.ext.worker().stop_when_drained().run_until(pending()));
    kit::until("it tries in vain", async || {
        said.0.lock().unwrap().iter().any(|line| line.contains("the queue fails"))
    })
    .await;
    bench.go_away(false);
    let report = kit::in_time("it starts", worker).await.unwrap().unwrap();
    assert_eq!((report.completed, bench.state(id).await), (1, JobState::Completed));
    assert!(bench.inner.workers().await.unwrap().is_empty(), "it has said goodbye");
}

#[tokio::test]
async fn an_outage_is_outlasted_and_said_once_each_way() {
    let said = Said::default();
    tracing::subscriber::set_global_default(Registry::default().with(said.clone())).unwrap();
    outlast(&said, false).await;
    outlast(&said, true).await;
    start_while_away(&said).await;
}

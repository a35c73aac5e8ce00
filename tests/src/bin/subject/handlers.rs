//! The points and their handlers. Each run is in the ledger before it does anything.

use std::time::{Duration, Instant};

use extensions::prelude::*;
use serde::{Deserialize, Serialize};
use tests::crash::{Event, LedgerWriter, Outcome, RunId};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(crate) struct Ordered {
    pub(crate) fire: u64,
    /// How long the slow handler takes.
    pub(crate) millis: u64,
    /// How many attempts of the flaky handler fail.
    pub(crate) failures: u32,
    /// Whether the fire stops before its push, for good.
    pub(crate) pause: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(crate) struct Charged {
    pub(crate) fire: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, unique_by = key)]
pub(crate) struct Reindexed {
    pub(crate) fire: u64,
    pub(crate) key: String,
    pub(crate) millis: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(crate) struct Rendered {
    pub(crate) fire: u64,
    pub(crate) millis: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(crate) struct Held {
    pub(crate) fire: u64,
    pub(crate) millis: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(crate) struct Stubborn {
    pub(crate) fire: u64,
    pub(crate) millis: u64,
}

/// One run of a handler, with what it writes down.
struct Running<'a> {
    ledger: &'a LedgerWriter,
    id: RunId,
}

fn started(ledger: &LedgerWriter, job: &Job) -> (RunId, Event) {
    let run = ledger.new_run();
    let (job, handler, attempt) = (job.id(), job.handler().clone(), job.attempt());
    (run.clone(), Event::Started { run, job, handler, attempt })
}

impl<'a> Running<'a> {
    async fn start(ledger: &'a LedgerWriter, job: &Job) -> Self {
        let (id, event) = started(ledger, job);
        ledger.write(event).await;
        Self { ledger, id }
    }

    async fn end(self, outcome: Outcome) -> HandlerResult {
        self.ledger.write(Event::Ended { run: self.id.clone(), outcome }).await;
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Failed | Outcome::Stopped => Err(self.id.error().into()),
            Outcome::Permanent => Err(HandlerError::permanent(self.id.error())),
        }
    }
}

/// Runs last of the inline handlers: what is stopped here is stopped between them and the push.
#[extension_handler(Ordered, priority = 200)]
async fn stop_at_the_marker(order: &mut Ordered, ledger: Res<LedgerWriter>) {
    if order.pause {
        ledger.write(Event::AtMarker { fire: order.fire }).await;
        std::future::pending::<()>().await;
    }
}

#[extension_handler(Ordered)]
#[async_handler(queue = "orders", max_attempts = 1)]
async fn quick(_order: &Ordered, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    Running::start(&ledger, job).await.end(Outcome::Done).await
}

#[extension_handler(Ordered)]
#[async_handler(queue = "orders")]
async fn slow(order: &Ordered, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    let run = Running::start(&ledger, job).await;
    tokio::time::sleep(Duration::from_millis(order.millis)).await;
    run.end(Outcome::Done).await
}

#[extension_handler(Ordered)]
#[async_handler(queue = "default", max_attempts = 4, backoff = fixed("50ms"))]
async fn flaky(order: &Ordered, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    let run = Running::start(&ledger, job).await;
    run.end(if job.attempt() <= order.failures { Outcome::Failed } else { Outcome::Done }).await
}

#[extension_handler(Charged)]
#[async_handler(queue = "default", max_attempts = 2, backoff = fixed("20ms"), on_failure = TellOfFailure)]
async fn doomed(_charge: &Charged, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    Running::start(&ledger, job).await.end(Outcome::Failed).await
}

struct TellOfFailure;
impl OnFailure<Charged> for TellOfFailure {
    async fn on_failure(&self, _charge: &Charged, _error: &JobError, job: &Job) {
        let ledger = job.resource::<LedgerWriter>().expect("the ledger is a resource");
        ledger.write(Event::ToldOfFailure { job: job.id() }).await;
    }
}

#[extension_handler(Reindexed)]
#[async_handler(queue = "index", unique = true)]
async fn reindex(index: &Reindexed, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    let run = Running::start(&ledger, job).await;
    tokio::time::sleep(Duration::from_millis(index.millis)).await;
    run.end(Outcome::Done).await
}

#[extension_handler(Rendered)]
#[async_handler(queue = "default", blocking)]
fn render(page: &Rendered, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    let (run, event) = started(&ledger, job);
    ledger.write_blocking(event);
    std::thread::sleep(Duration::from_millis(page.millis));
    ledger.write_blocking(Event::Ended { run, outcome: Outcome::Done });
    Ok(())
}

/// Notices when it was frozen, and then wants the job dead; stops when it is told to.
#[extension_handler(Held)]
#[async_handler(queue = "held", max_attempts = 3)]
async fn hold(held: &Held, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    let run = Running::start(&ledger, job).await;
    let (started, planned) = (Instant::now(), Duration::from_millis(held.millis));
    tokio::select! {
        () = tokio::time::sleep(planned) => {
            let was_frozen = started.elapsed() > planned + Duration::from_millis(1500);
            run.end(if was_frozen { Outcome::Permanent } else { Outcome::Done }).await
        }
        () = job.cancelled() => run.end(Outcome::Stopped).await,
    }
}

#[extension_handler(Stubborn)]
#[async_handler(queue = "held", max_attempts = 3)]
async fn go_on(stubborn: &Stubborn, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    let run = Running::start(&ledger, job).await;
    tokio::time::sleep(Duration::from_millis(stubborn.millis)).await;
    run.end(Outcome::Done).await
}

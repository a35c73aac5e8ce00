//! The points and their handlers. Each run is in the ledger before it does anything.

use std::time::{Duration, Instant};

use extensions::prelude::*;
use serde::{Deserialize, Serialize};
use tests::crash::{Event, LedgerWriter, Outcome, RunId};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(super) struct Ordered {
    pub(super) fire: u64,
    /// How long the slow handler takes.
    pub(super) millis: u64,
    /// How many attempts of the flaky handler fail.
    pub(super) failures: u32,
    /// Whether the fire stops before its push, for good.
    pub(super) pause: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(super) struct Charged {
    pub(super) fire: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, unique_by = key)]
pub(super) struct Reindexed {
    pub(super) fire: u64,
    pub(super) key: String,
    pub(super) millis: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(super) struct Rendered {
    pub(super) fire: u64,
    pub(super) millis: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(super) struct Held {
    pub(super) fire: u64,
    pub(super) millis: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(super) struct Stubborn {
    pub(super) fire: u64,
    pub(super) millis: u64,
}

/// One run of a handler, with what it writes down.
pub(super) struct Running<'a> {
    ledger: &'a LedgerWriter,
    id: RunId,
    has_ended: bool,
}

pub(super) fn started(ledger: &LedgerWriter, job: &Job) -> (RunId, Event) {
    let run = ledger.new_run();
    let (job, handler, attempt) = (job.id(), job.handler().clone(), job.attempt());
    (run.clone(), Event::Started { run, job, handler, attempt })
}

impl<'a> Running<'a> {
    pub(super) async fn start(ledger: &'a LedgerWriter, job: &Job) -> Self {
        let (id, event) = started(ledger, job);
        let run = Self { ledger, id, has_ended: false };
        ledger.write(event).await;
        run
    }

    fn ended(&mut self, outcome: Outcome) -> Event {
        self.has_ended = true;
        Event::Ended { run: self.id.clone(), outcome }
    }

    /// Notes that the handler fails, by the panic with this message that follows.
    pub(super) async fn panics(mut self) -> String {
        let event = self.ended(Outcome::Failed);
        self.ledger.write(event).await;
        self.id.error()
    }

    /// The same where the future is dropped at its next rest.
    pub(super) fn end_late(mut self, outcome: Outcome) -> HandlerResult {
        let event = self.ended(outcome);
        self.ledger.write_later(event);
        Ok(())
    }

    pub(super) async fn end(mut self, outcome: Outcome) -> HandlerResult {
        let event = self.ended(outcome);
        self.ledger.write(event).await;
        match outcome {
            Outcome::Done | Outcome::Outlived => Ok(()),
            Outcome::Failed | Outcome::Stopped | Outcome::Dropped => Err(self.id.error().into()),
            Outcome::Permanent => Err(HandlerError::permanent(self.id.error())),
        }
    }
}

/// A worker may drop the future at any rest, be it before its start was on the disk.
impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            let event = self.ended(Outcome::Dropped);
            self.ledger.write_later(event);
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
#[async_handler(queue = "default", max_attempts = 1, delay = "300ms")]
async fn later(_order: &Ordered, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    Running::start(&ledger, job).await.end(Outcome::Done).await
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

pub(super) struct TellOfFailure;
impl<P: QueuedPoint> OnFailure<P> for TellOfFailure {
    async fn on_failure(&self, _point: &P, _error: &JobError, job: &Job) {
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
    tokio::select! {
        was_frozen = slept(Duration::from_millis(held.millis)) => {
            run.end(if was_frozen { Outcome::Permanent } else { Outcome::Done }).await
        }
        () = job.cancelled() => run.end(Outcome::Stopped).await,
    }
}

/// Sleeps, and whether the process stood still meanwhile.
async fn slept(long: Duration) -> bool {
    let (started, mut was_frozen) = (Instant::now(), false);
    while let Some(left) = long.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
        let slept = Instant::now();
        tokio::time::sleep(left.min(Duration::from_millis(100))).await;
        was_frozen |= slept.elapsed() > Duration::from_millis(1500);
    }
    was_frozen
}

#[extension_handler(Stubborn)]
#[async_handler(queue = "held", max_attempts = 3)]
async fn go_on(stubborn: &Stubborn, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    let run = Running::start(&ledger, job).await;
    tokio::time::sleep(Duration::from_millis(stubborn.millis)).await;
    run.end(Outcome::Done).await
}

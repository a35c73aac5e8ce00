//! What is done about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use examples::chance;
use extensions::prelude::*;

use crate::archive::Archive;
use crate::points::{DeliveryReceived, IssueOpened, PullRequestMerged, PushReceived, ReleasePublished};

/// Refuses what nobody sent.
#[extension_handler(DeliveryReceived, priority = 10)]
fn verify(received: &DeliveryReceived) -> Verdict {
    match received.text("/sender/login") {
        Some(_) => Verdict::Continue,
        None => Verdict::veto("payload.sender.login is missing"),
    }
}

/// Fires a point of its own for what is worth telling. Those jobs are queued with the delivery's own, in one step.
#[extension_handler(DeliveryReceived, priority = 100)]
fn route(received: &DeliveryReceived, cx: &Context, routed: Res<Routed>) -> HandlerResult {
    let merged = received.payload.pointer("/pull_request/merged").is_some_and(|merged| merged == true);
    let passed = match (received.event.as_str(), received.action.as_deref()) {
        ("issues", Some("opened")) => cx.fire_sync(IssueOpened::from(received))?.is_success(),
        ("pull_request", Some("closed")) if merged => {
            cx.fire_sync(PullRequestMerged::from(received))?.is_success()
        }
        ("release", Some("published")) => cx.fire_sync(ReleasePublished::from(received))?.is_success(),
        ("push", _) => cx.fire_sync(PushReceived::from(received))?.is_success(),
        _ => return Ok(()),
    };
    routed.0.fetch_add(u64::from(passed), Ordering::Relaxed);
    Ok(())
}

/// Keeps the delivery. A plain function: it waits for a file, so it runs where waiting keeps nothing else from running.
///
/// What fails here is rehearsed and says nothing of the archive; a circuit breaker would hold back all jobs for a minute after five
/// such failures in a row.
#[extension_handler(DeliveryReceived)]
#[circuit_breaker(off)]
#[async_handler(queue = "archive", max_attempts = 5, backoff = fixed("100ms"))]
fn archive(
    received: &DeliveryReceived,
    archive: Res<Archive>,
    rehearsal: Res<Rehearsal>,
    job: &Job,
) -> HandlerResult {
    rehearsal.of(&received.delivery, job)?;
    archive.keep(received)?;
    Ok(())
}

/// Keeps one announcement for each delivery that is worth one. Without a circuit breaker, as [`archive`].
#[circuit_breaker(off)]
#[extension_handler(IssueOpened, name = "announce")]
#[extension_handler(PullRequestMerged, name = "announce")]
#[extension_handler(ReleasePublished, name = "announce")]
#[extension_handler(PushReceived, name = "announce")]
#[async_handler(queue = "announce", max_attempts = 3, backoff = fixed("100ms"), blocking)]
struct Announce {
    #[inject]
    archive: Arc<Archive>,
    #[inject]
    rehearsal: Arc<Rehearsal>,
}

impl<P: News> BlockingHandler<P> for Announce {
    fn handle(&self, news: &P, job: &Job) -> HandlerResult {
        self.rehearsal.of(news.delivery(), job)?;
        self.archive.announce(news.delivery(), P::info().name, &news.text())?;
        Ok(())
    }
}

/// What [`Announce`] needs of a point.
trait News: Queued {
    fn delivery(&self) -> &str;
    fn text(&self) -> String;
}

impl News for IssueOpened {
    fn delivery(&self) -> &str {
        &self.delivery
    }
    fn text(&self) -> String {
        format!("{} opened “{}” in {}", self.by, self.title, self.repository)
    }
}

impl News for PullRequestMerged {
    fn delivery(&self) -> &str {
        &self.delivery
    }
    fn text(&self) -> String {
        format!("{} merged “{}” into {}", self.by, self.title, self.repository)
    }
}

impl News for ReleasePublished {
    fn delivery(&self) -> &str {
        &self.delivery
    }
    fn text(&self) -> String {
        format!("{} {} is out", self.repository, self.tag)
    }
}

impl News for PushReceived {
    fn delivery(&self) -> &str {
        &self.delivery
    }
    fn text(&self) -> String {
        format!("{} pushed to {} of {}", self.by, self.git_ref, self.repository)
    }
}

/// How many nested fires passed.
#[derive(Debug, Default)]
pub(crate) struct Routed(AtomicU64);

impl Routed {
    pub(crate) fn passed(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes handlers slow and unreliable, to see what the framework does about it.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    pub(crate) seed: u64,
    /// The share of deliveries whose first attempts fail.
    pub(crate) fail_rate: f64,
    /// How long each handler takes.
    pub(crate) takes: Duration,
}

impl Rehearsal {
    fn of(&self, delivery: &str, job: &Job) -> Result<(), &'static str> {
        std::thread::sleep(self.takes);
        if job.attempt() == 1 && chance(self.seed, delivery) < self.fail_rate {
            return Err("made to fail by --fail-rate");
        }
        Ok(())
    }
}

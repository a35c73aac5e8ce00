//! Webhook deliveries: checked, routed and announced, by one process or by many.
//!
//! ```text
//! cargo run --release --example webhooks -- deliveries.jsonl
//! ```
//!
//! Each line of the input is a delivery as GitHub sends it: `{"delivery": …, "event": …, "action": …, "payload": …}`. Each is fired
//! once, as `DeliveryReceived`. Inline handlers refuse what nobody sent, and fire a point of its own for what is
//! worth telling; async handlers archive the delivery and announce the news, in this process or in others:
//!
//! ```text
//! webhooks --role work --queue sqlite://jobs.db --archive archive.db --wait 60 &
//! webhooks --role work --queue sqlite://jobs.db --archive archive.db --wait 60 &
//! webhooks --role produce --queue sqlite://jobs.db --archive archive.db deliveries.jsonl
//! ```
//!
//! The queue may as well be a server's, with the feature that brings it:
//!
//! ```text
//! cargo run --release --example webhooks --features postgres,redis -- --queue postgres://app@localhost/app deliveries.jsonl
//! cargo run --release --example webhooks --features postgres,redis -- --queue redis://localhost deliveries.jsonl
//! ```
//!
//! `points` says what can happen, `handlers` what is done about it, `archive` where that is kept, `receive` how deliveries come in.

mod archive;
mod args;
mod handlers;
mod points;
mod receive;

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use examples::Done;
use extensions::prelude::*;
use extensions::queue::QueueStats;
use extensions::worker::StopReason;
use serde::Serialize;

use self::archive::Archive;
use self::args::{Args, Role};
use self::handlers::{Rehearsal, Routed};
use self::receive::{Received, receive};

#[derive(Debug, Default, Serialize)]
struct Summary {
    #[serde(flatten)]
    received: Received,
    #[serde(flatten)]
    done: Done,
    archived: u64,
    announcements: u64,
}

async fn run() -> Result<(), BoxError> {
    let Some(args) = Args::parse()? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let archive = args.archive.clone().unwrap_or_else(|| folder.path().join("archive.db"));
    let archive = Arc::new(Archive::open(&archive).map_err(|error| format!("--archive: {error}"))?);
    let queue = args.queue.clone().unwrap_or_else(|| examples::sqlite_url(&folder.path().join("queue.db")));

    let ext = Extensions::builder()
        .discover()
        .resource(Arc::clone(&archive))
        .resource(Rehearsal { seed: args.seed, fail_rate: args.fail_rate, takes: args.handler_time })
        .resource(Routed::default())
        .queue_url(queue)
        .build()
        .await?;

    if !matches!(args.role, Role::Work) {
        note_leftovers(&ext).await?;
    }
    let (received, done) = match &args.role {
        Role::All(input) => examples::work_while(&ext, receive(&ext, input)).await?,
        Role::Produce(input) => (receive(&ext, input).await, Done::default()),
        Role::Work => (Ok(Received::default()), work(&ext, &args).await?),
    };
    let received = received?;
    let failed = received.failed;
    let (archived, announcements) = archive.count()?;
    examples::print(&Summary { received, done, archived, announcements }, args.json)?;
    if failed > 0 { Err(format!("{failed} deliveries could not be fired").into()) } else { Ok(()) }
}

/// Jobs of an earlier run are done along with those of this one, and counted with them.
async fn note_leftovers(ext: &Extensions) -> Result<(), BoxError> {
    let Some(queue) = ext.queue() else { return Ok(()) };
    let left: u64 = queue.stats().await?.iter().map(QueueStats::unfinished).sum();
    if left > 0 {
        eprintln!(
            "note: {left} jobs of an earlier run are still in the queue; they are worked off and counted too"
        );
    }
    Ok(())
}

/// Works until nothing is left to do; with `--wait`, not before there was something, or the time is over.
async fn work(ext: &Extensions, args: &Args) -> Result<Done, BoxError> {
    let mut done = Done::default();
    if let Some(time) = args.wait {
        let first = ext.worker().lease(args.lease).max_jobs(1).max_time(time).run().await?;
        done += first;
        if first.stopped == StopReason::Asked {
            return Ok(done);
        }
    }
    let worker = ext.worker().lease(args.lease).concurrency(args.concurrency);
    done += worker.stop_when_drained().run().await?;
    Ok(done)
}

#[tokio::main]
async fn main() -> ExitCode {
    examples::finish(run().await)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, done, archived, announcements } = self;
        writeln!(f, "deliveries  {}, {} lines rejected", received.deliveries, received.rejected)?;
        for (event, deliveries) in &received.by_event {
            writeln!(f, "            {deliveries:>4} {event}")?;
        }
        writeln!(
            f,
            "fires       {}, {} vetoed, {} failed",
            received.fired, received.vetoed, received.failed
        )?;
        writeln!(
            f,
            "jobs        {} queued, {} completed, {} retried, {} dead",
            received.queued, done.completed, done.retried, done.dead
        )?;
        write!(f, "archive     {archived} deliveries, {announcements} announcements")
    }
}

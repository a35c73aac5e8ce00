//! Times everything: a layer around each fire, each push and each attempt.
//!
//! ```text
//! cargo run --release -p examples --features tower --example timing
//! ```
//!
//! Orders are fired one after the other, each pushes two jobs, and a worker attempts them; every third payment takes two attempts. In the
//! end a table says how often each was done, and how long it took.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use extensions::BoxFuture;
use extensions::fire::{FireInfo, FireLayer, FireOutcome, NextFire, NextPush, PushLayer};
use extensions::job::NewJob;
use extensions::prelude::*;
use extensions::queue::{Pushed, QueueError};
use extensions::tower::{Layer, Service};
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};

const USAGE: &str = "\
timing [--orders N] [--json]

  --orders N   how many orders are fired (default 100)
  --json       print one JSON object";

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct OrderPlaced {
    order_id: u64,
}

#[extension_handler(OrderPlaced)]
#[async_handler]
async fn send_confirmation() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[extension_handler(OrderPlaced)]
#[async_handler(backoff = fixed(0))]
async fn take_payment(order: &OrderPlaced, job: &Job) -> HandlerResult {
    if order.order_id.is_multiple_of(3) && job.attempt() == 1 {
        Err("the bank is busy".into())
    } else {
        Ok(())
    }
}

/// How often something was done, and how long it took.
#[derive(Debug, Default, Clone, Copy)]
struct Time {
    count: u32,
    total: Duration,
    longest: Duration,
}

/// A layer for fires, pushes and attempts; what it measures is kept by what it was and whose.
#[derive(Debug, Clone, Default)]
struct Timing(Arc<Mutex<BTreeMap<(&'static str, String), Time>>>);

impl Timing {
    async fn of<T>(&self, what: &'static str, name: &str, future: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = future.await;
        let took = started.elapsed();
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let time = times.entry((what, name.to_owned())).or_default();
        *time = Time { count: time.count + 1, total: time.total + took, longest: time.longest.max(took) };
        done
    }
}

impl FireLayer for Timing {
    async fn fire(&self, fire: &FireInfo, next: NextFire<'_>) -> HandlerResult<FireOutcome> {
        self.of("fire", fire.point.name, next.run()).await
    }
}

impl PushLayer for Timing {
    async fn push(&self, jobs: Arc<[NewJob]>, next: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
        let name = format!("{} jobs", jobs.len());
        self.of("push", &name, next.run(jobs)).await
    }
}

impl<S> Layer<S> for Timing {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed { timing: self.clone(), inner }
    }
}

/// Attempts with a clock beside them.
#[derive(Debug, Clone)]
struct Timed<S> {
    timing: Timing,
    inner: S,
}

impl<S> Service<Job> for Timed<S>
where
    S: Service<Job, Response = (), Error = HandlerError, Future: Send + 'static>,
{
    type Response = ();
    type Error = HandlerError;
    type Future = BoxFuture<'static, HandlerResult>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<HandlerResult> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, job: Job) -> Self::Future {
        let (timing, handler) = (self.timing.clone(), job.handler().clone());
        let attempt = self.inner.call(job);
        Box::pin(async move { timing.of("attempt", handler.as_str(), attempt).await })
    }
}

#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    name: String,
    count: u32,
    mean_us: u128,
    longest_us: u128,
}

#[derive(Debug, Serialize)]
struct Table {
    rows: Vec<Row>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {:<32} {:>6} {:>10} {:>12}", "what", "name", "count", "mean µs", "longest µs")?;
        for Row { what, name, count, mean_us, longest_us } in &self.rows {
            write!(f, "\n{what:<8} {name:<32} {count:>6} {mean_us:>10} {longest_us:>12}")?;
        }
        Ok(())
    }
}

async fn run() -> Result<(), BoxError> {
    let (mut json, mut orders) = (false, 100);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("orders") => orders = examples::value(&mut args, "--orders", str::parse)?,
            Long("json") => json = true,
            Long("help") | Short('h') => return examples::help(USAGE).map(|_: Option<()>| ()),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let folder = tempfile::tempdir()?;
    let timing = Timing::default();
    let ext = Extensions::builder()
        .discover()
        .queue_url(examples::sqlite_url(&folder.path().join("jobs.db")))
        .fire_layer(timing.clone())
        .push_layer(timing.clone())
        .attempt_layer(timing.clone())
        .build()
        .await?;
    for order_id in 0..orders {
        ext.fire(OrderPlaced { order_id }).await?;
    }
    ext.worker().stop_when_drained().run().await?;

    let times = timing.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let row = |((what, name), Time { count, total, longest }): ((_, _), Time)| {
        let (mean_us, longest_us) = (total.as_micros() / u128::from(count), longest.as_micros());
        Row { what, name, count, mean_us, longest_us }
    };
    examples::print(&Table { rows: times.into_iter().map(row).collect() }, json)
}

#[tokio::main]
async fn main() -> ExitCode {
    examples::finish(run().await)
}

//! Our side of the cases with a queue, each step in a process of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use extensions::prelude::*;
use extensions::queue::Retention;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::payload::OrderPlaced;
use crate::subject::{Answer, Arguments, Subject};

/// How many fires come before those that count.
const WARM_UP: u64 = 200;
/// How many points one call of the bulk way brings.
const BULK: u64 = 1_000;
/// Producers of `fire 64`.
const PRODUCERS: u64 = 64;
/// Handlers of `fan-out`.
const HANDLERS: u64 = 16;
/// How many jobs a worker at its best setting claims ahead.
const BEST_PREFETCH: usize = 1_000;
/// From one fire of the cases of latency to the next.
const BEAT: Duration = Duration::from_millis(20);
/// What a worker gets to come up, and to come to rest.
const COMES_UP: Duration = Duration::from_millis(1_500);
/// After how long a job that has not come is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);

struct Count(Arc<AtomicU64>);

impl AsyncHandler<OrderPlaced> for Count {
    async fn handle(&self, _: &OrderPlaced, _: &Job) -> HandlerResult {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Notes how long each job took from its fire.
#[derive(Clone, Default)]
struct Clocked(Arc<Mutex<Vec<Duration>>>);

impl AsyncHandler<OrderPlaced> for Clocked {
    async fn handle(&self, point: &OrderPlaced, _: &Job) -> HandlerResult {
        let latency = Duration::from_nanos(nanos().saturating_sub(point.order_id));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(latency);
        Ok(())
    }
}

impl Clocked {
    fn taken(&self) -> Vec<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The time, as two processes of one machine see it.
fn nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// What this process does as a subject.
///
/// # Errors
///
/// If the store does not do what it is asked.
pub async fn subject(arguments: &Arguments) -> Result<Answer, BoxError> {
    match &*arguments.step {
        "fire-1" => fire_1(arguments).await,
        "fire-64" => fire_64(arguments).await,
        "fan-out" => fan_out(arguments).await,
        "bulk" | "fill" => bulk(arguments).await,
        "drain" => drain(arguments).await,
        "latency" => latency(arguments).await,
        "latency-other" => latency_other(arguments).await,
        "latency-worker" => latency_worker(arguments).await,
        step => Err(format!("`{step}` is no step").into()),
    }
}

async fn instance(arguments: &Arguments, handlers: u64) -> Result<(Extensions, Arc<AtomicU64>), BoxError> {
    let count = Arc::new(AtomicU64::new(0));
    let mut builder = Extensions::builder().queue_url(&arguments.url);
    if !arguments.keep && !arguments.defaults {
        builder = builder.retention(Retention { completed: Duration::ZERO, ..Retention::default() });
    }
    for n in 0..handlers {
        let options = AsyncOptions::new().name(format!("count-{n}"));
        builder = builder.register_async::<OrderPlaced, _>(Count(Arc::clone(&count)), options);
    }
    Ok((builder.build().await?, count))
}

async fn fire_1(arguments: &Arguments) -> Result<Answer, BoxError> {
    let (extensions, _) = instance(arguments, 1).await?;
    for n in 0..WARM_UP {
        extensions.fire(OrderPlaced::new(n)).await?;
    }
    let start = Instant::now();
    for n in 0..arguments.jobs {
        extensions.fire(OrderPlaced::new(n)).await?;
    }
    Ok(Answer::rate(arguments.jobs, start))
}

async fn fire_64(arguments: &Arguments) -> Result<Answer, BoxError> {
    let (extensions, _) = instance(arguments, 1).await?;
    for n in 0..WARM_UP {
        extensions.fire(OrderPlaced::new(n)).await?;
    }
    let each = arguments.jobs / PRODUCERS;
    let start = Instant::now();
    let mut producers = JoinSet::new();
    for producer in 0..PRODUCERS {
        let extensions = extensions.clone();
        producers.spawn(async move {
            for n in 0..each {
                extensions.fire(OrderPlaced::new(producer * each + n)).await?;
            }
            Ok::<_, FireError>(())
        });
    }
    while let Some(producer) = producers.join_next().await {
        producer??;
    }
    Ok(Answer::rate(each * PRODUCERS, start))
}

/// In jobs per second.
async fn fan_out(arguments: &Arguments) -> Result<Answer, BoxError> {
    let (extensions, _) = instance(arguments, HANDLERS).await?;
    for n in 0..WARM_UP {
        extensions.fire(OrderPlaced::new(n)).await?;
    }
    let fires = arguments.jobs / HANDLERS;
    let start = Instant::now();
    for n in 0..fires {
        extensions.fire(OrderPlaced::new(n)).await?;
    }
    Ok(Answer::rate(fires * HANDLERS, start))
}

async fn bulk(arguments: &Arguments) -> Result<Answer, BoxError> {
    let (extensions, _) = instance(arguments, 1).await?;
    let start = Instant::now();
    let mut next = 0;
    while next < arguments.jobs {
        let until = arguments.jobs.min(next + BULK);
        let points: Vec<_> = (next..until).map(OrderPlaced::new).collect();
        for fired in extensions.fire_many(points).await {
            fired?;
        }
        next = until;
    }
    Ok(Answer::rate(arguments.jobs, start))
}

async fn drain(arguments: &Arguments) -> Result<Answer, BoxError> {
    let (extensions, count) = instance(arguments, 1).await?;
    let worker = extensions.worker().stop_when_drained();
    let worker = if arguments.defaults { worker } else { worker.prefetch(BEST_PREFETCH) };
    let start = Instant::now();
    let report = worker.run().await?;
    let answer = Answer::rate(count.load(Ordering::Relaxed), start);
    if report.completed != count.load(Ordering::Relaxed) {
        return Err(format!("{report:?} of {count:?} that ran").into());
    }
    Ok(answer)
}

async fn clocked(arguments: &Arguments) -> Result<(Extensions, Clocked), BoxError> {
    let clocked = Clocked::default();
    let builder = Extensions::builder()
        .queue_url(&arguments.url)
        .register_async::<OrderPlaced, _>(clocked.clone(), AsyncOptions::new().name("clocked"));
    Ok((builder.build().await?, clocked))
}

async fn fire_at_a_beat(extensions: &Extensions, jobs: u64) -> Result<(), BoxError> {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..jobs {
        beat.tick().await;
        let point = OrderPlaced { order_id: nanos(), ..OrderPlaced::new(0) };
        extensions.fire(point).await?;
    }
    Ok(())
}

async fn latencies(clocked: &Clocked, jobs: u64) -> Result<Answer, BoxError> {
    let deadline = Instant::now() + PATIENCE;
    while (clocked.taken().len() as u64) < jobs {
        if Instant::now() > deadline {
            return Err(format!("{} of {jobs} jobs arrived", clocked.taken().len()).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Answer::latencies(clocked.taken())
}

async fn latency(arguments: &Arguments) -> Result<Answer, BoxError> {
    let (extensions, clocked) = clocked(arguments).await?;
    let worker = tokio::spawn(extensions.worker().run());
    tokio::time::sleep(COMES_UP).await;
    fire_at_a_beat(&extensions, arguments.jobs).await?;
    let answer = latencies(&clocked, arguments.jobs).await;
    worker.abort();
    answer
}

async fn latency_other(arguments: &Arguments) -> Result<Answer, BoxError> {
    // Made first, so that the other finds it.
    let (extensions, _) = clocked(arguments).await?;
    let other = Subject::own("ours", &["latency-worker"])?.with("url", &arguments.url);
    let other = other.with("jobs", &arguments.jobs);
    let other = tokio::task::spawn_blocking(move || other.run().map_err(|error| error.to_string()));
    tokio::time::sleep(COMES_UP).await;
    fire_at_a_beat(&extensions, arguments.jobs).await?;
    Ok(other.await??)
}

async fn latency_worker(arguments: &Arguments) -> Result<Answer, BoxError> {
    let (extensions, clocked) = clocked(arguments).await?;
    let worker = tokio::spawn(extensions.worker().run());
    tokio::time::sleep(COMES_UP + BEAT * u32::try_from(arguments.jobs)?).await;
    let answer = latencies(&clocked, arguments.jobs).await;
    worker.abort();
    answer
}

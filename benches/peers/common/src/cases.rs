//! The cases, the same for every peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::handler::{begins, handled, note_begins};
use crate::{BoxError, Case, Command, Figures, Order, Peer, Producer};

/// How many jobs a measured call of the case `bulk` brings.
const BULK: u64 = 1_000;
/// How many push at once in the case `fire-64`, and in `fill` where there is no way to push many in one call.
const PRODUCERS: u64 = 64;
/// How many jobs are pushed before the clock starts: connections are open and statements prepared then.
const WARM_UP: u64 = 64;
/// How long a drain may take.
const PATIENCE: Duration = Duration::from_secs(110);
/// How long a worker gets to come up before the first push of the case `latency`.
const STARTS: Duration = Duration::from_millis(1_500);
/// How far apart the pushes of the case `latency` are.
const PACE: Duration = Duration::from_millis(20);
/// How long after the last push a handler may begin and not count as lost.
const TAIL: Duration = Duration::from_secs(10);

/// Runs the case of a command.
///
/// # Errors
///
/// If the peer cannot do it, does not do it in time, or the store does not hold what it should.
pub async fn run<P: Peer>(peer: P, command: &Command) -> Result<Figures, BoxError> {
    let peer = Arc::new(peer);
    let jobs = command.jobs;
    match command.case {
        Case::Fire1 => fire(&*peer, 1, jobs).await,
        Case::Fire64 => fire(&*peer, PRODUCERS, jobs).await,
        Case::Bulk => bulk(&*peer, jobs).await,
        Case::Fill => fill(&*peer, jobs).await,
        Case::Drain => drain(peer, jobs).await,
        Case::Latency => latency(peer, jobs).await,
    }
}

async fn fire<P: Peer>(peer: &P, producers: u64, jobs: u64) -> Result<Figures, BoxError> {
    expect(peer, 0).await?;
    push_each(peer, producers, jobs, WARM_UP).await?;
    let start = Instant::now();
    push_each(peer, producers, 0, jobs).await?;
    let rate = rate(jobs, start.elapsed());
    expect(peer, jobs + WARM_UP).await?;
    Ok(Figures::Value(rate))
}

async fn bulk<P: Peer>(peer: &P, jobs: u64) -> Result<Figures, BoxError> {
    if P::Producer::FILL.is_none() {
        return Err("unsupported: there is no call that pushes many jobs".into());
    }
    expect(peer, 0).await?;
    push_chunks(peer, BULK, jobs, WARM_UP).await?;
    let start = Instant::now();
    push_chunks(peer, BULK, 0, jobs).await?;
    let rate = rate(jobs, start.elapsed());
    expect(peer, jobs + WARM_UP).await?;
    Ok(Figures::Value(rate))
}

async fn fill<P: Peer>(peer: &P, jobs: u64) -> Result<Figures, BoxError> {
    expect(peer, 0).await?;
    let start = Instant::now();
    match P::Producer::FILL {
        Some(chunk) => push_chunks(peer, chunk, 0, jobs).await?,
        None => push_each(peer, PRODUCERS, 0, jobs).await?,
    }
    let rate = rate(jobs, start.elapsed());
    peer.after_fill().await?;
    expect(peer, jobs).await?;
    Ok(Figures::Value(rate))
}

async fn drain<P: Peer>(peer: Arc<P>, jobs: u64) -> Result<Figures, BoxError> {
    expect(&*peer, jobs).await?;
    let start = Instant::now();
    let mut worker = tokio::spawn(Arc::clone(&peer).work());
    // As long as handlers have to run the store is not asked: that would take from the worker.
    while handled() < jobs {
        alive(&mut worker).await?;
        if start.elapsed() > PATIENCE {
            return Err(stalled(jobs, peer.unsettled().await?));
        }
        sleep(Duration::from_millis(2)).await;
    }
    loop {
        let asked = Instant::now();
        let left = peer.unsettled().await?;
        if left == 0 {
            let rate = rate(jobs, asked - start);
            return Ok(Figures::Drained { rate, peak: peak_memory()? });
        }
        alive(&mut worker).await?;
        if start.elapsed() > PATIENCE {
            return Err(stalled(jobs, left));
        }
        sleep(Duration::from_millis(5)).await;
    }
}

async fn latency<P: Peer>(peer: Arc<P>, jobs: u64) -> Result<Figures, BoxError> {
    expect(&*peer, 0).await?;
    note_begins(usize::try_from(jobs)?);
    let mut worker = tokio::spawn(Arc::clone(&peer).work());
    sleep(STARTS).await;
    let pushed = tokio::spawn(paced(peer.producer(), jobs)).await??;
    let last = Instant::now();
    while handled() < jobs && last.elapsed() < TAIL {
        alive(&mut worker).await?;
        sleep(Duration::from_millis(5)).await;
    }
    let begun = pushed.iter().zip(begins()).filter_map(|(pushed, begun)| Some(begun? - *pushed));
    let mut waits: Vec<f64> = begun.map(|wait| wait.as_secs_f64() * 1_000.0).collect();
    waits.sort_by(f64::total_cmp);
    let lost = pushed.len() - waits.len();
    match (percentile(&waits, 50), percentile(&waits, 99)) {
        (Some(p50), Some(p99)) => Ok(Figures::Waits { p50, p99, lost }),
        _ => Err(format!("no handler began within {} s", TAIL.as_secs()).into()),
    }
}

/// Pushes at the pace; says when each push was called.
async fn paced<P: Producer>(mut producer: P, jobs: u64) -> Result<Vec<Instant>, BoxError> {
    let mut pushed = Vec::with_capacity(usize::try_from(jobs)?);
    let mut pace = interval(PACE);
    // After a push that took longer the worker is to be at rest again.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..jobs {
        let order = Order::new(number);
        pace.tick().await;
        pushed.push(Instant::now());
        producer.push(order).await?;
    }
    Ok(pushed)
}

/// Pushes `jobs` orders from the number `first` on, one by one, by so many producers at once.
async fn push_each<P: Peer>(peer: &P, producers: u64, first: u64, jobs: u64) -> Result<(), BoxError> {
    let tasks = (0..producers).map(|own| {
        let mut producer = peer.producer();
        tokio::spawn(async move {
            for number in (own..jobs).step_by(usize::try_from(producers)?) {
                producer.push(Order::new(first + number)).await?;
            }
            Ok::<_, BoxError>(())
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Pushes `jobs` orders from the number `first` on, `chunk` in each call.
async fn push_chunks<P: Peer>(peer: &P, chunk: u64, first: u64, jobs: u64) -> Result<(), BoxError> {
    let mut producer = peer.producer();
    for start in (0..jobs).step_by(usize::try_from(chunk)?) {
        let orders = start..(start + chunk).min(jobs);
        producer.push_many(orders.map(|number| Order::new(first + number)).collect()).await?;
    }
    Ok(())
}

async fn expect<P: Peer>(peer: &P, jobs: u64) -> Result<(), BoxError> {
    match peer.unsettled().await? {
        found if found == jobs => Ok(()),
        found => {
            Err(format!("the store should hold {jobs} jobs that are not settled, and holds {found}").into())
        }
    }
}

/// The error of a worker that ended.
async fn alive(worker: &mut JoinHandle<Result<(), BoxError>>) -> Result<(), BoxError> {
    if !worker.is_finished() {
        return Ok(());
    }
    worker.await??;
    Err("the worker ended by itself".into())
}

fn stalled(jobs: u64, left: u64) -> BoxError {
    let settled = jobs.saturating_sub(left);
    let seconds = PATIENCE.as_secs();
    format!("stalled or too slow: {settled} of {jobs} jobs were settled in {seconds} s").into()
}

#[allow(clippy::cast_precision_loss)]
fn rate(jobs: u64, time: Duration) -> f64 {
    jobs as f64 / time.as_secs_f64()
}

/// The value that `percent` of a hundred are not above.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// The most memory that this process had, in MiB.
fn peak_memory() -> Result<f64, BoxError> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("a resident set")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

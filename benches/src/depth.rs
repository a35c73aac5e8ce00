//! Case `depth`: fires and claims beside many waiting or finished jobs, against the same beside a thousand.
//!
//! Each store keeps its depth: a round fires some jobs and claims as many. The stores take turns.

use std::sync::Arc;
use std::time::Instant;

use extensions::job::ClaimedJob;
use extensions::prelude::*;
use extensions::queue::{ClaimRequest, QueueBackend, Settle, Settlement};
use tests::kit::claim_request;

use crate::payload::OrderPlaced;
use crate::report::Row;
use crate::rounds::Figures;
use crate::stores::Stores;

/// Beside how many waiting jobs the others are measured.
const BASE: usize = 1_000;
/// How many jobs are fired one by one in a round, and how many are claimed.
const FIRES_AND_CLAIMS: (usize, usize) = (10_000, 20_000);
/// How many jobs one claim takes.
const BATCH: usize = 100;
/// How many jobs one push of the filling brings.
const FILL: usize = 5_000;

struct Count;

impl AsyncHandler<OrderPlaced> for Count {
    async fn handle(&self, _: &OrderPlaced, _: &Job) -> HandlerResult {
        Ok(())
    }
}

/// What is in a store besides what a round fires and claims.
#[derive(Clone, Copy)]
enum Depth {
    Waiting(usize),
    Finished(usize),
}

impl Depth {
    fn name(self) -> String {
        match self {
            Self::Waiting(jobs) => format!("{jobs} waiting"),
            Self::Finished(jobs) => format!("{jobs} finished"),
        }
    }
}

/// One store at its depth.
struct Subject {
    depth: Depth,
    extensions: Extensions,
    queue: Arc<dyn QueueBackend>,
    next: u64,
    fires: Vec<f64>,
    claims: Vec<f64>,
}

impl Subject {
    async fn new(url: &str, depth: Depth) -> Result<Self, BoxError> {
        let extensions = Extensions::builder()
            .queue_url(url)
            .register_async::<OrderPlaced, _>(Count, AsyncOptions::new().name("count"))
            .build()
            .await?;
        let queue = extensions.queue().map(Arc::clone).ok_or("an instance with a queue")?;
        let mut subject = Self { depth, extensions, queue, next: 0, fires: vec![], claims: vec![] };
        let (finished, waiting) = match depth {
            Depth::Waiting(jobs) => (0, jobs),
            Depth::Finished(jobs) => (jobs, BASE),
        };
        for _ in 0..finished / FILL {
            subject.push(FILL).await?;
            subject.claim(FILL, true).await?;
        }
        for _ in 0..waiting / FILL.min(waiting) {
            subject.push(FILL.min(waiting)).await?;
        }
        Ok(subject)
    }

    async fn push(&mut self, jobs: usize) -> Result<(), BoxError> {
        let points = (0..jobs).map(|_| {
            self.next += 1;
            OrderPlaced::new(self.next)
        });
        let points: Vec<_> = points.collect();
        for fired in self.extensions.fire_many(points).await {
            fired?;
        }
        Ok(())
    }

    async fn claim(&self, jobs: usize, keep: bool) -> Result<(), BoxError> {
        let request = claim_request("bench.order_placed/count", BATCH);
        let mut left = jobs;
        while left > 0 {
            let request = ClaimRequest { max: BATCH.min(left), ..request.clone() };
            let claimed = self.queue.reserve(request).await?.jobs;
            if claimed.is_empty() {
                return Err(format!("{} jobs were to be claimed and are not there", left).into());
            }
            left -= claimed.len();
            let end =
                |job: &ClaimedJob| Settlement { job: job.id, token: job.token, end: Settle::complete(keep) };
            self.queue.settle(claimed.iter().map(end).collect()).await?;
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.fires.clear();
        self.claims.clear();
    }

    async fn round(&mut self, fires: usize, claims: usize) -> Result<(), BoxError> {
        let start = Instant::now();
        for _ in 0..fires {
            self.next += 1;
            self.extensions.fire(OrderPlaced::new(self.next)).await?;
        }
        self.fires.push(rate(fires, start));
        self.push(claims - fires).await?;
        let start = Instant::now();
        self.claim(claims, false).await?;
        self.claims.push(rate(claims, start));
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss)]
fn rate(jobs: usize, start: Instant) -> f64 {
    jobs as f64 / start.elapsed().as_secs_f64()
}

/// The rows of one backend: fires and claims at each depth, against those beside a thousand waiting jobs. A `share` makes the rounds so many
/// times shorter.
///
/// # Errors
///
/// If a store cannot be had or does not do what it is asked.
pub async fn depth(stores: &Stores, rounds: usize, most: usize, share: usize) -> Result<Vec<Row>, BoxError> {
    let (fires, claims) = (FIRES_AND_CLAIMS.0 / share, FIRES_AND_CLAIMS.1 / share);
    let depths =
        [Depth::Waiting(BASE), Depth::Waiting(most / 10), Depth::Waiting(most), Depth::Finished(most)];
    let mut subjects = Vec::new();
    for depth in depths {
        subjects.push(Subject::new(&stores.fresh_url(), depth).await?);
    }
    let mut rng = fastrand::Rng::with_seed(1);
    let mut turns: Vec<_> = (0..subjects.len()).collect();
    for round in 0..=rounds {
        // In another order each time: the disk may still be busy with what the one before wrote.
        rng.shuffle(&mut turns);
        for turn in &turns {
            subjects[*turn].round(fires, claims).await?;
        }
        if round == 0 {
            // The first is the warm-up.
            subjects.iter_mut().for_each(Subject::forget);
        }
    }
    let goal = stores.depth_goal();
    let (base, others) = subjects.split_first().ok_or("nothing was measured")?;
    let mut rows = Vec::new();
    for subject in others {
        let name = subject.depth.name();
        let fires = (Figures::of(&subject.fires), Figures::of(&base.fires));
        let claims = (Figures::of(&subject.claims), Figures::of(&base.claims));
        let row = |what: &str, unit, (ours, base): &(Figures, Figures)| {
            Row::new(format!("depth {what}, {name}"), ours, unit)
                .on(stores.setting())
                .limit(base)
                .at_least(goal)
        };
        rows.push(row("fire", "fires/s", &fires));
        rows.push(row("claim", "jobs/s", &claims));
    }
    Ok(rows)
}

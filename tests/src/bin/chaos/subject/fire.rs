//! Fires points, and writes down before each fire that it comes and after it what it answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use extensions::job::NewJob;
use extensions::prelude::*;
use extensions::{FireErrorKind, queue::Pushed};
use tests::crash::{Event, FirePlan, LedgerWriter, Orders, Release};
use tokio::sync::mpsc::UnboundedReceiver;

use super::handlers::{Charged, Held, Ordered, Reindexed, Rendered, Stubborn};
use super::releases;
use super::sell::Paid;
use super::wicked::Wicked;

/// How long a fire whose push failed is tried again.
const INSISTS: Duration = Duration::from_secs(60);

/// Fires points of one application.
#[derive(Clone)]
pub(super) struct Firer {
    ext: Extensions,
    ledger: LedgerWriter,
}

pub(super) async fn run(
    ext: Extensions,
    plan: FirePlan,
    orders: &Orders,
    ledger: LedgerWriter,
    mut input: UnboundedReceiver<String>,
) {
    ledger.write(Event::Ready).await;
    let firer = Firer::new(ext, ledger);
    let plan =
        Arc::new(Numbered { plan, next: AtomicU64::new(0), seed: orders.seed, release: orders.release });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..plan.plan.tasks {
        let (plan, firer) = (Arc::clone(&plan), firer.clone());
        tasks.spawn(async move {
            while let Some(number) = plan.next().await {
                firer.fire_numbered(&plan, number).await;
            }
        });
    }
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(ended) => ended.expect("no fire panics"),
                None => return,
            },
            Some(_) = input.recv() => plan.stop(),
        }
    }
}

/// A plan that is being carried out.
struct Numbered {
    plan: FirePlan,
    next: AtomicU64,
    seed: u64,
    release: Release,
}

impl Numbered {
    /// The next fire's number, when it is due.
    async fn next(&self) -> Option<u64> {
        if let Some(pace) = self.plan.pace {
            tokio::time::sleep(Duration::from_micros(1_000_000 * self.plan.tasks / pace.max(1))).await;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.plan.fires).then_some(number)
    }

    fn stop(&self) {
        self.next.store(self.plan.fires, Ordering::Relaxed);
    }
}

impl Firer {
    pub(super) const fn new(ext: Extensions, ledger: LedgerWriter) -> Self {
        Self { ext, ledger }
    }

    /// Fires what the plan, the seed and the number say.
    async fn fire_numbered(&self, Numbered { plan, seed, release, .. }: &Numbered, number: u64) {
        let fire = plan.first + number;
        let mut rng = fastrand::Rng::with_seed(seed ^ fire.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let millis = rng.u64(0..=plan.handler_ms);
        let mix = &plan.mix;
        if plan.pause_at == Some(number) {
            return self.fire(fire, Ordered { fire, millis, failures: 0, pause: true }).await;
        }
        let weights = [
            mix.ordered,
            mix.charged,
            mix.reindexed,
            mix.rendered,
            mix.held,
            mix.stubborn,
            mix.wicked,
            mix.shipment,
            mix.booked,
        ];
        match chosen(&mut rng, &weights) {
            0 => {
                let failures = if rng.f64() < plan.fail_share { rng.u32(1..=2) } else { 0 };
                self.fire(fire, Ordered { fire, millis, failures, pause: false }).await;
            }
            1 => self.fire(fire, Charged { fire }).await,
            2 => {
                let key = format!("key-{}", rng.u64(0..plan.keys));
                self.fire(fire, Reindexed { fire, key, millis }).await;
            }
            3 => self.fire(fire, Rendered { fire, millis }).await,
            4 => self.fire(fire, Held { fire, millis: plan.handler_ms }).await,
            5 => self.fire(fire, Stubborn { fire, millis: plan.handler_ms }).await,
            6 => {
                let how = plan.wicked[usize::try_from(number).unwrap_or(0) % plan.wicked.len()];
                self.fire(fire, Wicked { fire, how }).await;
            }
            7 => match release {
                Release::Old => self.fire(fire, releases::old::Shipment { fire, grams: 1000 }).await,
                Release::New => self.fire(fire, releases::new::Shipment { fire, kilos: 1.0 }).await,
            },
            _ => self.fire(fire, Paid { fire }).await,
        }
    }

    pub(super) async fn fire<P: ExtensionPoint>(&self, fire: u64, point: P) {
        self.ledger.write(Event::Firing { fire, jobs: self.jobs_of::<P>() }).await;
        let event = match self.ext.fire(point).await {
            Ok(fired) => Event::Answered {
                fire,
                queued: fired.queued().iter().map(extensions::fire::QueuedJob::id).collect(),
                duplicates: fired.duplicates().iter().map(extensions::fire::DuplicateJob::of).collect(),
            },
            Err(error) => self.push_again(fire, &error).await,
        };
        self.ledger.write(event).await;
    }

    /// How many jobs a fire makes; none if uniqueness may drop some.
    fn jobs_of<P: ExtensionPoint>(&self) -> Option<usize> {
        let handlers = self.ext.handlers_of::<P>();
        let mut options = handlers.iter().filter_map(|info| info.options.as_ref());
        if options.clone().any(|options| options.unique.is_some()) {
            return None;
        }
        Some(options.by_ref().count())
    }

    /// Pushes the same jobs until that is answered, as an application would that must not lose them.
    async fn push_again(&self, fire: u64, error: &FireError) -> Event {
        if !matches!(error.kind(), FireErrorKind::PushFailed(_)) {
            panic!("fire {fire}: {error}");
        }
        let jobs = Arc::clone(error.unqueued());
        let deadline = Instant::now() + INSISTS;
        while Instant::now() < deadline {
            if let Ok(pushed) = self.ext.push(Arc::clone(&jobs)).await {
                return answered(fire, &jobs, pushed);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Event::Unanswered { fire, why: error.to_string() }
    }
}

fn answered(fire: u64, jobs: &[NewJob], pushed: Vec<Pushed>) -> Event {
    let (mut queued, mut duplicates) = (Vec::new(), Vec::new());
    for (job, pushed) in jobs.iter().zip(pushed) {
        match pushed {
            Pushed::Queued => queued.push(job.id),
            Pushed::Duplicate { of } => duplicates.push(of),
        }
    }
    Event::Answered { fire, queued, duplicates }
}

fn chosen(rng: &mut fastrand::Rng, weights: &[u32]) -> usize {
    let mut drawn = rng.u32(0..weights.iter().sum());
    weights
        .iter()
        .position(|weight| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        })
        .unwrap_or(0)
}

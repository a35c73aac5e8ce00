//! Fires points, and writes down before each fire that it comes and after it what it answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use extensions::prelude::*;
use extensions::{FireErrorKind, queue::Pushed};
use tests::crash::{Event, FirePlan, LedgerWriter, Orders};

use crate::handlers::{Charged, Held, Ordered, Reindexed, Rendered, Stubborn};

/// Fires points of one application.
#[derive(Clone)]
pub(crate) struct Firer {
    ext: Extensions,
    ledger: LedgerWriter,
}

pub(crate) async fn run(ext: Extensions, plan: FirePlan, orders: &Orders, ledger: LedgerWriter) {
    ledger.write(Event::Ready).await;
    let (plan, next, seed) = (Arc::new(plan), Arc::new(AtomicU64::new(0)), orders.seed);
    let firer = Firer::new(ext, ledger);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..plan.tasks {
        let (plan, next, firer) = (Arc::clone(&plan), Arc::clone(&next), firer.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= plan.fires {
                    return;
                }
                firer.fire_numbered(&plan, number, seed).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no fire panics");
    }
}

impl Firer {
    pub(crate) const fn new(ext: Extensions, ledger: LedgerWriter) -> Self {
        Self { ext, ledger }
    }

    /// Fires what the plan, the seed and the number say.
    async fn fire_numbered(&self, plan: &FirePlan, number: u64, seed: u64) {
        let fire = plan.first + number;
        let mut rng = fastrand::Rng::with_seed(seed ^ fire.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let millis = rng.u64(0..=plan.handler_ms);
        let mix = &plan.mix;
        if plan.pause_at == Some(number) {
            return self.fire(fire, Ordered { fire, millis, failures: 0, pause: true }).await;
        }
        let weights = [mix.ordered, mix.charged, mix.reindexed, mix.rendered, mix.held, mix.stubborn];
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
            _ => self.fire(fire, Stubborn { fire, millis: plan.handler_ms }).await,
        }
    }

    pub(crate) async fn fire<P: ExtensionPoint>(&self, fire: u64, point: P) {
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

    async fn push_again(&self, fire: u64, error: &FireError) -> Event {
        if !matches!(error.kind(), FireErrorKind::PushFailed(_)) {
            panic!("fire {fire}: {error}");
        }
        let jobs = Arc::clone(error.unqueued());
        let Ok(pushed) = self.ext.push(Arc::clone(&jobs)).await else {
            return Event::Unanswered { fire, why: error.to_string() };
        };
        let (mut queued, mut duplicates) = (Vec::new(), Vec::new());
        for (job, pushed) in jobs.iter().zip(pushed) {
            match pushed {
                Pushed::Queued => queued.push(job.id),
                Pushed::Duplicate { of } => duplicates.push(of),
            }
        }
        Event::Answered { fire, queued, duplicates }
    }
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

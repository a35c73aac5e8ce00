//! Ends claims: everything that has come together goes to the queue in one call, and a lone settlement goes at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::job::Job;
use super::leases::Leases;
use super::outage::Outage;
use super::report::Counts;
use crate::queue::{QueueBackend, QueueError, Settle, Settled, Settlement};
use crate::telemetry::names::event;

/// The most settlements in one call.
const BATCH: usize = 1_000;
/// How many may be on their way before executors wait for their own.
const MOST_UNDER_WAY: usize = 2 * BATCH;

/// The end of a claim.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) job: Job,
    pub(super) end: Settle,
    /// Whether the lease goes on, for a callback.
    pub(super) keeps_lease: bool,
    /// Whether it is counted as what the job came to.
    pub(super) is_counted: bool,
}

#[derive(Debug)]
struct Settling {
    ending: Ending,
    reply: Option<oneshot::Sender<Settled>>,
}

/// Where executors hand in the ends of claims.
#[derive(Debug, Clone)]
pub(super) struct Settler {
    sender: mpsc::UnboundedSender<Settling>,
    under_way: Arc<AtomicUsize>,
}

impl Settler {
    /// Starts the task; it ends when every sender is gone and everything is settled.
    pub(super) fn start(
        queue: Arc<dyn QueueBackend>,
        leases: Arc<Leases>,
        counts: Arc<Counts>,
        outage: Arc<Outage>,
        under_way: Arc<AtomicUsize>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let ends = Ends { queue, leases, counts, outage, under_way: Arc::clone(&under_way) };
        (Self { sender, under_way }, tokio::spawn(ends.settle_all(receiver)))
    }

    fn send(&self, ending: Ending, reply: Option<oneshot::Sender<Settled>>) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let _ = self.sender.send(Settling { ending, reply });
    }

    /// Settles, and says what became of it once it is stored.
    pub(super) async fn settle(&self, ending: Ending) -> Settled {
        let (reply, answer) = oneshot::channel();
        self.send(ending, Some(reply));
        answer.await.unwrap_or(Settled::LeaseLost)
    }

    /// Settles; nothing is waited for unless too much is on its way.
    pub(super) async fn hand_over(&self, ending: Ending) {
        if self.under_way.load(Ordering::Relaxed) < MOST_UNDER_WAY {
            self.send(ending, None);
        } else {
            self.settle(ending).await;
        }
    }
}

/// What the task works with.
struct Ends {
    queue: Arc<dyn QueueBackend>,
    leases: Arc<Leases>,
    counts: Arc<Counts>,
    outage: Arc<Outage>,
    under_way: Arc<AtomicUsize>,
}

impl Ends {
    async fn settle_all(self, mut receiver: mpsc::UnboundedReceiver<Settling>) {
        let mut batch = Vec::with_capacity(BATCH);
        while receiver.recv_many(&mut batch, BATCH).await > 0 {
            let settlement = |Settling { ending, .. }: &Settling| Settlement {
                job: ending.job.id(),
                token: ending.job.token(),
                end: ending.end.clone(),
            };
            let settled = settle(&*self.queue, &self.outage, batch.iter().map(settlement).collect()).await;
            let ended = batch.iter().zip(&settled);
            let ended = ended.filter(|(settling, settled)| {
                !settling.ending.keeps_lease || **settled == Settled::LeaseLost
            });
            self.leases
                .remove(ended.map(|(Settling { ending, .. }, _)| (ending.job.id(), ending.job.token())));
            self.under_way.fetch_sub(batch.len(), Ordering::Relaxed);
            for (Settling { ending, reply }, settled) in batch.drain(..).zip(settled) {
                self.note(&ending, settled);
                if let Some(reply) = reply {
                    let _ = reply.send(settled);
                }
            }
        }
    }

    fn note(&self, Ending { job, end, is_counted, .. }: &Ending, settled: Settled) {
        if settled == Settled::LeaseLost {
            self.counts.note_lost(job);
            tracing::warn!(name: event::SETTLED_TOO_LATE, job = %job.id(), handler = %job.handler(), "a settlement came too late: the lease was gone");
        } else if *is_counted {
            self.counts.note(job, end);
        }
    }
}

/// Tries until the queue has answered: a settlement is never dropped, at worst its lease is lost meanwhile. What is refused together is
/// tried one by one, so that it ends no other's.
async fn settle(queue: &dyn QueueBackend, outage: &Outage, settlements: Vec<Settlement>) -> Vec<Settled> {
    match answer(queue, outage, settlements.clone()).await {
        Ok(settled) => settled,
        Err(error) if settlements.len() == 1 => vec![refused(&settlements[0], &error)],
        Err(_) => {
            let mut settled = Vec::with_capacity(settlements.len());
            for settlement in settlements {
                match answer(queue, outage, vec![settlement.clone()]).await {
                    Ok(alone) => settled.extend(alone),
                    Err(error) => settled.push(refused(&settlement, &error)),
                }
            }
            settled
        }
    }
}

fn refused(settlement: &Settlement, error: &QueueError) -> Settled {
    tracing::error!(name: event::SETTLEMENT_REFUSED, job = %settlement.job, %error, "a settlement was refused; its lease will end");
    Settled::LeaseLost
}

async fn answer(
    queue: &dyn QueueBackend,
    outage: &Outage,
    settlements: Vec<Settlement>,
) -> Result<Vec<Settled>, QueueError> {
    loop {
        let answer = queue.settle(settlements.clone()).await;
        match &answer {
            Err(error) if error.is_retryable() => outage.wait("settle", error).await,
            _ => {
                outage.works("settle");
                return answer;
            }
        }
    }
}

//! Ends claims: everything that has come together goes to the queue in one call, and a lone settlement goes at once.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::leases::Leases;
use super::outage::Outage;
use crate::job::{JobId, LeaseToken};
use crate::queue::{QueueBackend, QueueError, Settled, Settlement};
use crate::telemetry::names::event;

/// The most settlements in one call.
const BATCH: usize = 1_000;

/// A settlement on its way, with where to say what became of it.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) settlement: Settlement,
    /// Whether the lease goes on, for a callback.
    pub(super) keeps_lease: bool,
    pub(super) reply: oneshot::Sender<Settled>,
}

/// Where executors hand in settlements.
#[derive(Debug, Clone)]
pub(super) struct Settler(mpsc::UnboundedSender<Settling>);

impl Settler {
    /// Starts the task; it ends when every sender is gone and everything is settled.
    pub(super) fn start(
        queue: Arc<dyn QueueBackend>,
        leases: Arc<Leases>,
        outage: Arc<Outage>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), tokio::spawn(run(queue, leases, outage, receiver)))
    }

    /// Settles, and says what became of it once it is stored.
    pub(super) async fn settle(&self, settlement: Settlement, keeps_lease: bool) -> Settled {
        let (reply, answer) = oneshot::channel();
        let _ = self.0.send(Settling { settlement, keeps_lease, reply });
        answer.await.unwrap_or(Settled::LeaseLost)
    }
}

async fn run(
    queue: Arc<dyn QueueBackend>,
    leases: Arc<Leases>,
    outage: Arc<Outage>,
    mut receiver: mpsc::UnboundedReceiver<Settling>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        let settlements: Vec<_> = batch.iter().map(|settling| settling.settlement.clone()).collect();
        let settled = settle(&*queue, &outage, settlements).await;
        leases.remove(ended(&batch, &settled));
        for (settling, settled) in batch.drain(..).zip(settled) {
            let _ = settling.reply.send(settled);
        }
    }
}

fn ended(batch: &[Settling], settled: &[Settled]) -> impl Iterator<Item = (JobId, LeaseToken)> {
    let pairs = batch.iter().zip(settled);
    let over = pairs.filter(|(settling, settled)| !settling.keeps_lease || **settled == Settled::LeaseLost);
    over.map(|(settling, _)| (settling.settlement.job, settling.settlement.token))
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

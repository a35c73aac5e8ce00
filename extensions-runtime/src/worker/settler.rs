//! Ends claims: everything that has come together goes to the queue in one call, and a lone settlement goes at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::heartbeat::Leases;
use crate::job::{JobId, LeaseToken};
use crate::queue::{QueueBackend, Settled, Settlement};

/// The most settlements in one call.
const BATCH: usize = 1_000;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

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
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), tokio::spawn(run(queue, leases, receiver)))
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
    mut receiver: mpsc::UnboundedReceiver<Settling>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        let settlements: Vec<_> = batch.iter().map(|settling| settling.settlement.clone()).collect();
        let settled = settle(&*queue, settlements).await;
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

/// Tries until the queue has answered: a settlement is never dropped, at worst its lease is lost meanwhile.
async fn settle(queue: &dyn QueueBackend, settlements: Vec<Settlement>) -> Vec<Settled> {
    let mut wait = FIRST_WAIT;
    loop {
        match queue.settle(settlements.clone()).await {
            Ok(settled) => return settled,
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, settlements = settlements.len(), "settlements could not be stored; trying again");
                tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(error) => {
                tracing::error!(%error, settlements = settlements.len(), "settlements were refused; their leases will end");
                return vec![Settled::LeaseLost; settlements.len()];
            }
        }
    }
}

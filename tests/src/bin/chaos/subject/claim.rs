//! Claims and settles past the worker, from many tasks at once.

use std::sync::Arc;

use extensions::queue::{ClaimRequest, QueueBackend, Settle, Settled, Settlement, connect};
use tests::crash::{ClaimPlan, Event, LedgerWriter, Orders, Outcome};
use tests::kit::claim_request;
use tokio::sync::mpsc::UnboundedReceiver;

pub(super) async fn run(
    orders: &Orders,
    plan: &ClaimPlan,
    ledger: LedgerWriter,
    mut input: UnboundedReceiver<String>,
) {
    let queue = connect(&orders.queue_url).await.expect("the store opens");
    ledger.write(Event::Ready).await;
    input.recv().await;
    let mut claimers = tokio::task::JoinSet::new();
    for _ in 0..plan.tasks {
        claimers.spawn(claim_all(Arc::clone(&queue), request(plan.batch), ledger.clone()));
    }
    while let Some(ended) = claimers.join_next().await {
        ended.expect("no claimer panics");
    }
}

fn request(max: usize) -> ClaimRequest {
    ClaimRequest { queues: vec!["orders".into()], ..claim_request("Ordered/quick", max) }
}

/// Claims until there is nothing more.
async fn claim_all(queue: Arc<dyn QueueBackend>, request: ClaimRequest, ledger: LedgerWriter) {
    loop {
        let claimed = queue.reserve(request.clone()).await.expect("claims are answered").jobs;
        if claimed.is_empty() {
            return;
        }
        let mut settlements = Vec::with_capacity(claimed.len());
        for job in claimed {
            let run = ledger.new_run();
            let (handler, attempt) = (job.handler.clone(), job.attempt);
            ledger.write(Event::Started { run: run.clone(), job: job.id, handler, attempt }).await;
            ledger.write(Event::Ended { run, outcome: Outcome::Done }).await;
            settlements.push(Settlement { job: job.id, token: job.token, end: Settle::complete(true) });
        }
        let settled = queue.settle(settlements).await.expect("settlements are answered");
        assert!(settled.iter().all(|settled| *settled == Settled::Done), "a claim was lost: {settled:?}");
    }
}

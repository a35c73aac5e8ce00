//! Works until a signal.

use extensions::Extensions;
use tests::crash::{Event, LedgerWriter, WorkPlan};

pub(super) async fn run(ext: Extensions, plan: &WorkPlan, ledger: &LedgerWriter) {
    let worker = ext.worker().concurrency(plan.concurrency).lease(plan.lease).grace(plan.grace);
    let running = tokio::spawn(worker.run());
    ledger.write(Event::Ready).await;
    let report = running.await.expect("the worker does not panic").expect("the worker's options are right");
    let report = serde_json::to_value(report).expect("a report is data");
    ledger.write(Event::Report { report }).await;
}

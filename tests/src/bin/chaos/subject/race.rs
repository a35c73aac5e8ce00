//! Fires one unique key from many tasks at once, key after key.

use std::io::Write;
use std::sync::Arc;

use extensions::Extensions;
use tests::crash::{Event, LedgerWriter, RacePlan};
use tokio::sync::Barrier;
use tokio::sync::mpsc::UnboundedReceiver;

use super::fire::Firer;
use super::handlers::Reindexed;

pub(super) async fn run(
    ext: Extensions,
    plan: &RacePlan,
    ledger: LedgerWriter,
    mut input: UnboundedReceiver<String>,
) {
    ledger.write(Event::Ready).await;
    let firer = Firer::new(ext, ledger);
    let mut fire = plan.first;
    while let Some(key) = input.recv().await {
        let start = Arc::new(Barrier::new(usize::try_from(plan.tasks).unwrap_or(1)));
        let mut firers = tokio::task::JoinSet::new();
        for _ in 0..plan.tasks {
            let (firer, start, key, number) = (firer.clone(), Arc::clone(&start), key.clone(), fire);
            fire += 1;
            firers.spawn(async move {
                start.wait().await;
                firer.fire(number, Reindexed { fire: number, key, millis: 2 }).await;
            });
        }
        while let Some(ended) = firers.join_next().await {
            ended.expect("no fire panics");
        }
        writeln!(std::io::stdout(), "raced {key}").expect("the harness listens");
    }
}

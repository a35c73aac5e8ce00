//! Fires in transactions of the application's own, one after the other, for ever.

use std::time::Duration;

use extensions::prelude::*;
use tests::crash::{Event, LedgerWriter, Orders};
use tests::shop::Shop;

use super::handlers::Ordered;

pub(super) async fn run(ext: Extensions, first: u64, orders: &Orders, ledger: LedgerWriter) {
    let mut shop = Shop::open(&orders.queue_url).await;
    ledger.write(Event::Ready).await;
    let jobs = Some(ext.handlers_of::<Ordered>().iter().filter(|info| info.options.is_some()).count());
    for fire in first.. {
        ledger.write(Event::Firing { fire, jobs }).await;
        // Every other one dawdles, so that many a kill comes between the fire and the commit.
        let dawdles = Duration::from_millis(fire % 2 * 5);
        let order = Ordered { fire, millis: 5, failures: 0, pause: false };
        let fired = shop.sell(&ext, fire, order, tokio::time::sleep(dawdles)).await;
        let fired = fired.expect("the fire is stored in the transaction");
        let queued = fired.queued().iter().map(extensions::fire::QueuedJob::id).collect();
        ledger.write(Event::Answered { fire, queued, duplicates: Vec::new() }).await;
    }
}

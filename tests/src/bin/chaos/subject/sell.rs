//! The application's own transactions: fires within them, and handlers that complete their jobs in them.

use std::time::Duration;

use extensions::prelude::*;
use serde::{Deserialize, Serialize};
use tests::crash::{Event, LedgerWriter, Orders, Outcome};
use tests::shop::Shop;
use tokio::runtime::Handle;

use super::handlers::{Ordered, Running};

/// The URL of the database that is also the queue.
pub(super) struct Database(pub(super) String);

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(super) struct Paid {
    pub(super) fire: u64,
}

/// A row and the job's end in one transaction. Blocking, because rusqlite's connections stay on their thread.
#[extension_handler(Paid)]
#[async_handler(queue = "orders", blocking)]
fn book(paid: &Paid, job: &Job, ledger: Res<LedgerWriter>, database: Res<Database>) -> HandlerResult {
    Handle::current().block_on(async {
        let run = Running::start(&ledger, job).await;
        let mut shop = Shop::open(&database.0).await;
        let ended = async {
            // A moment to be killed in: booked, and neither committed nor completed.
            tokio::time::sleep(Duration::from_millis(2)).await;
            run.end(Outcome::Done).await
        };
        shop.book(paid.fire, job, ended).await
    })
}

/// Fires in transactions, one after the other, for ever.
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

//! What stands in for a warehouse, a mail server and a printer.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use examples::chance;

/// A warehouse that counts.
#[derive(Default)]
pub(crate) struct Warehouse {
    pub(crate) units_sold: AtomicU64,
}

/// A mail server that is busy when it first meets some addresses.
pub(crate) struct Mailer {
    seed: u64,
    met: Mutex<HashSet<String>>,
}

impl Mailer {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, met: Mutex::default() }
    }

    pub(crate) async fn send(&self, to: &str, _text: &str) -> Result<(), std::io::Error> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let first_time = self.met.lock().unwrap_or_else(PoisonError::into_inner).insert(to.to_owned());
        if first_time && chance(self.seed, to) < 0.05 {
            return Err(std::io::Error::other("450 mailbox busy, try again later"));
        }
        Ok(())
    }
}

/// A printer that runs out of paper over some invoices.
pub(crate) struct Printer {
    seed: u64,
}

impl Printer {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// How many attempts fail for this order.
    pub(crate) fn refusals(&self, order_id: u64) -> u32 {
        match chance(self.seed, &format!("invoice {order_id}")) {
            luck if luck < 0.01 => 3,
            luck if luck < 0.04 => 1,
            _ => 0,
        }
    }
}

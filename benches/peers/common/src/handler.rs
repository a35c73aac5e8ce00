//! What every handler does: it counts, and says when it began where somebody wants to know.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

static HANDLED: AtomicU64 = AtomicU64::new(0);
static BEGUN: OnceLock<Box<[OnceLock<Instant>]>> = OnceLock::new();

/// The body of a handler; its call is the handler's first line.
pub fn handle(order_id: u64) {
    if let Some(begun) = BEGUN.get() {
        let now = Instant::now();
        let slot = usize::try_from(order_id).ok().and_then(|id| begun.get(id));
        // A job that runs again has begun before.
        let _ = slot.map(|slot| slot.set(now));
    }
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// How often a handler ran.
pub(crate) fn handled() -> u64 {
    HANDLED.load(Ordering::Relaxed)
}

/// From now on it is noted when the handlers of the first `orders` orders begin.
pub(crate) fn note_begins(orders: usize) {
    let _ = BEGUN.set((0..orders).map(|_| OnceLock::new()).collect());
}

/// When the handler of each order began, if it did.
pub(crate) fn begins() -> Vec<Option<Instant>> {
    BEGUN.get().map(|begun| begun.iter().map(|slot| slot.get().copied()).collect()).unwrap_or_default()
}

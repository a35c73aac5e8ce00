//! A user's binary with the console as its `main`; the tests of the console run it.

use std::process::ExitCode;

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

/// An order was taken.
#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct OrderPlaced {
    id: u64,
}

#[extension_handler(OrderPlaced, priority = 10, tags = ["stock"], group = "warehouse")]
fn reserve(order: &OrderPlaced) -> HandlerResult {
    if order.id == 13 { Err("nobody sells the order 13".into()) } else { Ok(()) }
}

#[extension_handler(OrderPlaced, tags = ["mail"])]
#[async_handler(queue = "emails", retries = 3, backoff_seconds = [10, 30, 60, 300], timeout = "30s", unique)]
async fn confirm(_order: &OrderPlaced) {}

/// Always fails, at once and for good.
#[extension_handler(OrderPlaced)]
#[circuit_breaker(off)]
#[async_handler(queue = "books", retries = 1)]
async fn book(order: &OrderPlaced) -> HandlerResult {
    Err(format!("connection \u{1b}[31mrefused\u{1b}[0m by the ledger\nfor order {}", order.id).into())
}

/// A refund is asked for.
#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible, name = "refund.asked")]
struct RefundAsked {
    cents: u64,
}

#[extension_handler(RefundAsked)]
#[deprecated(since = "2.0", note = "ask the bank")]
fn limit(refund: &RefundAsked) -> Verdict {
    if refund.cents > 10_000 { Verdict::veto("more than 100") } else { Verdict::Continue }
}

/// Nobody listens to it, and it cannot be read.
#[derive(Debug, ExtensionPoint)]
struct DoorOpened;

#[tokio::main]
async fn main() -> ExitCode {
    let mut builder = Extensions::builder().discover();
    if std::env::var_os("OFFICE_IS_WRONG").is_some() {
        builder = builder.rename_point("office::Nowhere", "nowhere");
    }
    extensions::console::run(builder).await
}

//! The shop of the page `operations` of the guide: what an operator of a user's binary meets there. Files in its folder stand for what
//! goes on outside.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

/// An order was taken.
#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct OrderPlaced {
    id: u64,
}

/// Waits while the file `letter-box.shut` is there, as a slow mail server does, and enters the order in `confirmed.log`.
#[extension_handler(OrderPlaced)]
#[async_handler(queue = "emails", retries = 3, timeout = "2m")]
async fn confirm(order: &OrderPlaced) -> HandlerResult {
    while Path::new("letter-box.shut").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    enter("confirmed.log", order)
}

/// Enters the order in `booked.log`, unless the file `ledger.away` is there.
#[extension_handler(OrderPlaced)]
#[circuit_breaker(off)]
#[async_handler(queue = "books", retries = 1)]
async fn book(order: &OrderPlaced) -> HandlerResult {
    if order.id == 13 {
        return Err("order 13 has no customer".into());
    }
    if Path::new("ledger.away").exists() {
        return Err("connection refused by the ledger".into());
    }
    enter("booked.log", order)
}

fn enter(file: &str, order: &OrderPlaced) -> HandlerResult {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(file.write_all(format!("{}\n", order.id).as_bytes())?)
}

#[tokio::main]
async fn main() -> ExitCode {
    extensions::console::run(Extensions::builder().discover()).await
}

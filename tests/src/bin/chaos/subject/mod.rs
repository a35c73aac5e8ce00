//! The process that the crash tests start, kill and freeze: an application with handlers of every kind.
//!
//! Its orders are JSON. It ends when its standard input does, so that it never outlives its harness; a process of a supervisor's pool, whose
//! standard input is the supervisor's, ends with that.

mod claim;
mod fire;
mod handlers;
mod race;
mod releases;
mod sell;
mod supervise;
mod wicked;
mod work;

use std::io::BufRead;
use std::process::ExitCode;

use extensions::Extensions;
use extensions::queue::Retention;
use extensions::time::secs;
use tests::crash::{LedgerWriter, Orders, Role};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Long enough to find every job of a run at its end.
const KEPT: Retention = Retention { completed: secs(86_400), cancelled: secs(86_400), dead: secs(86_400) };

/// Does what its orders say.
pub(crate) async fn run(orders: &str, rest: &[String]) -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let orders: Orders = serde_json::from_str(orders).expect("the orders are JSON");
    if let Role::Pool = orders.role {
        return supervise::work(orders, rest).await;
    }
    let ledger = LedgerWriter::create(&orders.process, &orders.ledger).expect("the ledger can be made");
    let input = input();
    match orders.role.clone() {
        Role::Fire(plan) => fire::run(instance(&orders, &ledger).await, plan, &orders, ledger, input).await,
        Role::Sell { first } => sell::run(instance(&orders, &ledger).await, first, &orders, ledger).await,
        Role::Work(plan) => work::run(instance(&orders, &ledger).await, &plan, &ledger).await,
        Role::Supervise { config } => return supervise::run(config, &ledger).await,
        Role::Pool => {}
        Role::Claim(plan) => claim::run(&orders, &plan, ledger, input).await,
        Role::Race(plan) => race::run(instance(&orders, &ledger).await, &plan, ledger, input).await,
    }
    ExitCode::SUCCESS
}

async fn instance(orders: &Orders, ledger: &LedgerWriter) -> Extensions {
    let builder = Extensions::builder()
        .discover()
        .resource(ledger.clone())
        .resource(sell::Database(orders.queue_url.clone()))
        .queue_url(&orders.queue_url)
        .retention(KEPT)
        // Its handlers fail on purpose, many in a row, which would hold their jobs back.
        .without_circuit_breaker();
    releases::register(builder, orders.release)
        .build()
        .await
        .expect("the subject's handlers and queue are right")
}

/// The lines of standard input; at its end the process ends.
fn input() -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
        std::process::exit(3);
    });
    lines
}

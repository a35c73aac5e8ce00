//! A small shop: what happens at once, what happens later, and what happens when later fails.
//!
//! ```text
//! cargo run --release --example orders
//! ```
//!
//! Every order is put to `BeforeOrderSubmit`, where any handler may refuse it. One that passes is fired as `OrderPlaced`: stock and
//! payment are seen to before `fire` returns, the confirmation and the invoice are queued in the same step. A worker in the
//! same process runs them, and runs them again where a mail server is busy.

mod cli;
mod shop;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

use self::cli::{Args, Summary};
use self::shop::{Mailer, Printer, Warehouse};

/// An order is about to be taken.
#[derive(Debug, ExtensionPoint)]
#[extension_point(interruptible)]
struct BeforeOrderSubmit {
    total_cents: u64,
}

/// An order was taken.
#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct OrderPlaced {
    order_id: u64,
    email: String,
    product: String,
    units: u64,
    total_cents: u64,
    payment: Option<String>,
}

/// A supplier has changed prices or products.
#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, unique_by = supplier)]
struct CatalogChanged {
    supplier: String,
    change: u64,
}

#[extension_handler(BeforeOrderSubmit)]
fn order_limit(order: &BeforeOrderSubmit) -> Verdict {
    if order.total_cents > 1_000_000 { Verdict::veto("over the limit of 10,000") } else { Verdict::Continue }
}

#[extension_handler(OrderPlaced, priority = 10)]
struct UpdateInventory {
    #[inject]
    warehouse: Arc<Warehouse>,
}

impl Handler<OrderPlaced> for UpdateInventory {
    fn handle(&self, order: &mut OrderPlaced, _cx: &Context) -> HandlerResult {
        self.warehouse.units_sold.fetch_add(order.units, Ordering::Relaxed);
        Ok(())
    }
}

#[extension_handler(OrderPlaced, priority = 20)]
struct ProcessPayment;

impl Handler<OrderPlaced> for ProcessPayment {
    fn handle(&self, order: &mut OrderPlaced, _cx: &Context) -> HandlerResult {
        order.payment = Some(format!("pay-{}", order.order_id)); // the queued handlers will see it
        Ok(())
    }
}

#[extension_handler(OrderPlaced)]
#[async_handler(queue = "emails", retries = 3, backoff = exponential("50ms"), timeout = "10s")]
struct SendConfirmation {
    #[inject]
    mailer: Arc<Mailer>,
}

impl AsyncHandler<OrderPlaced> for SendConfirmation {
    async fn handle(&self, order: &OrderPlaced, _job: &Job) -> HandlerResult {
        let payment = order.payment.as_deref().ok_or("the order is not paid")?;
        self.mailer.send(&order.email, &format!("Order {}: paid with {payment}", order.order_id)).await?;
        Ok(())
    }
}

/// Fails at first where the printer is out of paper: waits 50 ms, then 100 ms, then 250 ms each time. What fails is rehearsed for single
/// orders, so it has no circuit breaker, which five such failures in a row would open for a minute.
#[extension_handler(OrderPlaced, name = "GenerateInvoice")]
#[circuit_breaker(off)]
#[async_handler(queue = "documents", max_attempts = 5, backoff_seconds = ["50ms", "100ms", "250ms"])]
async fn generate_invoice(order: &OrderPlaced, printer: Res<Printer>, job: &Job) -> HandlerResult {
    if job.attempt() <= printer.refusals(order.order_id) {
        return Err("the printer is out of paper".into());
    }
    tokio::time::sleep(Duration::from_millis(2)).await;
    Ok(())
}

/// While an import for a supplier is waiting or running, another one is not queued.
#[extension_handler(CatalogChanged)]
#[async_handler(unique = true, timeout = "2m")]
struct ImportProducts;

impl AsyncHandler<CatalogChanged> for ImportProducts {
    async fn handle(&self, _changed: &CatalogChanged, job: &Job) -> HandlerResult {
        for step in 1..=4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            job.progress(f64::from(step) / 4.0, "importing");
        }
        Ok(())
    }
}

async fn take_orders(ext: &Extensions, args: &Args) -> Result<Summary, FireError> {
    let mut summary = Summary { orders: args.orders, ..Summary::default() };
    let mut random = fastrand::Rng::with_seed(args.seed);
    let bar = examples::bar("orders", Some(args.orders));
    for order_id in 1..=args.orders {
        let units = random.u64(1..=5);
        let total_cents = units * random.u64(500..220_000);
        let asked = ext.fire(BeforeOrderSubmit { total_cents }).await?;
        summary.note(&asked);
        if asked.is_success() {
            let email = format!("customer-{order_id}@mail.example");
            let product = format!("product-{}", random.u8(1..=20));
            let order = OrderPlaced { order_id, email, product, units, total_cents, payment: None };
            summary.note(&ext.fire(order).await?);
        }
        if order_id.is_multiple_of(10) {
            let supplier = format!("supplier-{}", random.u8(1..=3));
            summary.note(&ext.fire(CatalogChanged { supplier, change: order_id }).await?);
        }
        bar.inc(1);
    }
    Ok(summary)
}

async fn run() -> Result<(), BoxError> {
    let Some(args) = Args::parse()? else { return Ok(()) };
    let started = Instant::now();
    let folder = tempfile::tempdir()?;
    let db = args.db.clone().unwrap_or_else(|| folder.path().join("orders.db"));
    let warehouse = Arc::new(Warehouse::default());

    let ext = Extensions::builder()
        .discover()
        .resource(Arc::clone(&warehouse))
        .resource(Mailer::new(args.seed))
        .resource(Printer::new(args.seed))
        .queue_url(examples::sqlite_url(&db))
        .build()
        .await?;

    let (taken, done) = examples::work_while(&ext, take_orders(&ext, &args)).await?;
    let summary = Summary {
        done,
        units_sold: warehouse.units_sold.load(Ordering::Relaxed),
        seconds: started.elapsed().as_secs_f64(),
        ..taken?
    };
    examples::print(&summary, args.json)
}

#[tokio::main]
async fn main() -> ExitCode {
    examples::finish(run().await)
}

//! The handlers of the documentation, under the strictest lints.
#![deny(warnings, unused_qualifications, unreachable_pub, missing_debug_implementations, single_use_lifetimes)]
#![forbid(unsafe_code)]

use std::sync::Arc;

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct OrderPlaced {
    order_id: u64,
    email: String,
}

#[derive(Debug, ExtensionPoint)]
#[extension_point(interruptible)]
struct BeforeOrderSubmit {
    total_cents: u64,
}

#[derive(Debug)]
struct Db;
#[derive(Debug)]
struct Mailer;
#[derive(Debug)]
struct PdfRenderer;

impl Mailer {
    async fn send(&self, email: &str) -> Result<(), std::io::Error> {
        std::future::ready(if email.is_empty() { Err(std::io::ErrorKind::InvalidInput.into()) } else { Ok(()) }).await
    }
}

#[extension_handler(OrderPlaced, priority = 10, tags = ["stock"])]
#[derive(Debug)]
struct UpdateInventory;

impl Handler<OrderPlaced> for UpdateInventory {
    fn handle(&self, order: &mut OrderPlaced, _cx: &Context) -> HandlerResult {
        order.order_id += 1;
        Ok(())
    }
}

#[extension_handler(OrderPlaced, priority = 20, awaited)]
#[derive(Debug)]
struct ReserveStock {
    #[inject]
    db: Arc<Db>,
    reserved: std::sync::atomic::AtomicU64,
}

impl AwaitedHandler<OrderPlaced> for ReserveStock {
    async fn handle(&self, order: &mut OrderPlaced, _cx: &Context) -> HandlerResult {
        let _db: &Db = &self.db;
        self.reserved.fetch_add(order.order_id, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

#[extension_handler(OrderPlaced)]
#[async_handler(queue = "emails", delay = 0, retries = 3, backoff = "exponential", backoff_seconds = 10,
                timeout = 120, on_failure = NotifyAdmin, on_retry = LogRetry, unique = true, unique_for = 3600)]
#[derive(Debug)]
struct SendConfirmation {
    #[inject]
    mailer: Arc<Mailer>,
}

impl AsyncHandler<OrderPlaced> for SendConfirmation {
    async fn handle(&self, order: &OrderPlaced, _job: &Job) -> HandlerResult {
        self.mailer.send(&order.email).await?;
        Ok(())
    }
}

#[derive(Debug)]
struct NotifyAdmin;

impl OnFailure<OrderPlaced> for NotifyAdmin {
    async fn on_failure(&self, _order: &OrderPlaced, _error: &JobError, _job: &Job) {}
}

#[derive(Debug)]
struct LogRetry;

impl<P: QueuedPoint> OnRetry<P> for LogRetry {
    async fn on_retry(&self, _point: &P, _error: &JobError, _job: &Job) {}
}

#[extension_handler(BeforeOrderSubmit, priority = 5)]
fn order_limit(order: &mut BeforeOrderSubmit) -> Verdict {
    if order.total_cents > 5_000_000 { Verdict::veto("over the limit") } else { Verdict::Continue }
}

#[extension_handler(OrderPlaced)]
#[async_handler(queue = "documents", max_attempts = 5, backoff_seconds = [10, 30, 60, 300])]
async fn generate_invoice(_order: &OrderPlaced, _pdf: Res<PdfRenderer>, _job: &Job) -> HandlerResult {
    Ok(())
}

// A derive above the attribute sees the fields before `#[inject]` is gone.
#[derive(Debug, Clone)]
#[extension_handler(OrderPlaced)]
struct DerivedFirst {
    #[inject]
    db: Arc<Db>,
    #[inject]
    mailer: Option<Res<Mailer>>,
}

impl Handler<OrderPlaced> for DerivedFirst {
    fn handle(&self, _order: &mut OrderPlaced, _cx: &Context) -> HandlerResult {
        let _ = (&self.db, &self.mailer);
        Ok(())
    }
}

#[extension_handler(OrderPlaced)]
#[derive(Debug)]
struct TupleFields(#[inject] Res<Db>, u64);

impl Handler<OrderPlaced> for TupleFields {
    fn handle(&self, order: &mut OrderPlaced, _cx: &Context) -> HandlerResult {
        let _db: &Db = &self.0;
        order.order_id += self.1;
        Ok(())
    }
}

#[extension_handler(OrderPlaced, with = Self::connect)]
#[derive(Debug)]
enum Connected {
    Yes,
}

impl Connected {
    #[expect(clippy::unnecessary_wraps)]
    fn connect(_resources: &Resources) -> Result<Self, BoxError> {
        Ok(Self::Yes)
    }
}

impl Handler<OrderPlaced> for Connected {
    fn handle(&self, _order: &mut OrderPlaced, _cx: &Context) -> HandlerResult {
        Ok(())
    }
}

#[extension_handler(OrderPlaced, name = "x.one", aliases = ["One", "Uno"], group = "g", priority = -5)]
#[extension_handler(BeforeOrderSubmit, on_unavailable = "allow")]
#[derive(Debug)]
struct Several;

impl Handler<OrderPlaced> for Several {
    fn handle(&self, _order: &mut OrderPlaced, _cx: &Context) -> HandlerResult {
        Ok(())
    }
}

impl Handler<BeforeOrderSubmit> for Several {
    fn handle(&self, _order: &mut BeforeOrderSubmit, _cx: &Context) -> HandlerResult<Verdict> {
        Ok(Verdict::Continue)
    }
}

#[async_handler(blocking, timeout = "none", queue = "slow")]
#[extension_handler(OrderPlaced)]
#[derive(Debug)]
struct Blocking;

impl BlockingHandler<OrderPlaced> for Blocking {
    fn handle(&self, _order: &OrderPlaced, _job: &Job) -> HandlerResult {
        Ok(())
    }
}

#[async_handler(queue = "crm", retries = 5)]
#[derive(Debug)]
struct ByHand;

impl AsyncHandler<OrderPlaced> for ByHand {
    async fn handle(&self, _order: &OrderPlaced, _job: &Job) -> HandlerResult {
        Ok(())
    }
}

declare_handler!(OrderPlaced => "render_elsewhere", queue = "documents", max_attempts = 5, tags = ["pdf"], unique,
                 backoff = exponential("10s", max = "1h", jitter = 0.1));

fn main() {
    // A handler that is a function stays one.
    assert!(matches!(order_limit(&mut BeforeOrderSubmit { total_cents: 1 }), Verdict::Continue));
    drop(ByHand);
}

//! The thin path: attribute, registry, fire, queue, worker, settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use extensions::prelude::*;
use extensions::queue::{Memory, QueueBackend, Sqlite};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct OrderPlaced {
    order_id: u64,
    email: String,
    seen: Vec<String>,
}

#[derive(Default)]
struct Sent(AtomicU64);

#[extension_handler(OrderPlaced, priority = 20)]
struct ReserveStock;
impl Handler<OrderPlaced> for ReserveStock {
    fn handle(&self, order: &mut OrderPlaced, _cx: &Context) -> HandlerResult {
        order.seen.push("reserve".into());
        Ok(())
    }
}

#[extension_handler(OrderPlaced, priority = 10)]
fn check_stock(order: &mut OrderPlaced) {
    order.seen.push("check".into());
}

#[extension_handler(OrderPlaced)]
#[async_handler(queue = "emails", retries = 3, backoff = fixed(1))]
struct SendConfirmation {
    #[inject]
    sent: Arc<Sent>,
}
impl AsyncHandler<OrderPlaced> for SendConfirmation {
    async fn handle(&self, order: &OrderPlaced, job: &Job) -> HandlerResult {
        assert_eq!(order.seen, ["check", "reserve"]);
        if job.attempt() == 1 {
            return Err("the mail server is away".into());
        }
        self.sent.0.fetch_add(order.order_id, Ordering::Relaxed);
        Ok(())
    }
}

#[extension_handler(OrderPlaced)]
#[async_handler(queue = "documents", max_attempts = 5, backoff_seconds = [10, 30, 60, 300])]
async fn generate_invoice(order: &OrderPlaced, sent: Res<Sent>, job: &Job) -> HandlerResult {
    assert_eq!(job.queue(), &"documents");
    sent.0.fetch_add(order.order_id * 100, Ordering::Relaxed);
    Ok(())
}

async fn walk(queue: impl QueueBackend) {
    let sent = Arc::new(Sent::default());
    let ext =
        Extensions::builder().discover().resource(Arc::clone(&sent)).queue(queue).build().await.unwrap();
    let fired = ext.fire(OrderPlaced { order_id: 7, email: "a@b.c".into(), seen: vec![] }).await.unwrap();
    assert!(fired.is_success());
    assert_eq!(fired.point().seen, ["check", "reserve"]);
    assert_eq!(fired.queued().len(), 2);
    let report = ext.worker().stop_when_drained().run_until(std::future::pending()).await.unwrap();
    assert_eq!((report.completed, report.retried, report.dead), (2, 1, 0), "{report:?}");
    assert_eq!(sent.0.load(Ordering::Relaxed), 707);
}

#[tokio::test]
async fn an_attribute_becomes_a_settled_job_in_memory() {
    walk(Memory::new()).await;
}

#[tokio::test]
async fn an_attribute_becomes_a_settled_job_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    walk(Sqlite::open(folder.path().join("jobs.db")).await.unwrap()).await;
}

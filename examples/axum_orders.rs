//! A shop over HTTP: `POST /orders` answers at once; mail, invoice and payment are done by workers in the same process.
//!
//! ```text
//! cargo run --release -p examples --features axum --example axum_orders
//! curl -i localhost:3000/orders --json '{"email": "ann@mail.example", "total_cents": 1999}'
//! curl localhost:3000/orders/1
//! ```
//!
//! The answer is 202 with the order's number and its jobs; an order over 10,000.00 is vetoed, which is 422. Ctrl-C or SIGTERM end it in
//! order: the server answers what it was asked, then the worker finishes what it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{FromRef, Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use extensions::axum::{Ext, HttpError, RequestScope};
use extensions::prelude::*;
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const USAGE: &str = "\
axum_orders [--listen ADDRESS] [--json]

  --listen ADDRESS   where the shop is (default 127.0.0.1:3000; port 0 takes a free one)
  --json             print one JSON object at the end";

/// An order, as customers send it and as it is queued.
#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct OrderPlaced {
    #[serde(default)]
    order_id: u64,
    email: String,
    total_cents: u64,
}

#[extension_handler(OrderPlaced, priority = 10)]
fn credit_limit(order: &mut OrderPlaced) -> Verdict {
    if order.total_cents > 1_000_000 { Verdict::veto("orders end at 10,000.00") } else { Verdict::Continue }
}

/// The orders, and what was done for each. A real shop has a database.
#[derive(Debug, Default)]
struct Shop {
    last_number: AtomicU64,
    orders: Mutex<BTreeMap<u64, Vec<&'static str>>>,
}

impl Shop {
    fn orders(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<&'static str>>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes it once: a job may run twice.
    fn note(&self, order: &OrderPlaced, what: &'static str) {
        let mut orders = self.orders();
        let done = orders.entry(order.order_id).or_default();
        if !done.contains(&what) {
            done.push(what);
        }
    }
}

#[extension_handler(OrderPlaced)]
#[async_handler(queue = "mail", retries = 5)]
async fn send_confirmation(order: &OrderPlaced, shop: Res<Shop>) {
    tokio::time::sleep(Duration::from_millis(20)).await;
    shop.note(order, "mail");
}

#[extension_handler(OrderPlaced)]
#[async_handler(queue = "documents", blocking)]
fn write_invoice(order: &OrderPlaced, shop: Res<Shop>) {
    std::thread::sleep(Duration::from_millis(50));
    shop.note(order, "invoice");
}

/// The bank is busy at first for every third order.
#[extension_handler(OrderPlaced)]
#[async_handler(queue = "payments", backoff = fixed("1s"))]
async fn take_payment(order: &OrderPlaced, shop: Res<Shop>, job: &Job) -> HandlerResult {
    if order.order_id.is_multiple_of(3) && job.attempt() == 1 {
        return Err("the bank is busy".into());
    }
    shop.note(order, "payment");
    Ok(())
}

#[derive(Debug, Clone)]
struct App {
    ext: Extensions,
    shop: Arc<Shop>,
}

impl FromRef<App> for Extensions {
    fn from_ref(app: &App) -> Self {
        app.ext.clone()
    }
}

async fn place(
    Ext(ext): Ext,
    State(app): State<App>,
    Json(mut order): Json<OrderPlaced>,
) -> Result<impl IntoResponse, HttpError> {
    order.order_id = app.shop.last_number.fetch_add(1, Ordering::Relaxed) + 1;
    let fired = ext.fire(order).await?.into_result()?;
    let order_id = fired.point().order_id;
    app.shop.orders().entry(order_id).or_default();
    let jobs = fired.queued().iter().map(extensions::fire::QueuedJob::id).collect::<Vec<_>>();
    let location = [(LOCATION, format!("/orders/{order_id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(json!({ "order_id": order_id, "jobs": jobs }))))
}

async fn show(State(app): State<App>, Path(order_id): Path<u64>) -> impl IntoResponse {
    match app.shop.orders().get(&order_id) {
        Some(done) => Ok(Json(json!({ "order_id": order_id, "done": done }))),
        None => Err(StatusCode::NOT_FOUND),
    }
}

/// Ends with Ctrl-C or SIGTERM.
async fn told_to_stop() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).expect("a handler of SIGTERM").recv().await
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

#[derive(Debug, Serialize)]
struct Summary {
    orders: usize,
    completed: u64,
    retried: u64,
    dead: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { orders, completed, retried, dead } = self;
        write!(f, "{orders} orders; jobs: {completed} completed, {retried} retried, {dead} dead")
    }
}

async fn run() -> Result<(), BoxError> {
    let (mut json, mut address) = (false, SocketAddr::from(([127, 0, 0, 1], 3000)));
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("listen") => address = examples::value(&mut args, "--listen", str::parse)?,
            Long("json") => json = true,
            Long("help") | Short('h') => return examples::help(USAGE).map(|_: Option<()>| ()),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let folder = tempfile::tempdir()?; // a real shop keeps its queue
    let shop = Arc::new(Shop::default());
    let ext = Extensions::builder()
        .discover()
        .resource(Arc::clone(&shop))
        .queue_url(examples::sqlite_url(&folder.path().join("jobs.db")))
        .build()
        .await?;
    let router = Router::new()
        .route("/orders", post(place))
        .route("/orders/{order_id}", get(show))
        .layer(RequestScope::new(ext.clone()))
        .with_state(App { ext: ext.clone(), shop: Arc::clone(&shop) });
    let listener = TcpListener::bind(address).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);

    // The worker is told to stop when the server has ended, however it did.
    let (serving, served) = oneshot::channel::<()>();
    let serve = async {
        let ended = axum::serve(listener, router).with_graceful_shutdown(told_to_stop()).await;
        drop(serving);
        ended
    };
    let worker = ext.worker().queues(["payments", "mail", "documents"]);
    let (served, worked) = tokio::join!(serve, worker.run_until(async { drop(served.await) }));
    served?;
    let WorkerReport { completed, retried, dead, .. } = worked?;
    let orders = shop.orders().len();
    examples::print(&Summary { orders, completed, retried, dead }, json)
}

#[tokio::main]
async fn main() -> ExitCode {
    examples::finish(run().await)
}

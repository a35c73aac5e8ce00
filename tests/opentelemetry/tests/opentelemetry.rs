//! Issue 5, done-when 4: a fire and all that its jobs do are one trace, by OpenTelemetry's own SDK. The same in two processes is a test of
//! the example `opentelemetry`.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use extensions::job::{HandlerKey, WorkerId};
use extensions::prelude::*;
use extensions::queue::{
    ClaimRequest, KnownHandler, Memory, QueueBackend, Settle, Settled, Settlement, TakeLost,
};
use opentelemetry::trace::{SpanId, TraceId, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use serde::{Deserialize, Serialize};
use tracing::Instrument;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

/// The spans that were exported.
#[derive(Debug, Clone, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(spans);
        Ok(())
    }
}

impl Exported {
    fn all(&self, name: &str) -> Vec<SpanData> {
        self.0.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
    }

    /// The only span of this name.
    fn one(&self, name: &str) -> SpanData {
        let mut found = self.all(name);
        assert_eq!(found.len(), 1, "{name}: {:#?}", self.0.lock().unwrap());
        found.remove(0)
    }

    fn traces(&self) -> Vec<TraceId> {
        let mut traces: Vec<_> = self.0.lock().unwrap().iter().map(trace).collect();
        traces.sort_by_key(|trace| trace.to_bytes());
        traces.dedup();
        traces
    }
}

fn trace(span: &SpanData) -> TraceId {
    span.span_context.trace_id()
}

fn id(span: &SpanData) -> SpanId {
    span.span_context.span_id()
}

/// Exports the spans of this thread from a level on, beside a layer that sees all of them.
fn export(from: LevelFilter) -> (Exported, DefaultGuard) {
    let exported = Exported::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exported.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test")).with_filter(from);
    let sees_all = tracing_subscriber::layer::Identity::new().with_filter(LevelFilter::TRACE);
    (exported, tracing::subscriber::set_default(Registry::default().with(layer).with(sees_all)))
}

#[derive(Debug, Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Order {
    fails: bool,
    goes_on: bool,
}

#[extension_handler(Order)]
#[async_handler(retries = 2, backoff = "fixed", backoff_seconds = 1, on_retry = Told, on_failure = Told)]
async fn deliver(order: &Order, job: &Job) -> HandlerResult {
    async {}.instrument(tracing::info_span!("inside")).await;
    if order.goes_on {
        job.fire(Order::default()).await?;
    }
    if order.fails { Err("no road".into()) } else { Ok(()) }
}

#[derive(Default)]
struct Told;

impl OnRetry<Order> for Told {
    async fn on_retry(&self, _: &Order, _: &JobError, _: &Job) {}
}

impl OnFailure<Order> for Told {
    async fn on_failure(&self, _: &Order, _: &JobError, _: &Job) {}
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Parcel;

#[extension_handler(Parcel)]
#[async_handler(blocking)]
fn pack() {
    tracing::info_span!("inside").in_scope(|| {});
}

async fn shop() -> Extensions {
    shop_on(Arc::new(Memory::new()), Extensions::builder().opentelemetry()).await
}

async fn shop_on(queue: Arc<dyn QueueBackend>, builder: extensions::ExtensionsBuilder) -> Extensions {
    builder.discover().shared_queue(queue).build().await.unwrap()
}

async fn work(ext: &Extensions) {
    let worker = ext.worker().stop_when_drained().run_until(pending());
    tokio::time::timeout(Duration::from_secs(30), worker).await.unwrap().unwrap();
}

/// Fires within a span of the application's.
async fn request(ext: &Extensions, order: Order) {
    ext.fire(order).instrument(tracing::info_span!("request")).await.unwrap();
}

#[tokio::test]
async fn an_attempt_is_a_child_of_the_fire_that_made_its_job() {
    let (exported, _guard) = export(LevelFilter::DEBUG);
    let ext = shop().await;
    request(&ext, Order::default()).await;
    work(&ext).await;
    let (fire, attempt) = (exported.one("fire"), exported.one("attempt"));
    assert_eq!(fire.parent_span_id, id(&exported.one("request")));
    assert_eq!(exported.one("push").parent_span_id, id(&fire));
    assert_eq!(attempt.parent_span_id, id(&fire));
    assert!(attempt.parent_span_is_remote);
    assert_eq!(exported.one("inside").parent_span_id, id(&attempt));
    assert_eq!(exported.traces().len(), 1);
}

#[tokio::test]
async fn where_fires_are_not_exported_the_attempt_is_a_child_of_the_span_around() {
    let (exported, _guard) = export(LevelFilter::INFO);
    let ext = shop().await;
    request(&ext, Order::default()).await;
    work(&ext).await;
    assert_eq!(exported.one("attempt").parent_span_id, id(&exported.one("request")));
    assert_eq!(exported.traces().len(), 1);
}

#[tokio::test]
async fn retries_and_callbacks_stay_in_the_trace() {
    let (exported, _guard) = export(LevelFilter::DEBUG);
    let ext = shop().await;
    request(&ext, Order { fails: true, ..Order::default() }).await;
    work(&ext).await;
    let (fire, attempts, callbacks) =
        (exported.one("fire"), exported.all("attempt"), exported.all("callback"));
    assert_eq!(attempts.iter().map(|attempt| attempt.parent_span_id).collect::<Vec<_>>(), [id(&fire); 2]);
    let parents: Vec<_> = callbacks.iter().map(|callback| callback.parent_span_id).collect();
    assert_eq!(parents, attempts.iter().map(id).collect::<Vec<_>>(), "each runs within its attempt");
    assert_eq!(exported.traces().len(), 1);
}

#[tokio::test]
async fn follow_ups_go_on_with_the_trace() {
    let (exported, _guard) = export(LevelFilter::DEBUG);
    let ext = shop().await;
    request(&ext, Order { goes_on: true, ..Order::default() }).await;
    work(&ext).await;
    let (fires, attempts) = (exported.all("fire"), exported.all("attempt"));
    assert_eq!((fires.len(), attempts.len()), (2, 2));
    assert_eq!(fires[1].parent_span_id, id(&attempts[0]));
    assert_eq!(attempts[1].parent_span_id, id(&fires[1]));
    assert_eq!(exported.traces().len(), 1);
}

#[tokio::test]
async fn a_callback_that_another_worker_owes_is_a_child_of_the_fire() {
    let (exported, _guard) = export(LevelFilter::DEBUG);
    let queue: Arc<dyn QueueBackend> = Arc::new(Memory::new());
    let ext = shop_on(Arc::clone(&queue), Extensions::builder().opentelemetry()).await;
    request(&ext, Order::default()).await;
    let gone = WorkerId::new();
    let claim = ClaimRequest {
        worker: gone,
        queues: vec!["default".into()],
        handlers: vec![KnownHandler { handler: HandlerKey::new("Order", "deliver"), max_version: 1 }].into(),
        max: 1,
        lease: Duration::from_secs(30),
        lost: TakeLost::All,
    };
    let job = queue.reserve(claim).await.unwrap().jobs.remove(0);
    let error = extensions::job::AttemptError {
        attempt: 1,
        at: job.enqueued_at,
        kind: extensions::job::ErrorKind::Failed,
        message: "no road".to_owned(),
        worker: Some(gone),
        took: None,
    };
    let end = Settle::Bury { error, owe_on_failure: true };
    let settled = queue.settle(vec![Settlement { job: job.id, token: job.token, end }]).await.unwrap();
    assert_eq!(settled, [Settled::Done]);
    queue.leave(gone).await.unwrap();
    let owed = async {
        while exported.all("callback").is_empty() {
            work(&ext).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), owed).await.unwrap();
    assert_eq!(exported.one("callback").parent_span_id, id(&exported.one("fire")));
    assert_eq!(exported.all("attempt").len(), 0);
}

#[tokio::test]
async fn a_blocking_handler_is_within_its_attempt_on_its_own_thread() {
    let (exported, _guard) = export(LevelFilter::DEBUG);
    let ext = shop().await;
    ext.fire(Parcel).await.unwrap();
    work(&ext).await;
    let (fire, attempt) = (exported.one("fire"), exported.one("attempt"));
    assert_eq!(fire.parent_span_id, SpanId::INVALID);
    assert_eq!(attempt.parent_span_id, id(&fire));
}

#[tokio::test]
async fn what_is_no_traceparent_begins_a_trace_of_its_own() {
    let (exported, _guard) = export(LevelFilter::DEBUG);
    let garbage = || Some("00-zz-\u{0}-\u{1F980}".to_owned());
    let builder = Extensions::builder().opentelemetry().traceparent(garbage);
    let ext = shop_on(Arc::new(Memory::new()), builder).await;
    request(&ext, Order::default()).await;
    work(&ext).await;
    let attempt = exported.one("attempt");
    assert_eq!(attempt.parent_span_id, SpanId::INVALID);
    assert_eq!(exported.traces().len(), 2);
}

#[tokio::test]
async fn what_the_fires_side_did_not_sample_is_not_sampled_by_the_worker() {
    let (exported, _guard) = export(LevelFilter::DEBUG);
    let unsampled = || Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".to_owned());
    let builder = Extensions::builder().opentelemetry().traceparent(unsampled);
    let ext = shop_on(Arc::new(Memory::new()), builder).await;
    request(&ext, Order::default()).await;
    work(&ext).await;
    assert_eq!(exported.all("attempt").len(), 0);
    assert_eq!(exported.all("fire").len(), 1);
}

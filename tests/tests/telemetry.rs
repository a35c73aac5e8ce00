//! Product 12, as far as it goes here: spans of fires, handlers and attempts, and the warnings that users can act on.

use std::fmt::Write as _;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use extensions::prelude::*;
use extensions::queue::Memory;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context as LayerContext, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// Writes down every span as `outer > inner{fields}` and every event as `LEVEL fields`.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn with(&self, part: &str) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|line| line.contains(part)).cloned().collect()
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: LayerContext<'_, S>) {
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        let scope: Vec<_> = cx.span_scope(id).into_iter().flatten().map(|span| span.name()).collect();
        let path: Vec<_> = scope.into_iter().rev().collect();
        self.0.lock().unwrap().push(format!("{}{}", path.join(" > "), fields.0));
    }

    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(format!("{}{}", event.metadata().level(), fields.0));
    }
}

#[derive(Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Observed {
    text: String,
    slow_ms: u64,
}

#[extension_handler(Observed, priority = 1)]
fn inner_fire(point: &mut Observed, cx: &Context) -> HandlerResult {
    if point.slow_ms == 0 {
        cx.fire_sync(Nested)?;
    }
    std::thread::sleep(Duration::from_millis(point.slow_ms));
    Ok(())
}

#[extension_handler(Observed, priority = 2)]
async fn waits(point: &mut Observed) {
    tokio::time::sleep(Duration::from_millis(point.slow_ms)).await;
}

#[derive(ExtensionPoint)]
struct Nested;

#[extension_handler(Nested)]
#[deprecated(note = "nobody needs it")]
fn nested_handler(_: &mut Nested) {}

#[extension_handler(Observed)]
#[async_handler]
async fn later(point: &Observed) {
    tokio::time::sleep(Duration::from_millis(point.slow_ms)).await;
}

async fn observed(builder: extensions::ExtensionsBuilder) -> Extensions {
    builder.discover().queue(Memory::new()).build().await.unwrap()
}

fn watch() -> (Seen, tracing::subscriber::DefaultGuard) {
    let seen = Seen::default();
    let guard = tracing::subscriber::set_default(Registry::default().with(seen.clone()));
    (seen, guard)
}

#[tokio::test]
async fn spans_show_the_fire_its_handlers_and_the_attempts_with_their_trace() {
    let (seen, _guard) = watch();
    let trace = || Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    let ext = observed(Extensions::builder().traceparent(trace)).await;
    ext.fire(Observed::default()).await.unwrap();
    ext.worker().stop_when_drained().run_until(pending()).await.unwrap();
    for span in [
        "fire point=\"Observed\"",
        "fire > handler name=\"inner_fire\"",
        "fire > handler > fire point=\"Nested\" depth=1",
        "fire > handler > fire > handler name=\"nested_handler\"",
        "fire > handler name=\"waits\"",
    ] {
        assert_eq!(seen.with(span).len(), 1, "{span}: {:#?}", seen.0.lock().unwrap());
    }
    let attempt = seen.with("attempt job=").remove(0);
    assert!(attempt.contains("handler=Observed/later queue=default attempt=1"), "{attempt}");
    assert!(attempt.contains("traceparent=\"00-4bf92f35"), "{attempt}");
}

#[tokio::test]
async fn deprecated_handlers_are_named_in_one_warning_at_start_up() {
    let (seen, _guard) = watch();
    observed(Extensions::builder()).await;
    let warnings = seen.with("deprecated handlers");
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("WARN") && warnings[0].contains("Nested/nested_handler (nobody needs it)"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_large_payload_is_warned_about_once() {
    let (seen, _guard) = watch();
    let ext = observed(Extensions::builder()).await;
    for size in [60_000, 70_000, 80_000] {
        ext.fire(Observed { text: "x".repeat(size), slow_ms: 0 }).await.unwrap();
    }
    let warnings = seen.with("large payload");
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("point=\"Observed\"") && warnings[0].contains("size=70023"), "{warnings:?}");
}

#[tokio::test]
async fn slow_awaited_handlers_and_jobs_are_always_warned_about_and_plain_ones_while_profiling() {
    for profiling in [false, true] {
        let (seen, _guard) = watch();
        let ext =
            observed(Extensions::builder().profiling(profiling).slow_threshold(Duration::from_millis(20)))
                .await;
        ext.fire(Observed { text: String::new(), slow_ms: 25 }).await.unwrap();
        ext.worker().stop_when_drained().run_until(pending()).await.unwrap();
        let slow = seen.with("slow inline handler");
        assert_eq!(slow.iter().filter(|line| line.contains("\"waits\"")).count(), 1, "{slow:?}");
        assert_eq!(
            slow.iter().filter(|line| line.contains("\"inner_fire\"")).count(),
            usize::from(profiling),
            "{slow:?}"
        );
        assert_eq!(seen.with("slow handler; said once").len(), 1);
    }
}

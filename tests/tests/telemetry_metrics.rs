//! Product 12: what happens to jobs shows as metrics, under the documented names and no others.

use std::collections::BTreeSet;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use extensions::job::QueueName;
use extensions::prelude::*;
use extensions::queue::{Link, Memory, QueueBackend};
use extensions::telemetry::names::{EVENTS, METRICS, MetricKind, MetricScope, SPANS};
use extensions::telemetry::{Prometheus, QueueGauges, merge, without_gauges};
use extensions::testing::FaultyQueue;
use serde::{Deserialize, Serialize};
use tests::kit::{in_time, until};
use tokio::sync::Semaphore;

#[derive(Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Order {
    id: u64,
    fails: bool,
    vetoed: bool,
}

const ORDER: Order = Order { id: 7, fails: false, vetoed: false };

#[extension_handler(Order)]
fn credit(order: &mut Order) -> Verdict {
    if order.vetoed { Verdict::veto("no credit") } else { Verdict::Continue }
}

#[extension_handler(Order)]
#[async_handler(queue = "mail", retries = 2, backoff_seconds = 1, unique = true)]
async fn mail(order: &Order) -> HandlerResult {
    if order.fails { Err("no mail".into()) } else { Ok(()) }
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Held;

#[extension_handler(Held)]
#[async_handler(queue = "held")]
async fn hold(_: &Held, job: &Job) -> HandlerResult {
    let gate = job.resource::<Semaphore>().expect("the gate");
    gate.acquire().await?.forget();
    Ok(())
}

#[derive(ExtensionPoint)]
struct Timed;

async fn shop(queue: Arc<dyn QueueBackend>, gate: Arc<Semaphore>) -> Extensions {
    let builder = Extensions::builder().discover().resource(gate).shared_queue(queue);
    builder.without_circuit_breaker().build().await.unwrap()
}

/// The value of a line of the text, by name and labels.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// That each of these lines is worth so much more in the later text.
fn assert_grown(before: &str, after: &str, lines: &[(&str, f64)]) {
    for (series, more) in lines {
        let grown = value(after, series).unwrap_or_default() - value(before, series).unwrap_or_default();
        assert_eq!(grown, *more, "{series}\n{after}");
    }
}

/// The tests of this file share one recorder: each has queues and handlers of its own to look at, or what no other counts.
#[tokio::test]
async fn a_jobs_life_shows_from_its_fire_to_its_end() {
    let prometheus = Prometheus::install().unwrap();
    let queue: Arc<dyn QueueBackend> = Arc::new(Memory::new());
    let gauges = QueueGauges::new(Arc::clone(&queue));
    let ext = shop(Arc::clone(&queue), Arc::new(Semaphore::new(0))).await;
    let before = prometheus.render();
    ext.fire(ORDER).await.unwrap();
    assert_eq!(ext.fire(ORDER).await.unwrap().duplicates().len(), 1);
    ext.fire(Order { id: 8, fails: true, ..ORDER }).await.unwrap();
    ext.fire(Order { vetoed: true, ..ORDER }).await.unwrap();
    let waiting = prometheus.scrape(&gauges).await;
    for (series, shown) in [
        ("extensions_queue_jobs{queue=\"mail\",state=\"available\"}", 2.0),
        ("extensions_queue_jobs{queue=\"mail\",state=\"dead\"}", 0.0),
        ("extensions_queue_workers{queue=\"mail\"}", 0.0),
        ("extensions_queue_unserved{queue=\"mail\"}", 1.0),
        ("extensions_queue_paused{queue=\"mail\"}", 0.0),
    ] {
        assert_eq!(value(&waiting, series), Some(shown), "{series}\n{waiting}");
    }
    let worker = ext.worker().stop_when_drained();
    in_time("the worker ends", worker.run_until(pending())).await.unwrap();
    gauges.read().await.unwrap();
    let after = prometheus.render();
    assert_grown(
        &before,
        &after,
        &[
            ("extensions_fires_total{point=\"Order\",outcome=\"succeeded\"}", 3.0),
            ("extensions_fires_total{point=\"Order\",outcome=\"vetoed\"}", 1.0),
            ("extensions_jobs_queued_total{handler=\"Order/mail\",queue=\"mail\"}", 2.0),
            ("extensions_jobs_duplicate_total{handler=\"Order/mail\",queue=\"mail\"}", 1.0),
            ("extensions_attempts_total{handler=\"Order/mail\",queue=\"mail\",outcome=\"completed\"}", 1.0),
            ("extensions_attempts_total{handler=\"Order/mail\",queue=\"mail\",outcome=\"retried\"}", 1.0),
            ("extensions_attempts_total{handler=\"Order/mail\",queue=\"mail\",outcome=\"dead\"}", 1.0),
            ("extensions_jobs_dead_total{handler=\"Order/mail\",queue=\"mail\"}", 1.0),
            ("extensions_attempt_seconds_count{handler=\"Order/mail\",queue=\"mail\"}", 3.0),
            ("extensions_job_wait_seconds_count{handler=\"Order/mail\",queue=\"mail\"}", 2.0),
        ],
    );
    for (series, shown) in [
        ("extensions_queue_jobs{queue=\"mail\",state=\"available\"}", 0.0),
        ("extensions_queue_jobs{queue=\"mail\",state=\"dead\"}", 1.0),
        ("extensions_queue_jobs{queue=\"mail\",state=\"completed\"}", 1.0),
        ("extensions_queue_unserved{queue=\"mail\"}", 0.0),
        ("extensions_store_up{store=\"memory\"}", 1.0),
    ] {
        assert_eq!(value(&after, series), Some(shown), "{series}\n{after}");
    }
}

#[tokio::test]
async fn a_worker_shows_its_slots_while_it_lives_and_those_that_are_taken() {
    let prometheus = Prometheus::install().unwrap();
    let queue: Arc<dyn QueueBackend> = Arc::new(Memory::new());
    let (gauges, gate) = (QueueGauges::new(Arc::clone(&queue)), Arc::new(Semaphore::new(0)));
    let ext = shop(queue, Arc::clone(&gate)).await;
    ext.fire(Held).await.unwrap();
    let worker = ext.worker().queues(["held"]).concurrency(4711).stop_when_drained();
    let running = tokio::spawn(worker.run_until(pending()));
    let taken = until("a slot is taken", async || {
        gauges.read().await.unwrap();
        let text = prometheus.render();
        (value(&text, "extensions_queue_jobs{queue=\"held\",state=\"running\"}") == Some(1.0)).then_some(text)
    })
    .await;
    assert!(value(&taken, "extensions_worker_slots") >= Some(4711.0), "{taken}");
    assert!(value(&taken, "extensions_worker_busy") >= Some(1.0), "{taken}");
    assert_eq!(value(&taken, "extensions_queue_workers{queue=\"held\"}"), Some(1.0), "{taken}");
    let dead = "extensions_jobs_dead_total{handler=\"Held/hold\",queue=\"held\"}";
    assert_eq!(value(&taken, dead), Some(0.0), "the first one will show as an increase");
    gate.add_permits(1);
    in_time("the worker ends", running).await.unwrap().unwrap();
    assert!(value(&prometheus.render(), "extensions_worker_slots") < Some(4711.0));
}

#[tokio::test]
async fn queues_show_pauses_and_their_end_and_the_store_that_it_is_away() {
    let prometheus = Prometheus::install().unwrap();
    let faulty = FaultyQueue::new(Memory::new());
    let queue: Arc<dyn QueueBackend> = Arc::new(faulty.clone());
    let gauges = QueueGauges::new(Arc::clone(&queue));
    let lane = QueueName::from("lane");
    queue.pause(lane.clone()).await.unwrap();
    gauges.read().await.unwrap();
    let up = format!("extensions_store_up{{store=\"{}\"}}", queue.describe());
    assert_eq!(value(&prometheus.render(), "extensions_queue_paused{queue=\"lane\"}"), Some(1.0));
    assert_eq!(value(&prometheus.render(), &up), Some(1.0));
    queue.resume(lane).await.unwrap();
    gauges.read().await.unwrap();
    assert_eq!(value(&prometheus.render(), "extensions_queue_paused{queue=\"lane\"}"), Some(0.0));
    faulty.disconnect();
    gauges.read().await.unwrap_err();
    assert_eq!(value(&prometheus.render(), &up), Some(0.0));
}

#[tokio::test]
async fn a_store_that_does_not_answer_does_not_keep_a_scraper_waiting() {
    let prometheus = Prometheus::install().unwrap();
    let faulty = FaultyQueue::new(Memory::new());
    let gauges = QueueGauges::new(Arc::new(faulty.clone()));
    faulty.delay(Duration::from_secs(600));
    let scraping = async { tokio::join!(prometheus.scrape(&gauges), prometheus.scrape(&gauges)) };
    let (one, other) = tokio::time::timeout(Duration::from_secs(30), scraping).await.unwrap();
    assert!(one.contains("extensions_store_up") && other.contains("extensions_store_up"));
}

#[tokio::test]
async fn breakers_and_lost_connections_show() {
    let prometheus = Prometheus::install().unwrap();
    let ext = Extensions::builder().build().await.unwrap();
    let breaker = ext.circuit_breaker("payments.example");
    breaker.open();
    let text = prometheus.render();
    assert_eq!(value(&text, "extensions_breaker_state{breaker=\"payments.example\"}"), Some(2.0), "{text}");
    breaker.close();
    let text = prometheus.render();
    assert_eq!(value(&text, "extensions_breaker_state{breaker=\"payments.example\"}"), Some(0.0), "{text}");
    let opened = "extensions_breaker_changes_total{breaker=\"payments.example\",state=\"open\"}";
    assert_eq!(value(&text, opened), Some(1.0), "{text}");
    let link = Link::new("a store of this test");
    link.lost(&"gone");
    link.lost(&"still gone");
    let losses = "extensions_connection_losses_total{store=\"a store of this test\"}";
    assert_eq!(value(&prometheus.render(), losses), Some(1.0));
}

#[tokio::test]
async fn plain_inline_fires_are_counted_and_timed_only_while_profiling() {
    let prometheus = Prometheus::install().unwrap();
    for (profiling, counted) in [(false, None), (true, Some(1.0))] {
        let builder = Extensions::builder().profiling(profiling);
        let ext = builder.register_fn::<Timed>("quick", |_, _| Ok(()), HandlerOptions::new());
        ext.build().await.unwrap().fire(Timed).await.unwrap();
        let text = prometheus.render();
        for series in [
            "extensions_fires_total{point=\"Timed\",outcome=\"succeeded\"}",
            "extensions_handler_seconds_count{point=\"Timed\",handler=\"quick\"}",
        ] {
            assert_eq!(value(&text, series), counted, "{series}\n{text}");
        }
    }
}

#[tokio::test]
async fn no_metric_has_other_labels_or_another_kind_than_the_table_says() {
    let prometheus = Prometheus::install().unwrap();
    let ext = shop(Arc::new(Memory::new()), Arc::new(Semaphore::new(0))).await;
    ext.fire(ORDER).await.unwrap();
    in_time("the worker ends", ext.worker().stop_when_drained().run_until(pending())).await.unwrap();
    let text = prometheus.render();
    let ours = |line: &&str| line.starts_with("extensions_") || line.starts_with("# TYPE extensions_");
    for line in text.lines().filter(ours) {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(METRICS.iter().any(|metric| metric.name == name && word(metric.kind) == kind), "{line}");
            continue;
        }
        let name = line.split(['{', ' ']).next().unwrap();
        let is_it = |name: &str| METRICS.iter().find(|metric| metric.name == name);
        let parts = ["", "_bucket", "_sum", "_count"];
        let metric =
            parts.iter().find_map(|part| is_it(name.strip_suffix(part)?)).unwrap_or_else(|| panic!("{line}"));
        let labels = line.split('{').nth(1).unwrap_or_default().split("\",");
        let labels =
            labels.filter_map(|label| Some(label.split_once("=\"")?.0)).filter(|label| *label != "le");
        assert_eq!(labels.collect::<Vec<_>>(), metric.labels, "{line}");
    }
    assert_eq!(merge([&text, &without_gauges(&merge::<&str>([]))]), merge([&text]));
}

const fn word(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
        _ => "a kind that this test does not know",
    }
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/telemetry.md");
    std::fs::read_to_string(path).unwrap()
}

/// The rows of the table whose head's first cell is `head`.
fn rows(document: &str, head: &str) -> Vec<Vec<String>> {
    let cells =
        |line: &str| line.trim_matches(['|', ' ']).split(" | ").map(|cell| cell.trim().to_owned()).collect();
    let lines = document.lines().skip_while(|line| !line.starts_with(&format!("| {head} |"))).skip(2);
    lines.take_while(|line| line.starts_with('|')).map(cells).collect()
}

fn words(list: &str) -> Vec<String> {
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_table_of_metrics_is_that_of_the_code() {
    let documented: Vec<_> = rows(&document(), "metric")
        .into_iter()
        .map(|row| (words(&row[0]).concat(), row[1].clone(), words(&row[2]), row[3].clone()))
        .collect();
    let own = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>();
    let declared: Vec<_> = METRICS
        .iter()
        .map(|metric| {
            let whose = if metric.scope == MetricScope::Store { ", store" } else { "" };
            let kind = format!("{}{whose}", word(metric.kind));
            (metric.name.to_owned(), kind, own(metric.labels), metric.about.to_owned())
        })
        .collect();
    assert_eq!(documented, declared);
}

#[test]
fn the_table_of_spans_is_that_of_the_code() {
    let documented: Vec<_> = rows(&document(), "span")
        .into_iter()
        .map(|row| (words(&row[0]).concat(), row[1].clone(), words(&row[2])))
        .collect();
    let own = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
    let declared: Vec<_> = SPANS
        .iter()
        .map(|(name, level, fields)| ((*name).to_owned(), (*level).to_owned(), own(fields)))
        .collect();
    assert_eq!(documented, declared);
}

#[test]
fn the_table_of_events_is_that_of_the_code_and_every_event_has_its_name() {
    let documented: Vec<_> = rows(&document(), "event")
        .into_iter()
        .map(|row| (words(&row[0]).remove(0), row[1].clone(), row[2].clone()))
        .collect();
    let own = |(name, level, about): &(&str, &str, &str)| {
        ((*name).to_owned(), (*level).to_owned(), (*about).to_owned())
    };
    assert_eq!(documented, EVENTS.iter().map(own).collect::<Vec<_>>());
    let names: BTreeSet<_> = EVENTS.iter().map(|(name, ..)| name).collect();
    assert_eq!(names.len(), EVENTS.len(), "no two have the same");
    let (mut calls, mut named) = (0, BTreeSet::new());
    for (file, text) in sources() {
        for call in ["tracing::info!(", "tracing::warn!(", "tracing::error!("] {
            for (at, _) in text.match_indices(call) {
                let name = text[at + call.len()..].trim_start().strip_prefix("name: event::");
                let name = name.unwrap_or_else(|| {
                    panic!("{file}: an event without a name of `telemetry/names.rs`: {call}")
                });
                named.insert(name.split(',').next().unwrap().to_owned());
                calls += 1;
            }
        }
    }
    assert_eq!((named.len(), calls), (EVENTS.len(), EVENTS.len()), "each name stands for one event");
}

/// The runtime's sources, without the suite for authors of backends.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../extensions-runtime/src")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.ends_with("conformance") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn names_are_unique_and_say_their_unit() {
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len());
    for metric in METRICS {
        assert_eq!(metric.kind == MetricKind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        let is_time = metric.unit == extensions::telemetry::names::MetricUnit::Seconds;
        assert_eq!(is_time, metric.name.ends_with("_seconds"), "{}", metric.name);
    }
}

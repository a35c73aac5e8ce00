//! Keeps what the `metrics` facade is told, and shows it as Prometheus reads it.
//!
//! A recorder of its own and not `metrics-exporter-prometheus`: that keeps every value of a histogram until somebody renders or calls its
//! upkeep, and brings some fifteen crates, three of them in a second version. Here a histogram is its buckets, and no thread is needed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use metrics::atomics::AtomicU64;
use metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use super::QueueGauges;
use super::names::{METRICS, MetricKind, event};
use super::text::{head, identifier, labels, sample};

/// The upper bounds of the buckets of every histogram, in seconds.
const BOUNDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

/// How many sets of labels one metric may have. More are not kept: names made at run time must not fill the memory.
const MOST_SERIES: usize = 2_000;

static INSTALLED: OnceLock<Option<Prometheus>> = OnceLock::new();

/// The recorder of this process, and its figures as Prometheus reads them. Cheap to clone; all clones are the same.
///
/// It keeps whatever the `metrics` facade is told, the application's own metrics too. Histograms have 16 buckets from 5 ms to 1 h. A metric
/// keeps 2,000 sets of labels; one that has more is named in a warning, once.
#[derive(Clone)]
pub struct Prometheus(Arc<Kept>);

/// That another recorder of the `metrics` facade is installed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "another recorder of the `metrics` facade is installed already; install this one first, or let that one render"
)]
pub struct RecorderTaken;

impl Prometheus {
    /// Installs the recorder for the whole process, where that was not done yet.
    ///
    /// # Errors
    ///
    /// [`RecorderTaken`] where another kind of recorder is installed. The framework's metrics go to that one then.
    pub fn install() -> Result<Self, RecorderTaken> {
        // Whoever comes meanwhile waits for the answer.
        let installed = INSTALLED.get_or_init(|| {
            let new = Self(Arc::default());
            for metric in METRICS {
                new.0.describe(metric.name, metric.about.into());
            }
            metrics::set_global_recorder(new.clone()).is_ok().then_some(new)
        });
        installed.clone().ok_or(RecorderTaken)
    }

    /// All figures as text (format 0.0.4).
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Asks for the figures of the queues, where they are not fresh, and gives all as text. Where the store does not answer in time, the
    /// rest is given, and `extensions_store_up` is 0.
    pub async fn scrape(&self, queues: &QueueGauges) -> String {
        queues.refresh().await;
        self.render()
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").finish_non_exhaustive()
    }
}

/// One kind of metrics: by name, then by labels.
struct Series<T>(RwLock<BTreeMap<String, Labelled<T>>>);

type Labelled<T> = HashMap<Key, Arc<T>>;

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T: Default> Series<T> {
    /// The value of a key, made where there is none; none where there are too many.
    fn get(&self, key: &Key, too_many: impl FnOnce()) -> Option<Arc<T>> {
        if let Some(value) = read(&self.0).get(key.name()).and_then(|labelled| labelled.get(key)) {
            return Some(Arc::clone(value));
        }
        let mut all = write(&self.0);
        let labelled = all.entry(key.name().to_owned()).or_default();
        if labelled.len() >= MOST_SERIES && !labelled.contains_key(key) {
            drop(all);
            too_many();
            return None;
        }
        Some(Arc::clone(labelled.entry(key.to_retained()).or_default()))
    }
}

#[derive(Default)]
struct Kept {
    counters: Series<AtomicU64>,
    gauges: Series<AtomicU64>,
    histograms: Series<Buckets>,
    about: RwLock<HashMap<String, SharedString>>,
    warned: AtomicBool,
}

impl Kept {
    fn describe(&self, name: &str, about: SharedString) {
        write(&self.about).insert(name.to_owned(), about);
    }

    fn warn(&self, key: &Key) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                name: event::TOO_MANY_LABELS,
                metric = key.name(),
                "more than {MOST_SERIES} sets of labels: the rest is not counted; does a label hold ids?"
            );
        }
    }

    fn render(&self) -> String {
        let mut text = String::new();
        self.family(&mut text, &self.counters, MetricKind::Counter, |text, name, labels, value| {
            // A counter beyond 2^53 is shown to the nearest number that a float can say, as Prometheus keeps it.
            sample(text, name, labels, value.load(Ordering::Relaxed) as f64);
        });
        self.family(&mut text, &self.gauges, MetricKind::Gauge, |text, name, labels, value| {
            sample(text, name, labels, f64::from_bits(value.load(Ordering::Relaxed)));
        });
        self.family(&mut text, &self.histograms, MetricKind::Histogram, |text, name, labels, value| {
            value.render(text, name, labels);
        });
        text
    }

    fn family<T>(
        &self,
        text: &mut String,
        series: &Series<T>,
        kind: MetricKind,
        each: impl Fn(&mut String, &str, &str, &T),
    ) {
        for (name, labelled) in &*read(&series.0) {
            let about = read(&self.about).get(name).cloned();
            let name = identifier(name, true);
            head(text, &name, kind, about.as_deref());
            let in_text = |key: &Key| labels(key.labels().map(|label| (label.key(), label.value())));
            let sorted: BTreeMap<_, _> = labelled.iter().map(|(key, value)| (in_text(key), value)).collect();
            for (labels, value) in sorted {
                each(text, &name, &labels, value);
            }
        }
    }
}

impl Recorder for Prometheus {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, about: SharedString) {
        self.0.describe(name.as_str(), about);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, about: SharedString) {
        self.0.describe(name.as_str(), about);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, about: SharedString) {
        self.0.describe(name.as_str(), about);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let kept = self.0.counters.get(key, || self.0.warn(key));
        kept.map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let kept = self.0.gauges.get(key, || self.0.warn(key));
        kept.map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let kept = self.0.histograms.get(key, || self.0.warn(key));
        kept.map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

/// A histogram: how many values fell between one bound and the next, and their sum.
#[derive(Default)]
struct Buckets {
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        let place = BOUNDS.iter().position(|bound| value <= *bound).unwrap_or(BOUNDS.len());
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        GaugeFn::increment(&self.sum, value);
    }
}

impl Buckets {
    fn render(&self, text: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let mut total = 0;
        for (bound, count) in bounds.zip(&self.counts) {
            total += count.load(Ordering::Relaxed);
            sample(text, &format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), total as f64);
        }
        sample(text, &format!("{name}_sum"), labels, f64::from_bits(self.sum.load(Ordering::Relaxed)));
        sample(text, &format!("{name}_count"), labels, total as f64);
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics::{counter, gauge, histogram, with_local_recorder};

    use super::{MOST_SERIES, Prometheus};
    use crate::telemetry::merge;

    #[test]
    fn what_the_facade_is_told_shows_in_the_text() {
        let prometheus = Prometheus(Arc::default());
        with_local_recorder(&prometheus, || {
            counter!("orders.total", "by" => "a \"b\"\n").increment(2);
            gauge!("open").set(1.5);
            gauge!("open").decrement(0.5);
            for value in [0.001, 0.005, 0.006, 4000.0] {
                histogram!("took").record(value);
            }
        });
        let text = prometheus.render();
        for line in [
            "# TYPE orders_total counter",
            "orders_total{by=\"a \\\"b\\\"\\n\"} 2",
            "open 1",
            "# TYPE took histogram",
            "took_bucket{le=\"0.005\"} 2",
            "took_bucket{le=\"0.01\"} 3",
            "took_bucket{le=\"3600\"} 3",
            "took_bucket{le=\"+Inf\"} 4",
            "took_sum 4000.012",
            "took_count 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(merge([&text]).lines().count(), text.lines().count(), "its own reader understands it");
    }

    #[test]
    fn a_label_with_ids_does_not_fill_the_memory() {
        let prometheus = Prometheus(Arc::default());
        with_local_recorder(&prometheus, || {
            for id in 0..MOST_SERIES + 500 {
                counter!("by_id", "id" => id.to_string()).increment(1);
            }
            counter!("by_id", "id" => "0").increment(1);
        });
        let text = prometheus.render();
        assert_eq!(text.matches("by_id{").count(), MOST_SERIES);
        assert!(text.contains("by_id{id=\"0\"} 2"), "what is kept goes on to count");
    }
}

//! What is seen of a supervisor from outside its loop: by probes and scrapers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::message::ToProcess;
use super::store::Store;
use crate::telemetry::{Endpoints, Health, Prometheus, merge, without_gauges};

/// The longest that the loop rests, by far.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// How long a scrape waits for the processes. Those that do not answer count with what they said last.
const PATIENCE: Duration = Duration::from_secs(2);

/// A pool as probes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolView {
    pub(super) name: String,
    pub(super) wanted: usize,
    pub(super) ready: usize,
}

/// How a process is asked for its metrics.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) orders: UnboundedSender<ToProcess>,
    pub(super) metrics: watch::Receiver<String>,
}

/// What the loop shows.
#[derive(Debug)]
pub(super) struct Board {
    prometheus: Option<Prometheus>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    turned: Instant,
    pools: Vec<PoolView>,
    stopping: bool,
    lines: Vec<Line>,
    /// What processes counted that are no more.
    past: String,
    store: Arc<Store>,
}

impl Board {
    pub(super) fn new(prometheus: Option<Prometheus>, store: Arc<Store>) -> Arc<Self> {
        let seen = Seen {
            turned: Instant::now(),
            pools: Vec::new(),
            stopping: false,
            lines: Vec::new(),
            past: String::new(),
            store,
        };
        Arc::new(Self { prometheus, seen: Mutex::new(seen) })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop has turned.
    pub(super) fn turned(&self, pools: Vec<PoolView>, stopping: bool) {
        let mut seen = self.seen();
        (seen.turned, seen.pools, seen.stopping) = (Instant::now(), pools, stopping);
    }

    /// The processes are others now.
    pub(super) fn show_lines(&self, lines: Vec<Line>) {
        self.seen().lines = lines;
    }

    /// The store is another now.
    pub(super) fn show_store(&self, store: Arc<Store>) {
        self.seen().store = store;
    }

    /// A process that counted this is no more; without it the sums would fall.
    pub(super) fn bury(&self, metrics: &str) {
        let mut seen = self.seen();
        seen.past = merge([&seen.past, &without_gauges(metrics)]);
    }

    fn live(&self) -> Health {
        let rest = self.seen().turned.elapsed();
        Health::well().unless(rest < LONGEST_REST, format!("the supervisor has done nothing for {rest:.0?}"))
    }

    fn ready(&self) -> Health {
        let seen = self.seen();
        let health = Health::well().unless(!seen.stopping, "the supervisor is ending");
        seen.pools.iter().fold(health, |health, PoolView { name, wanted, ready }| {
            health.unless(ready >= wanted, format!("pool `{name}`: {ready} of {wanted} processes are ready"))
        })
    }

    /// Its own figures, those of its processes and those of the store, as one text.
    async fn scrape(self: Arc<Self>) -> String {
        let (mut lines, past, store) = {
            let seen = self.seen();
            (seen.lines.clone(), seen.past.clone(), Arc::clone(&seen.store))
        };
        for line in &mut lines {
            line.metrics.mark_unchanged();
            let _ = line.orders.send(ToProcess::Metrics);
        }
        let own = self.own(&store).await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for line in &mut lines {
            let _ = tokio::time::timeout_at(deadline, line.metrics.changed()).await;
        }
        let theirs = lines.iter().map(|line| line.metrics.borrow().clone());
        merge([own, past].into_iter().chain(theirs))
    }

    async fn own(&self, store: &Store) -> String {
        let Some(prometheus) = &self.prometheus else { return String::new() };
        match store.gauges().await {
            Some(gauges) => prometheus.scrape(gauges).await,
            None => prometheus.render(),
        }
    }

    pub(super) fn endpoints(self: &Arc<Self>) -> Endpoints {
        let [live, ready, metrics] = [self, self, self].map(Arc::clone);
        Endpoints::new()
            .live(move || live.live())
            .ready(move || ready.ready())
            .metrics(move || Arc::clone(&metrics).scrape())
    }
}

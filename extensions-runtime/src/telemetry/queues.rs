//! The figures of a store's queues, read when somebody wants to see them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::names;
use super::record::{Value, show};
use crate::job::{JobState, QueueName};
use crate::queue::{QueueBackend, QueueError, QueueStats};

/// How old the figures may be that are shown again: many scrapers ask the store no more than one.
const FRESH: Duration = Duration::from_secs(1);
/// How long a scrape waits for the store.
const PATIENCE: Duration = Duration::from_secs(3);

/// Depth, oldest wait, pauses and workers of a store's queues as gauges of the `metrics` facade, whichever recorder is installed.
///
/// They are the store's and not a process's: [`merge`](super::merge) takes them once.
#[derive(Debug)]
pub struct QueueGauges {
    queue: Arc<dyn QueueBackend>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    read_at: Option<Instant>,
    /// The queues that were shown, so that one that is gone shows as empty.
    shown: BTreeSet<QueueName>,
}

impl QueueGauges {
    /// Those of a store.
    #[must_use]
    pub fn new(queue: Arc<dyn QueueBackend>) -> Self {
        Self { queue, state: Mutex::default() }
    }

    /// Reads the figures and sets the gauges.
    ///
    /// # Errors
    ///
    /// Those of the store; the gauges stay as they are then, and `extensions_store_up` is 0.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has set all gauges or none.
    pub async fn read(&self) -> Result<(), QueueError> {
        self.read_into(&mut *self.state.lock().await).await
    }

    /// Reads the figures unless they are fresh, and waits no longer than a scraper does.
    pub(super) async fn refresh(&self) {
        let reading = async {
            let mut state = self.state.lock().await;
            if state.read_at.is_none_or(|at| at.elapsed() >= FRESH) {
                // The gauge tells of the error.
                let _ = self.read_into(&mut state).await;
            }
        };
        if tokio::time::timeout(PATIENCE, reading).await.is_err() {
            self.show_up(false);
        }
    }

    async fn read_into(&self, state: &mut State) -> Result<(), QueueError> {
        let stats = self.queue.stats().await;
        self.show_up(stats.is_ok());
        state.read_at = Some(Instant::now());
        let stats = stats?;
        for gone in state.shown.iter().filter(|name| !stats.iter().any(|stats| stats.queue == **name)) {
            show_queue(&QueueStats::empty(gone.clone()));
        }
        for stats in stats {
            show_queue(&stats);
            state.shown.insert(stats.queue);
        }
        Ok(())
    }

    fn show_up(&self, up: bool) {
        show(&names::STORE_UP, &[Value::Text(&self.queue.describe())], flag(up));
    }
}

fn show_queue(stats: &QueueStats) {
    let queue = Value::Shared(stats.queue.shared());
    for state in JobState::ALL {
        show(&names::QUEUE_JOBS, &[queue, Value::Fixed(state.as_str())], stats.count(state) as f64);
    }
    let oldest = stats.oldest_wait.unwrap_or_default();
    show(&names::QUEUE_OLDEST_WAIT, &[queue], oldest.as_secs_f64());
    show(&names::QUEUE_PAUSED, &[queue], flag(stats.paused));
    show(&names::QUEUE_WORKERS, &[queue], stats.workers as f64);
    super::record::unserved(&stats.queue, stats.is_unserved());
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

//! A worker's remote control, for those who look after it from outside its task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::builder::possible_slots;
use super::status::{Vitals, WorkerStatus};

/// Changes and watches a worker while it runs: [`WorkerBuilder::control`](super::WorkerBuilder::control) ties it to one. Cheap to
/// clone; clones control the same worker.
///
/// It is for one worker at a time. What is asked of it before the worker starts holds from its start.
///
/// ```
/// # use extensions_runtime::queue::Memory;
/// # use extensions_runtime::{BoxError, Extensions, worker::Control};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// # let ext = Extensions::builder().queue(Memory::new()).build().await?;
/// let control = Control::new();
/// let worker = tokio::spawn(ext.worker().control(&control).run_until(std::future::pending()));
/// control.set_concurrency(8);
/// control.stop();
/// worker.await??;
/// assert_eq!(control.status().slots, 8);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Control(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    orders: watch::Sender<Order>,
    seen: Mutex<Seen>,
}

/// What was asked for last.
#[derive(Debug, Clone, Copy, Default)]
struct Order {
    slots: Option<usize>,
    stop: bool,
}

/// The worker, as far as it is known.
#[derive(Debug, Default)]
enum Seen {
    #[default]
    NotYet,
    Running(Arc<Vitals>),
    Ended(WorkerStatus),
}

impl Control {
    /// A control for a worker that is yet to start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many jobs run at once from now on, from 1 to 100,000.
    ///
    /// With more, jobs start at once. With fewer, those that run go on, and no more start until fewer than that many run.
    pub fn set_concurrency(&self, slots: usize) {
        self.0.orders.send_modify(|order| order.slots = Some(possible_slots(slots)));
    }

    /// Ends the worker in order, as a signal does. A worker that starts later with this control ends at once.
    pub fn stop(&self) {
        self.0.orders.send_modify(|order| order.stop = true);
    }

    /// How the worker is; after its end, how it was at its end.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        match &*self.seen() {
            Seen::NotYet => WorkerStatus::default(),
            Seen::Running(vitals) => vitals.status(),
            Seen::Ended(status) => status.clone(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows this worker from now on.
    pub(super) fn attach(&self, vitals: &Arc<Vitals>) -> Attached {
        *self.seen() = Seen::Running(Arc::clone(vitals));
        Attached { control: self.clone(), vitals: Arc::clone(vitals) }
    }

    pub(super) fn orders(&self) -> Orders {
        Orders(self.0.orders.subscribe())
    }
}

/// A worker that a control shows, until this is dropped. Its connections are not kept open by the control after that.
#[derive(Debug)]
pub(super) struct Attached {
    control: Control,
    vitals: Arc<Vitals>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut seen = self.control.seen();
        if matches!(&*seen, Seen::Running(shown) if Arc::ptr_eq(shown, &self.vitals)) {
            *seen = Seen::Ended(self.vitals.last_status());
        }
    }
}

/// Where a worker hears what is asked of it.
#[derive(Debug, Clone)]
pub(super) struct Orders(watch::Receiver<Order>);

impl Orders {
    /// What was asked for by now.
    pub(super) fn slots(&mut self) -> Option<usize> {
        self.0.borrow_and_update().slots
    }

    /// The next number of slots that is asked for, and where to hear the one after it.
    pub(super) async fn next_slots(mut self) -> (Self, usize) {
        loop {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(slots) = self.slots() {
                return (self, slots);
            }
        }
    }

    pub(super) async fn stopped(mut self) {
        if self.0.wait_for(|order| order.stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

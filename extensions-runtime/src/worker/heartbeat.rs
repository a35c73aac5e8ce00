//! Keeps leases and the worker's own entry alive, on a thread of its own: a handler that blocks its thread, or the whole
//! runtime, loses nothing.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::leases::Leases;
use super::outage::Outage;
use super::pulse::Pulse;
use super::status::{Turning, Vitals};
use super::stuck::StuckJobs;
use super::watchdog::Watchdog;
use crate::instance::Extensions;
use crate::queue::{QueueBackend, WorkerInfo};
use crate::task::block_on;
use crate::telemetry::names::event;

/// How often a worker says that it lives.
pub(super) const BEAT: Duration = Duration::from_secs(5);

/// How long a worker waits for its goodbye to be heard.
const GOODBYE: Duration = Duration::from_secs(10);

/// How often leases are extended at least, however long they are: a cancellation reaches its handler within five seconds.
const EXTEND: Duration = Duration::from_secs(4);

/// How often handlers are looked at that may be out of time.
const LOOK: Duration = Duration::from_secs(1);

/// The thread that beats, and says goodbye when the worker ends, however it ends.
#[derive(Debug)]
pub(super) struct Heartbeat {
    shared: Arc<Shared>,
    left: oneshot::Receiver<()>,
}

#[derive(Debug, Default)]
struct Shared {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Shared {
    fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Sleeps; false when the worker is over.
    fn sleep_until(&self, then: Instant) -> bool {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*over {
            let Some(left) = then.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return true;
            };
            (over, _) = self.changed.wait_timeout(over, left).unwrap_or_else(PoisonError::into_inner);
        }
        false
    }
}

impl Heartbeat {
    pub(super) fn start(beating: Beating) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (leaving, left) = oneshot::channel();
        let over = Arc::clone(&shared);
        // From here on, so that a worker whose first claim is answered before the thread's first turn is live too.
        let turning = Arc::clone(&beating.vitals).start_turning();
        std::thread::Builder::new().name("extensions-heartbeat".into()).spawn(move || {
            beating.run(&over, &turning);
            let _ = leaving.send(());
        })?;
        Ok(Self { shared, left })
    }

    /// Ends the beats, and waits until the worker has said goodbye.
    pub(super) async fn end(mut self) {
        self.shared.end();
        if tokio::time::timeout(GOODBYE, &mut self.left).await.is_err() {
            tracing::warn!(name: event::GOODBYE_SLOW, "the worker's goodbye takes long; it is left behind");
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// What the thread does.
pub(super) struct Beating {
    pub(super) queue: Arc<dyn QueueBackend>,
    pub(super) leases: Arc<Leases>,
    pub(super) outage: Arc<Outage>,
    pub(super) worker: WorkerInfo,
    pub(super) lease: Duration,
    pub(super) extensions: Extensions,
    pub(super) pulse: Pulse,
    pub(super) stuck: StuckJobs,
    pub(super) watchdog: Option<Watchdog>,
    pub(super) vitals: Arc<Vitals>,
}

impl Beating {
    fn run(mut self, over: &Shared, turning: &Turning) {
        let extend_every = (self.lease / 3).min(EXTEND);
        let look_every = self.watchdog.as_ref().map_or(LOOK, Watchdog::every);
        let start = Instant::now();
        let (mut next_extend, mut next_beat, mut next_look) =
            (start + extend_every, start + BEAT, start + look_every);
        while over.sleep_until(next_extend.min(next_beat).min(next_look)) {
            let now = Instant::now();
            turning.turn();
            self.worker.slots = self.vitals.slots();
            if now >= next_extend {
                next_extend = now + self.extend(now).map_or(extend_every, |wait| wait.min(extend_every));
            }
            if now >= next_beat {
                next_beat = now + self.beat().map_or(BEAT, |wait| wait.min(BEAT));
            }
            if now >= next_look {
                self.stuck.look(&mut self.pulse);
                if let Some(watchdog) = &mut self.watchdog {
                    watchdog.look(&self.worker, &mut self.pulse);
                    turning.note_complaint(watchdog.complains());
                }
                next_look = Instant::now() + look_every;
            }
        }
        self.say_goodbye();
    }

    /// A last beat where something was done since the one before, and the goodbye.
    fn say_goodbye(&mut self) {
        let done = self.vitals.counts.tallies.take();
        self.worker.busy = self.leases.busy.load(Ordering::Relaxed);
        if !done.is_empty()
            && let Err(error) = block_on(self.queue.beat(self.worker.clone(), done))
        {
            tracing::warn!(name: event::TALLIES_LEFT, %error, "what was done since the last beat is missing in the queue's history");
        }
        if let Err(error) = block_on(self.queue.leave(self.worker.id)) {
            tracing::warn!(name: event::GOODBYE_FAILED, %error, "the worker could not say goodbye; its entry will time out");
        }
    }

    /// How long to wait before the next try, where this one failed.
    fn extend(&self, asked_at: Instant) -> Option<Duration> {
        let asked = self.leases.extensions();
        let answers = if asked.is_empty() {
            Ok(Vec::new())
        } else {
            block_on(self.queue.extend(asked.clone(), self.lease))
        };
        match answers {
            Ok(answers) => {
                self.outage.works("extend");
                self.leases.note(&asked, &answers, asked_at + self.lease);
                None
            }
            Err(error) => Some(self.outage.failed("extend", &error)),
        }
    }

    fn beat(&mut self) -> Option<Duration> {
        self.worker.handlers = self.extensions.registry().known().to_vec();
        self.worker.busy = self.leases.busy.load(Ordering::Relaxed);
        let done = self.vitals.counts.tallies.take();
        match block_on(self.queue.beat(self.worker.clone(), done.clone())) {
            Ok(()) => {
                self.outage.works("beat");
                None
            }
            Err(error) => {
                self.vitals.counts.tallies.add(&done);
                Some(self.outage.failed("beat", &error))
            }
        }
    }
}

//! Keeps leases and the worker's own entry alive, on a thread of its own: a handler that blocks its thread, or the whole
//! runtime, loses nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::{Job, Stop};
use tokio::sync::oneshot;

use crate::instance::Extensions;
use crate::job::{JobId, LeaseToken};
use crate::queue::{Extend, Extended, QueueBackend, WorkerInfo};
use crate::task::block_on;

/// How often a worker says that it lives.
pub(super) const BEAT: Duration = Duration::from_secs(5);

/// How long a worker waits for its goodbye to be heard.
const GOODBYE: Duration = Duration::from_secs(10);

/// How soon a failed heartbeat is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The claims that a worker holds.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: Mutex<HashMap<JobId, Held>>,
    pub(super) busy: AtomicU32,
}

#[derive(Debug)]
struct Held {
    job: Job,
    until: Instant,
}

impl Leases {
    fn held(&self) -> MutexGuard<'_, HashMap<JobId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in jobs that were claimed by a call made at `asked`.
    pub(super) fn add(&self, jobs: &[Job], asked: Instant, lease: Duration) {
        let mut held = self.held();
        for job in jobs {
            let earlier = held.insert(job.id(), Held { job: job.clone(), until: asked + lease });
            if let Some(earlier) = earlier {
                earlier.job.stop(Stop::LeaseLost);
            }
        }
    }

    /// Lets go of claims; a later claim of the same job is another one and stays.
    pub(super) fn remove(&self, claims: impl IntoIterator<Item = (JobId, LeaseToken)>) {
        let mut held = self.held();
        for (job, token) in claims {
            if held.get(&job).is_some_and(|held| held.job.token() == token) {
                held.remove(&job);
            }
        }
    }

    /// Whether the claim certainly holds, as far as this process knows.
    pub(super) fn is_sure(&self, job: &Job) -> bool {
        let mine = |held: &&Held| held.job.token() == job.token();
        self.held().get(&job.id()).filter(mine).is_some_and(|held| held.until > Instant::now())
    }

    /// Tells every handler to stop.
    pub(super) fn stop_all(&self, why: Stop) {
        for held in self.held().values() {
            held.job.stop(why);
        }
    }

    fn extensions(&self) -> Vec<Extend> {
        let extend = |held: &Held| Extend {
            job: held.job.id(),
            token: held.job.token(),
            progress: held.job.take_progress(),
        };
        self.held().values().map(extend).collect()
    }

    fn note(&self, asked: &[Extend], answers: &[Extended], until: Instant) {
        let mut held = self.held();
        for (asked, answer) in asked.iter().zip(answers) {
            let Some(entry) = held.get_mut(&asked.job).filter(|entry| entry.job.token() == asked.token)
            else {
                continue;
            };
            match answer {
                Extended::Held => entry.until = until,
                Extended::CancelRequested => {
                    entry.until = until;
                    entry.job.stop(Stop::Cancelled);
                }
                Extended::LeaseLost => {
                    tracing::warn!(job = %asked.job, handler = %entry.job.handler(), "lease lost; its handler is stopped");
                    entry.job.stop(Stop::LeaseLost);
                    held.remove(&asked.job);
                }
            }
        }
    }
}

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
}

impl Heartbeat {
    pub(super) fn start(
        queue: Arc<dyn QueueBackend>,
        leases: Arc<Leases>,
        worker: WorkerInfo,
        lease: Duration,
        extensions: Extensions,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (leaving, left) = oneshot::channel();
        let beating = Beating { queue, leases, worker, lease, extensions, shared: Arc::clone(&shared) };
        std::thread::Builder::new().name("extensions-heartbeat".into()).spawn(move || {
            beating.run();
            let _ = leaving.send(());
        })?;
        Ok(Self { shared, left })
    }

    /// Ends the beats, and waits until the worker has said goodbye.
    pub(super) async fn end(mut self) {
        self.shared.end();
        if tokio::time::timeout(GOODBYE, &mut self.left).await.is_err() {
            tracing::warn!("the worker's goodbye takes long; it is left behind");
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.shared.end();
    }
}

struct Beating {
    queue: Arc<dyn QueueBackend>,
    leases: Arc<Leases>,
    worker: WorkerInfo,
    lease: Duration,
    extensions: Extensions,
    shared: Arc<Shared>,
}

impl Beating {
    fn run(mut self) {
        let every = self.lease / 3;
        let mut next_extend = Instant::now() + every;
        let mut next_beat = Instant::now() + BEAT;
        while self.sleep_until(next_extend.min(next_beat)) {
            let now = Instant::now();
            if now >= next_extend {
                next_extend = now + if self.extend(now) { every } else { AGAIN.min(every) };
            }
            if now >= next_beat {
                next_beat = now + if self.beat() { BEAT } else { AGAIN };
            }
        }
        if let Err(error) = block_on(self.queue.leave(self.worker.id)) {
            tracing::warn!(%error, "the worker could not say goodbye; its entry will time out");
        }
    }

    /// Sleeps; false when the worker is over.
    fn sleep_until(&self, then: Instant) -> bool {
        let mut over = self.shared.over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*over {
            let Some(left) = then.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return true;
            };
            (over, _) = self.shared.changed.wait_timeout(over, left).unwrap_or_else(PoisonError::into_inner);
        }
        false
    }

    fn extend(&self, asked_at: Instant) -> bool {
        let asked = self.leases.extensions();
        if asked.is_empty() {
            return true;
        }
        match block_on(self.queue.extend(asked.clone(), self.lease)) {
            Ok(answers) => {
                self.leases.note(&asked, &answers, asked_at + self.lease);
                true
            }
            Err(error) => {
                tracing::warn!(%error, leases = asked.len(), "leases could not be extended; trying again");
                false
            }
        }
    }

    fn beat(&mut self) -> bool {
        self.worker.handlers = self.extensions.registry().known().to_vec();
        self.worker.busy = self.leases.busy.load(Ordering::Relaxed);
        block_on(self.queue.beat(self.worker.clone()))
            .inspect_err(|error| tracing::warn!(%error, "the worker's beat failed; trying again"))
            .is_ok()
    }
}

//! The worker's loop: claims, starts, waits, and shuts down in order.

mod claiming;
mod ending;
mod round;
mod waiting;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};

use self::round::Round;
use self::waiting::Pending;
use crate::instance::{Around, Extensions};
use crate::job::{ClaimedJob, WorkerId};
use crate::queue::{Claimed, QueueBackend, QueueError, TakeLost, WorkerInfo};
use crate::telemetry::names::event;
use crate::telemetry::record::{Share, Work};
use crate::time::Clock;
use crate::worker::builder::{StopWhen, WorkerBuilder};
use crate::worker::control::{Control, Orders};
use crate::worker::executor::Executor;
use crate::worker::feed::{Buffered, Feed};
use crate::worker::heartbeat::{BEAT, Beating, Heartbeat};
use crate::worker::job::Job;
use crate::worker::leases::Leases;
use crate::worker::limits::Limits;
use crate::worker::memory;
use crate::worker::order::QueueOrder;
use crate::worker::outage::Outage;
use crate::worker::pulse::Pulse;
use crate::worker::report::{Counts, StopReason, WorkerReport};
use crate::worker::settler::Settler;
use crate::worker::status::Vitals;
use crate::worker::stuck::StuckJobs;
use crate::worker::unserved::Unserved;
use crate::worker::upkeep;
use crate::worker::watchdog::{Claims, Watchdog};
use crate::worker::window::Window;

/// How often a busy worker looks for jobs that were lost before.
const LOST_LOOK: Duration = Duration::from_millis(100);

pub(super) struct Worker {
    queue: Arc<dyn QueueBackend>,
    order: QueueOrder,
    info: WorkerInfo,
    concurrency: usize,
    lease: Duration,
    grace: Duration,
    stop_when: Option<StopWhen>,
    max_time: Option<Duration>,
    /// How many jobs may still be claimed.
    jobs_left: u64,
    window: Window,
    leases: Arc<Leases>,
    counts: Arc<Counts>,
    /// How many ends of claims are on their way to the store.
    unsettled: Arc<AtomicUsize>,
    outage: Arc<Outage>,
    claims: Arc<Claims>,
    watchdog: Option<Duration>,
    extensions: Extensions,
    feed: Arc<Feed>,
    running: JoinSet<()>,
    /// Held once for every job here that was lost before: one at a time.
    lost_here: Arc<()>,
    /// Whether a wait may bring jobs, as nothing held any back when it began.
    takes_any: bool,
    /// Which lost jobs every claim of the last round took in.
    last_took: TakeLost,
    /// How many claims of stuck handlers had been ended when the last round began.
    given_up_before: u32,
    /// When to look for lost jobs even if every slot could be filled with others.
    next_lost_look: Instant,
    /// Whether a claim is under way that may bring a lost job, for which a slot is kept free.
    keeps_slot: bool,
    /// The queues that are looked at, or were looked at last.
    round: Round,
    limits: Arc<Limits>,
    max_memory: Option<u64>,
    control: Control,
    orders: Orders,
    vitals: Arc<Vitals>,
    clock: Arc<dyn Clock>,
    heeds_breakers: bool,
    /// Whether somebody waits for the jobs, and knows of the worker without a log.
    in_place: bool,
    /// Its part of the slots that metrics show, while it runs.
    shown_slots: Option<Share>,
    /// What its task hands on to the jobs.
    around: Option<Around>,
}

impl Worker {
    pub(super) fn new(
        extensions: Extensions,
        queue: Arc<dyn QueueBackend>,
        order: QueueOrder,
        options: &WorkerBuilder,
    ) -> Self {
        let known = extensions.registry().known();
        let in_place = options.in_place.as_ref();
        let clock: Arc<dyn Clock> = match in_place {
            Some(in_place) => Arc::clone(&in_place.clock) as _,
            None => Arc::clone(&extensions.settings().clock),
        };
        let mut orders = options.control.orders();
        let slots = orders.slots().unwrap_or(options.concurrency);
        let info = WorkerInfo {
            id: WorkerId::new(),
            host: host(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: order.names(),
            handlers: known.to_vec(),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            busy: 0,
            started_at: clock.now(),
            last_beat: clock.now(),
            live_for: BEAT * 3,
        };
        let outage = Arc::new(Outage::new(Arc::clone(&queue)));
        let vitals = Arc::new(Vitals::new(info.id, Arc::clone(&queue), slots, Arc::clone(&outage)));
        Self {
            outage,
            claims: Arc::clone(&vitals.claims),
            watchdog: options.watchdog.filter(|_| in_place.is_none()),
            queue,
            order,
            info,
            concurrency: slots,
            lease: options.lease,
            grace: options.grace,
            stop_when: options.stop_when,
            max_time: options.max_time,
            jobs_left: options.max_jobs.unwrap_or(u64::MAX),
            window: Window::new(slots, options.prefetch, Arc::clone(&vitals.mean_run_time)),
            leases: Arc::clone(&vitals.leases),
            counts: Arc::clone(&vitals.counts),
            unsettled: Arc::default(),
            extensions,
            feed: Arc::clone(&vitals.feed),
            running: JoinSet::new(),
            lost_here: Arc::default(),
            takes_any: false,
            last_took: TakeLost::All,
            given_up_before: 0,
            next_lost_look: Instant::now() + LOST_LOOK,
            keeps_slot: false,
            round: Round::default(),
            limits: Arc::new(Limits::new(&options.queue_concurrency)),
            max_memory: options.max_memory,
            control: options.control.clone(),
            orders,
            vitals,
            clock,
            heeds_breakers: in_place.is_none_or(|in_place| in_place.heeds_breakers),
            in_place: in_place.is_some(),
            shown_slots: None,
            around: Around::current(),
        }
    }

    pub(super) async fn run(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<WorkerReport, QueueError> {
        let _shown = self.control.attach(&self.vitals);
        if !self.in_place {
            self.warn_of_mistakes();
        }
        match self.queue.beat(self.info.clone(), Vec::new()).await {
            Ok(()) => self.outage.works("beat"),
            Err(error) => {
                self.outage.failed("beat", &error);
            }
        }
        if !self.in_place {
            tracing::info!(name: event::WORKER_STARTED, worker = %self.info.id, queue = self.queue.describe(), queues = ?self.info.queues, slots = self.concurrency, "worker started");
        }
        self.shown_slots = (!self.in_place).then(|| self.shown());
        let (settler, settling) = Settler::start(
            Arc::clone(&self.queue),
            Arc::clone(&self.leases),
            Arc::clone(&self.counts),
            Arc::clone(&self.outage),
            Arc::clone(&self.unsettled),
        );
        let executor = Arc::new(Executor {
            extensions: self.extensions.clone(),
            worker: self.info.id,
            queue: Arc::clone(&self.queue),
            settler,
            leases: Arc::clone(&self.leases),
            counts: Arc::clone(&self.counts),
            outage: Arc::clone(&self.outage),
            retention: self.extensions.settings().retention,
            clock: Arc::clone(&self.clock),
            heeds_breakers: self.heeds_breakers,
            slow: std::sync::Mutex::default(),
        });
        let heartbeat = Heartbeat::start(self.beating(&executor)).map_err(|error| {
            let hint = "the heartbeat's thread could not be started";
            QueueError::new(crate::queue::QueueErrorKind::Other, "work", hint).with_source(error)
        })?;
        let upkeep = Upkeep(tokio::spawn(upkeep::run(
            Arc::clone(&self.queue),
            executor.retention,
            Arc::clone(&self.outage),
            (!self.in_place).then(|| Unserved::new(Arc::clone(&self.vitals))),
        )));
        let stopped = self.work(&executor, shutdown).await;
        self.vitals.note_stopped(stopped);
        self.claims.end();
        drop(upkeep);
        self.finish(executor, settling).await;
        heartbeat.end().await;
        let report = self.vitals.report();
        if !self.in_place {
            tracing::info!(name: event::WORKER_STOPPED, worker = %self.info.id, ?report, "worker stopped");
        }
        Ok(report)
    }

    fn beating(&self, executor: &Arc<Executor>) -> Beating {
        let watch = |patience| Watchdog::new(&self.vitals, Arc::clone(&self.limits), patience);
        Beating {
            queue: Arc::clone(&self.queue),
            leases: Arc::clone(&self.leases),
            outage: Arc::clone(&self.outage),
            worker: self.info.clone(),
            lease: self.lease,
            extensions: self.extensions.clone(),
            pulse: Pulse::new(tokio::runtime::Handle::current()),
            stuck: StuckJobs::new(Arc::clone(&self.vitals), Arc::downgrade(executor)),
            vitals: Arc::clone(&self.vitals),
            watchdog: self.watchdog.map(watch),
        }
    }

    /// Shows metrics what the worker can do, for as long as the answer lives.
    fn shown(&self) -> Share {
        let registry = self.extensions.registry();
        for (info, options) in
            registry.handlers().iter().filter_map(|info| Some((info, info.options.as_ref()?)))
        {
            Work { handler: &info.key(), queue: &options.queue }.known();
        }
        Share::of_slots(self.vitals.slots())
    }

    /// A queue that no handler here uses is most likely misspelt.
    fn warn_of_mistakes(&self) {
        if self.info.handlers.is_empty() {
            tracing::warn!(name: event::WORKER_WITHOUT_HANDLERS, "this worker knows no async handler and will find nothing to do");
        }
        let registry = self.extensions.registry();
        let handlers = registry.handlers().iter();
        let used: BTreeSet<_> =
            handlers.filter_map(|info| info.options.as_ref()).map(|options| &options.queue).collect();
        for queue in self.info.queues.iter().filter(|queue| !used.contains(queue) && **queue != "default") {
            tracing::warn!(name: event::UNUSED_QUEUE, %queue, ?used, "no handler of this instance uses this queue by default; is its name right?");
        }
        for queue in self.limits.queues().filter(|queue| !self.info.queues.contains(queue)) {
            tracing::warn!(name: event::LIMIT_ELSEWHERE, %queue, queues = ?self.info.queues, "`queue_concurrency` names a queue that this worker does not serve");
        }
    }

    async fn work(
        &mut self,
        executor: &Arc<Executor>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> StopReason {
        let mut shutdown = pin!(shutdown);
        let max_time = self.max_time;
        let mut out_of_time = pin!(async move {
            match max_time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        });
        let mut out_of_memory = pin!(memory::outgrown(self.max_memory));
        let mut new_slots = Box::pin(self.orders.clone().next_slots());
        let mut asked_to_stop = pin!(self.orders.clone().stopped());
        let mut pending = self.claim();
        let stopped = loop {
            self.start_buffered(executor);
            if self.jobs_left == 0 && self.is_at_rest() && !matches!(pending, Pending::Claim(_)) {
                break StopReason::MaxJobs;
            }
            if matches!(pending, Pending::Nothing) {
                pending = self.claim();
            }
            tokio::select! {
                biased;
                () = &mut shutdown => break StopReason::Asked,
                () = &mut asked_to_stop => break StopReason::Asked,
                () = &mut out_of_time => break StopReason::MaxTime,
                () = &mut out_of_memory => break StopReason::MaxMemory,
                (orders, slots) = &mut new_slots => {
                    new_slots.set(orders.next_slots());
                    self.set_slots(slots);
                    // What is waited for is no more than what could start.
                    if matches!(pending, Pending::Idle(_)) {
                        self.end_wait(&mut pending).await;
                    }
                }
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                    self.note_ended(ended);
                    while let Some(ended) = self.running.try_join_next() {
                        self.note_ended(ended);
                    }
                    if matches!(pending, Pending::Idle(_)) && self.may_find_more() {
                        self.end_wait(&mut pending).await;
                    }
                }
                () = self.feed.low.notified() => {}
                // Where handlers have turned slow few of them end, and lost jobs are looked for nevertheless.
                () = tokio::time::sleep(LOST_LOOK), if !self.feed.is_empty() => {
                    let has_free_slot = self.running.len() < self.concurrency;
                    if matches!(pending, Pending::Idle(_)) && has_free_slot && self.is_lost_look_due() {
                        self.end_wait(&mut pending).await;
                    }
                }
                () = self.claims.again.notified() => self.end_wait(&mut pending).await,
                news = pending.news() => {
                    let next = self.after(news).await;
                    let is_over = next.is_none();
                    pending = next.unwrap_or(Pending::Nothing);
                    if is_over {
                        break StopReason::Empty;
                    }
                }
            }
        };
        self.feed.stop();
        self.last_claim(pending).await;
        stopped
    }

    /// Changes how many jobs run at once from now on. Those that run are left alone.
    fn set_slots(&mut self, slots: usize) {
        tracing::debug!(worker = %self.info.id, from = self.concurrency, to = slots, "other number of slots");
        self.concurrency = slots;
        self.window.resize(slots);
        self.vitals.slots.store(slots, Ordering::Relaxed);
        if let Some(shown) = &mut self.shown_slots {
            shown.set(self.vitals.slots());
        }
    }

    fn is_at_rest(&self) -> bool {
        self.runs_nothing() && self.feed.is_empty()
    }

    /// Whether all that still runs has been given up.
    fn runs_nothing(&self) -> bool {
        self.running.len() <= self.leases.outlived()
    }

    fn take_in(&mut self, claimed: Claimed, asked: Instant) {
        self.note_success();
        self.jobs_left = self.jobs_left.saturating_sub(u64::try_from(claimed.jobs.len()).unwrap_or(u64::MAX));
        let (lost_here, limits) = (&self.lost_here, &self.limits);
        let buffered = |claimed: ClaimedJob| {
            let lost = (claimed.lost_count > 0).then(|| Arc::clone(lost_here));
            let place = limits.take(&claimed.queue);
            // Of what waits for the end of another job that end is stored first.
            let keeps_slot = self.in_place || lost.is_some() || place.is_some();
            Buffered { job: Job::new(claimed, self.extensions.clone(), keeps_slot), lost, place }
        };
        let buffered: Vec<_> = claimed.jobs.into_iter().map(buffered).collect();
        self.leases.add(buffered.iter().map(|buffered| &buffered.job), asked, self.lease);
        self.feed.extend(buffered);
    }

    fn start_buffered(&mut self, executor: &Arc<Executor>) {
        let slots = self.slots();
        while self.running.len() < slots {
            let Some(first) = self.feed.pop() else { break };
            let (feed, mean) = (Arc::clone(&self.feed), Arc::clone(&self.vitals.mean_run_time));
            let run = feed.run(first, Arc::clone(executor), mean);
            match self.around.clone() {
                Some(around) => self.running.spawn(around.carry(run)),
                None => self.running.spawn(run),
            };
        }
        self.feed.keep_going(slots, self.window.few());
        self.note_busy();
    }

    fn note_busy(&self) {
        self.leases.busy.store(u32::try_from(self.running.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn note_ended(&self, ended: Result<(), tokio::task::JoinError>) {
        self.note_busy();
        if let Err(error) = ended {
            tracing::error!(name: event::EXECUTOR_DIED, %error, "an executor died; its job is left to its lease");
        }
    }
}

/// The upkeep's task, ended with the worker.
struct Upkeep(JoinHandle<()>);

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| "unknown".to_owned())
}

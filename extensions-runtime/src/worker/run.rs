//! The worker's loop: claims, starts, waits, and shuts down in order.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};

use super::builder::{StopWhen, WorkerBuilder};
use super::executor::Executor;
use super::heartbeat::{BEAT, Beating, Heartbeat};
use super::job::{Job, Stop};
use super::leases::Leases;
use super::order::QueueOrder;
use super::outage::Outage;
use super::pulse::Pulse;
use super::report::{Counts, StopReason, WorkerReport};
use super::running::LAST_WORDS;
use super::settler::Settler;
use super::stuck::StuckJobs;
use super::upkeep;
use super::watchdog::{Claims, Watchdog};
use super::window::Window;
use crate::instance::{Around, Extensions};
use crate::job::WorkerId;
use crate::queue::{
    ClaimRequest, Claimed, KnownHandler, QueueBackend, QueueError, QueueStats, TakeLost, WaitCursor,
    WaitRequest, WorkerInfo,
};
use crate::telemetry::names::event;
use crate::telemetry::record::{Share, Work};
use crate::time::Clock;

/// The longest wait without asking the queue: a net under lost wake-ups.
const FALLBACK_POLL: Duration = Duration::from_secs(5);
/// How often a worker that is to end when all is drained looks whether it is.
const DRAIN_POLL: Duration = Duration::from_millis(100);
/// How often a busy worker looks for jobs that were lost before.
const LOST_LOOK: Duration = Duration::from_millis(100);
/// The shortest wait for a circuit that may be tried again.
const CIRCUIT_LOOK: Duration = Duration::from_millis(100);
/// How long the jobs of dropped handlers may take to be given back.
const LAST_RELEASES: Duration = Duration::from_secs(2);
/// How long the last settlements may take at shut-down.
const FLUSH: Duration = Duration::from_secs(10);

type Step<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A claimed job that was not started yet.
struct Buffered {
    job: Job,
    /// Held until the end of a job that was lost before.
    lost: Option<Arc<()>>,
}

/// What the loop waits for besides running jobs.
enum Pending {
    /// Nothing: there is no room for more jobs.
    Nothing,
    Claim(Step<(Instant, Result<Claimed, QueueError>)>),
    /// More jobs, or the time for another look.
    Idle(Step<()>),
}

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
    outage: Arc<Outage>,
    claims: Arc<Claims>,
    watchdog: Option<Duration>,
    extensions: Extensions,
    buffer: VecDeque<Buffered>,
    running: JoinSet<Duration>,
    /// Held once for every job here that was lost before: one at a time.
    lost_here: Arc<()>,
    /// Which lost jobs the last claim took in.
    last_took: TakeLost,
    /// How many claims of stuck handlers had been ended when the last claim was made.
    given_up_before: u32,
    /// When to look for lost jobs even if every slot could be filled with others.
    next_lost_look: Instant,
    /// Whether a claim is under way that may bring a lost job, for which a slot is kept free.
    keeps_slot: bool,
    clock: Arc<dyn Clock>,
    heeds_breakers: bool,
    /// Whether somebody waits for the jobs, and knows of the worker without a log.
    in_place: bool,
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
        let info = WorkerInfo {
            id: WorkerId::new(),
            host: host(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: order.names(),
            handlers: known.to_vec(),
            slots: u32::try_from(options.concurrency).unwrap_or(u32::MAX),
            busy: 0,
            started_at: clock.now(),
            last_beat: clock.now(),
            live_for: BEAT * 3,
        };
        Self {
            outage: Arc::new(Outage::new(Arc::clone(&queue))),
            claims: Arc::new(Claims::new()),
            watchdog: options.watchdog.filter(|_| in_place.is_none()),
            queue,
            order,
            info,
            concurrency: options.concurrency,
            lease: options.lease,
            grace: options.grace,
            stop_when: options.stop_when,
            max_time: options.max_time,
            jobs_left: options.max_jobs.unwrap_or(u64::MAX),
            window: Window::new(options.concurrency, options.prefetch),
            leases: Arc::default(),
            counts: Arc::default(),
            extensions,
            buffer: VecDeque::new(),
            running: JoinSet::new(),
            lost_here: Arc::default(),
            last_took: TakeLost::All,
            given_up_before: 0,
            next_lost_look: Instant::now() + LOST_LOOK,
            keeps_slot: false,
            clock,
            heeds_breakers: in_place.is_none_or(|in_place| in_place.heeds_breakers),
            in_place: in_place.is_some(),
            around: Around::current(),
        }
    }

    pub(super) async fn run(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<WorkerReport, QueueError> {
        if !self.in_place {
            self.warn_of_mistakes();
        }
        match self.queue.beat(self.info.clone()).await {
            Ok(()) => self.outage.works("beat"),
            Err(error) => {
                self.outage.failed("beat", &error);
            }
        }
        if !self.in_place {
            tracing::info!(name: event::WORKER_STARTED, worker = %self.info.id, queue = self.queue.describe(), queues = ?self.info.queues, slots = self.concurrency, "worker started");
        }
        let _slots = (!self.in_place).then(|| self.shown());
        let (settler, settling) =
            Settler::start(Arc::clone(&self.queue), Arc::clone(&self.leases), Arc::clone(&self.outage));
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
        )));
        let stopped = self.work(&executor, shutdown).await;
        self.claims.end();
        drop(upkeep);
        self.finish(executor, settling).await;
        heartbeat.end().await;
        let report = self.counts.report(stopped, self.outage.losses());
        if !self.in_place {
            tracing::info!(name: event::WORKER_STOPPED, worker = %self.info.id, ?report, "worker stopped");
        }
        Ok(report)
    }

    fn beating(&self, executor: &Arc<Executor>) -> Beating {
        let (queue, leases) = (|| Arc::clone(&self.queue), || Arc::clone(&self.leases));
        let watch = |patience| Watchdog::new(queue(), leases(), Arc::clone(&self.claims), patience);
        Beating {
            queue: queue(),
            leases: leases(),
            outage: Arc::clone(&self.outage),
            worker: self.info.clone(),
            lease: self.lease,
            extensions: self.extensions.clone(),
            pulse: Pulse::new(tokio::runtime::Handle::current()),
            stuck: StuckJobs::new(
                queue(),
                leases(),
                Arc::clone(&self.outage),
                Arc::downgrade(executor),
                self.info.slots,
            ),
            watchdog: self.watchdog.map(watch),
        }
    }

    /// Shows metrics what the worker can do, for as long as the answer lives.
    fn shown(&self) -> Share {
        let registry = self.extensions.registry();
        for (info, options) in
            registry.handlers().iter().filter_map(|info| Some((info, info.options.as_ref()?)))
        {
            Work { handler: &info.key(), queue: options.queue.as_str() }.known();
        }
        Share::of_slots(self.info.slots)
    }

    /// A queue that no handler here uses is most likely misspelt.
    fn warn_of_mistakes(&self) {
        if self.info.handlers.is_empty() {
            tracing::warn!(name: event::WORKER_WITHOUT_HANDLERS, "this worker knows no async handler and will find nothing to do");
        }
        let registry = self.extensions.registry();
        let handlers = registry.handlers().iter();
        let used: Vec<_> =
            handlers.filter_map(|info| info.options.as_ref()).map(|options| &options.queue).collect();
        for queue in self.info.queues.iter().filter(|queue| !used.contains(queue) && **queue != "default") {
            tracing::warn!(name: event::UNUSED_QUEUE, %queue, ?used, "no handler of this instance uses this queue by default; is its name right?");
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
                () = &mut out_of_time => break StopReason::MaxTime,
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                    self.note_ended(ended);
                    while let Some(ended) = self.running.try_join_next() {
                        self.note_ended(ended);
                    }
                    if matches!(pending, Pending::Idle(_)) && self.may_find_more() {
                        pending = Pending::Nothing;
                    }
                }
                () = self.claims.again.notified() => {
                    pending = Pending::Nothing;
                    self.keeps_slot = false;
                }
                news = pending.news() => {
                    pending = Pending::Nothing;
                    self.keeps_slot = false;
                    match news {
                        News::Look => {}
                        News::Claimed(asked, Ok(claimed)) if !claimed.jobs.is_empty() => self.take_in(claimed, asked),
                        News::Claimed(_, Ok(_)) if self.take_lost() > self.last_took => self.note_success(),
                        News::Claimed(_, Ok(nothing)) => match self.after_nothing(&nothing).await {
                            Some(idle) => pending = Pending::Idle(idle),
                            None => break StopReason::Empty,
                        },
                        News::Claimed(_, Err(error)) => pending = Pending::Idle(self.after_error(&error)),
                    }
                }
            }
        };
        self.last_claim(pending).await;
        stopped
    }

    fn is_at_rest(&self) -> bool {
        self.runs_nothing() && self.buffer.is_empty()
    }

    /// Whether all that still runs has been given up.
    fn runs_nothing(&self) -> bool {
        self.running.len() <= self.leases.outlived()
    }

    /// Whether a claim may bring now what the last one could not.
    fn may_find_more(&self) -> bool {
        self.take_lost() > self.last_took
            || self.is_lost_look_due()
            || (self.stop_when.is_some() && self.is_at_rest())
    }

    /// A claim, if there is room for enough jobs to be worth one.
    fn claim(&mut self) -> Pending {
        let here = self.running.len() + self.buffer.len();
        let looks_for_lost = self.running.len() < self.concurrency && self.is_lost_look_due();
        let room =
            (self.concurrency + self.window.size()).saturating_sub(here).max(usize::from(looks_for_lost));
        let max = room.min(usize::try_from(self.jobs_left).unwrap_or(usize::MAX));
        let has_enough = !self.buffer.is_empty() && room * 2 < self.window.size();
        if max == 0 || (has_enough && !looks_for_lost) {
            return Pending::Nothing;
        }
        self.last_took = self.take_lost();
        self.given_up_before = self.leases.given_up.load(Ordering::Relaxed);
        self.keeps_slot = self.last_took > TakeLost::None;
        if self.keeps_slot {
            self.next_lost_look = Instant::now() + LOST_LOOK;
        }
        let request = ClaimRequest {
            worker: self.info.id,
            queues: self.order.draw(fastrand::f64),
            handlers: self.claimable(),
            max,
            lease: self.lease,
            lost: self.last_took,
        };
        let queue = Arc::clone(&self.queue);
        Pending::Claim(Box::pin(async move {
            let asked = Instant::now();
            (asked, queue.reserve(request).await)
        }))
    }

    /// Whether no circuit holds anything back here.
    fn circuits_are_at_rest(&self) -> bool {
        !self.heeds_breakers || self.extensions.premises().breakers.are_all_at_rest()
    }

    /// The handlers that this worker can run and whose circuits are closed. Others' jobs wait where they are.
    fn claimable(&self) -> Arc<[KnownHandler]> {
        let registry = self.extensions.registry();
        if self.circuits_are_at_rest() {
            return registry.known();
        }
        let can_run = |known: &&KnownHandler| registry.retry_in(&known.handler).is_none();
        registry.known().iter().filter(can_run).cloned().collect()
    }

    /// How long until the first circuit that is open may be tried.
    fn next_circuit(&self) -> Option<Duration> {
        if self.circuits_are_at_rest() {
            return None;
        }
        let registry = self.extensions.registry();
        registry.known().iter().filter_map(|known| registry.retry_in(&known.handler)).min()
    }

    /// A job that was lost before is claimed only to be started at once, and one that may be to blame only when no other such runs.
    fn take_lost(&self) -> TakeLost {
        if self.running.len() >= self.concurrency {
            TakeLost::None
        } else if Arc::strong_count(&self.lost_here) > 1 {
            TakeLost::Uncounted
        } else {
            TakeLost::All
        }
    }

    fn is_lost_look_due(&self) -> bool {
        !self.buffer.is_empty() && self.next_lost_look <= Instant::now()
    }

    /// How many jobs may run now: every so often a slot stays free for a job that was lost before, which others would keep out.
    fn slots(&self) -> usize {
        self.concurrency - usize::from(self.keeps_slot || self.is_lost_look_due())
    }

    fn take_in(&mut self, claimed: Claimed, asked: Instant) {
        self.note_success();
        self.jobs_left = self.jobs_left.saturating_sub(u64::try_from(claimed.jobs.len()).unwrap_or(u64::MAX));
        let jobs: Vec<Job> =
            claimed.jobs.into_iter().map(|job| Job::new(job, self.extensions.clone())).collect();
        self.leases.add(&jobs, asked, self.lease);
        let lost_here = &self.lost_here;
        let buffered =
            |job: Job| Buffered { lost: (job.claimed().lost_count > 0).then(|| Arc::clone(lost_here)), job };
        let mut buffered = jobs.into_iter().map(buffered);
        // A job that was lost before comes alone, and starts before the others.
        if buffered.len() == 1 {
            self.buffer.extend(buffered.next());
            self.buffer.rotate_right(1);
        } else {
            self.buffer.extend(buffered);
        }
    }

    fn start_buffered(&mut self, executor: &Arc<Executor>) {
        if self.buffer.is_empty() {
            return;
        }
        let slots = self.slots();
        while self.running.len() < slots {
            let Some(Buffered { job, lost }) = self.buffer.pop_front() else { break };
            let executor = Arc::clone(executor);
            let execution = async move {
                let _lost_until_it_ends = lost;
                let started = Instant::now();
                executor.execute(job).await;
                started.elapsed()
            };
            match self.around.clone() {
                Some(around) => self.running.spawn(around.carry(execution)),
                None => self.running.spawn(execution),
            };
        }
        self.note_busy();
    }

    fn note_busy(&self) {
        self.leases.busy.store(u32::try_from(self.running.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn note_ended(&mut self, ended: Result<Duration, tokio::task::JoinError>) {
        self.note_busy();
        match ended {
            Ok(took) => self.window.note_ended(took),
            Err(error) => {
                tracing::error!(name: event::EXECUTOR_DIED, %error, "an executor died; its job is left to its lease")
            }
        }
    }

    /// What to wait for after a claim that brought nothing; none where the worker is to end.
    async fn after_nothing(&mut self, claimed: &Claimed) -> Option<Step<()>> {
        self.note_success();
        let circuit = self.next_circuit().map(|retry_in| retry_in.max(CIRCUIT_LOOK));
        let due = claimed.next_due.into_iter().chain(circuit).fold(FALLBACK_POLL, Duration::min);
        if !self.is_at_rest() {
            return Some(self.wait(claimed.cursor, due));
        }
        match self.stop_when {
            None => Some(self.wait(claimed.cursor, due)),
            Some(_) if self.may_stuck_leave_more() => Some(self.wait(claimed.cursor, due.min(DRAIN_POLL))),
            Some(StopWhen::Empty) => None,
            Some(StopWhen::Drained) if self.is_drained().await => None,
            Some(StopWhen::Drained) => Some(self.wait(claimed.cursor, due.min(DRAIN_POLL))),
        }
    }

    /// Whether the job of a stuck handler may be there by now, or soon, that the last claim did not see.
    fn may_stuck_leave_more(&self) -> bool {
        !self.leases.is_empty() || self.leases.given_up.load(Ordering::Relaxed) != self.given_up_before
    }

    async fn is_drained(&self) -> bool {
        let served = |stats: &&QueueStats| self.info.queues.contains(&stats.queue);
        match self.queue.stats().await {
            Ok(stats) => {
                self.outage.works("stats");
                let is_drained =
                    |stats: &QueueStats| stats.unfinished() == stats.count(crate::job::JobState::Unroutable);
                stats.iter().filter(served).all(is_drained)
            }
            Err(error) => {
                self.outage.failed("stats", &error);
                false
            }
        }
    }

    fn wait(&self, cursor: WaitCursor, timeout: Duration) -> Step<()> {
        let request = WaitRequest { queues: self.info.queues.clone(), cursor, timeout };
        let (queue, outage) = (Arc::clone(&self.queue), Arc::clone(&self.outage));
        Box::pin(async move {
            match queue.wait(request).await {
                Ok(()) => outage.works("wait"),
                Err(error) => outage.wait("wait", &error).await,
            }
        })
    }

    fn after_error(&self, error: &QueueError) -> Step<()> {
        let wait = self.outage.failed("claim", error);
        Box::pin(tokio::time::sleep(wait))
    }

    fn note_success(&self) {
        self.claims.note_answered();
        self.outage.works("claim");
    }

    /// Takes in what a claim under way still brings, to give it back.
    async fn last_claim(&mut self, pending: Pending) {
        if let Pending::Claim(claim) = pending
            && let Ok((asked, Ok(claimed))) = tokio::time::timeout(LAST_WORDS, claim).await
        {
            self.take_in(claimed, asked);
        }
    }

    /// Waits until nothing runs but what was given up.
    async fn drain(&mut self) {
        while !self.runs_nothing() && self.running.join_next().await.is_some() {}
    }

    /// Gives back what was not started, waits for what runs, then stops it; then everything is settled.
    async fn finish(&mut self, executor: Arc<Executor>, settling: JoinHandle<()>) {
        for Buffered { job, .. } in std::mem::take(&mut self.buffer) {
            let executor = Arc::clone(&executor);
            self.running.spawn(async move {
                executor.give_back(&job).await;
                Duration::ZERO
            });
        }
        if tokio::time::timeout(self.grace, self.drain()).await.is_err() {
            tracing::warn!(name: event::GRACE_OVER, jobs = self.running.len(), "the grace is over; running handlers are told to stop");
            self.leases.stop_all(Stop::Shutdown);
            let _ = tokio::time::timeout(LAST_WORDS + LAST_RELEASES, self.drain()).await;
        }
        let stuck = self.running.len();
        if stuck > 0 {
            tracing::error!(
                name: event::HANDLERS_LEFT,
                jobs = stuck,
                "handlers block their threads and cannot be stopped; their leases are given up"
            );
            // Not awaited: a task that blocks its thread never sees that it is aborted.
            self.running.abort_all();
            self.running.detach_all();
        }
        drop(executor);
        // A stuck executor would keep the settler for ever.
        let patience = if stuck > 0 { LAST_RELEASES } else { FLUSH };
        if tokio::time::timeout(patience, settling).await.is_err() && stuck == 0 {
            tracing::error!(name: event::SETTLEMENTS_LEFT, "the last settlements could not be stored; their leases will end");
        }
    }
}

/// What ended the waiting.
enum News {
    Claimed(Instant, Result<Claimed, QueueError>),
    Look,
}

impl Pending {
    async fn news(&mut self) -> News {
        match self {
            Self::Nothing => std::future::pending().await,
            Self::Claim(claim) => {
                let (asked, claimed) = claim.await;
                News::Claimed(asked, claimed)
            }
            Self::Idle(idle) => {
                idle.await;
                News::Look
            }
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

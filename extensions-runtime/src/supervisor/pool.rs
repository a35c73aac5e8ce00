//! A pool while it runs: its plan carried out on real processes.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::board::{Line, PoolView};
use super::child::{Child, Force, Happening, Happenings, Program, spawn};
use super::message::{ToProcess, ToSupervisor, Welcome};
use super::plan::{Order, Phase, Process, ProcessId, Roster, Want};
use super::scale::Load;
use crate::config::Pool as Settings;
use crate::job::{QueueName, WorkerId};
use crate::telemetry::names::event;
use crate::telemetry::record;
use crate::worker::WorkerStatus;

/// A process that has said nothing for so long does not count as ready. It speaks every second.
const SILENCE: Duration = Duration::from_secs(10);
const SIGTERM: i32 = 15;

/// What all pools share.
pub(super) struct Shared {
    pub(super) program: Program,
    /// The file that the processes are to read too.
    pub(super) config: Option<PathBuf>,
    pub(super) stop_timeout: Duration,
    pub(super) happenings: Happenings,
    pub(super) next: ProcessId,
    pub(super) generation: u64,
    pub(super) stopping: bool,
    /// How many processes took the place of one that had ended by itself.
    pub(super) restarts: u64,
}

/// A pool and its processes.
pub(super) struct Pool {
    name: String,
    settings: Settings,
    /// The slots of each process, where they change.
    slots: usize,
    roster: Roster,
    members: BTreeMap<ProcessId, Member>,
    /// It is no longer in the configuration.
    given_up: bool,
    /// How many processes ended by themselves and are to be replaced.
    to_replace: u64,
    shown: Option<[u32; 4]>,
}

struct Member {
    child: Child,
    said_hello: bool,
    status: WorkerStatus,
    heard: Instant,
    is_silent: bool,
    metrics: watch::Sender<String>,
    /// When it is killed, if it has not ended before.
    deadline: Option<Instant>,
    /// It was sent SIGTERM.
    terminated: bool,
}

/// What is left of a process that has ended.
pub(super) struct Remains {
    /// Its exit code, or 128 and the number of the signal.
    pub(super) code: u8,
    pub(super) metrics: String,
}

impl Member {
    fn new(child: Child) -> Self {
        Self {
            child,
            said_hello: false,
            status: WorkerStatus::default(),
            heard: Instant::now(),
            is_silent: false,
            metrics: watch::Sender::default(),
            deadline: None,
            terminated: false,
        }
    }

    fn is_ready(&self) -> bool {
        self.status.ready && !self.is_silent
    }

    /// Whether a claim of its worker was answered, however soon it ended then.
    const fn was_ready(&self) -> bool {
        self.status.last_claim.is_some()
    }

    /// Takes what it said. Whether that shows it ready.
    fn hear(&mut self, said: ToSupervisor) -> bool {
        (self.heard, self.is_silent) = (Instant::now(), false);
        match said {
            ToSupervisor::Hello { version } => {
                self.said_hello = true;
                tracing::debug!(pid = self.child.pid, %version, "a process has said hello");
            }
            ToSupervisor::Status(status) => self.status = *status,
            ToSupervisor::Metrics(text) => drop(self.metrics.send_replace(text)),
        }
        self.status.ready
    }

    /// A worker drains when it is told to. What has not said that it is one is asked by a signal, before it has any work.
    fn drain(&mut self, stop_timeout: Duration) {
        self.deadline = Some(Instant::now() + stop_timeout);
        if self.said_hello {
            self.child.tell(ToProcess::Drain);
        } else {
            self.terminated = true;
            self.child.force(Force::Terminate);
        }
    }

    fn code(&self, status: &io::Result<ExitStatus>) -> u8 {
        let Ok(status) = status else { return 1 };
        if self.terminated && !self.said_hello && status.signal() == Some(SIGTERM) {
            return 0;
        }
        let code = status.code().or_else(|| Some(128 + status.signal()?));
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }
}

impl Pool {
    pub(super) fn new(name: String, settings: Settings) -> Self {
        let slots = settings.min_concurrency.unwrap_or(settings.concurrency);
        Self {
            name,
            settings,
            slots,
            roster: Roster::default(),
            members: BTreeMap::new(),
            given_up: false,
            to_replace: 0,
            shown: None,
        }
    }

    /// Takes over what the configuration says now; processes that run keep what they were started with.
    pub(super) fn configure(&mut self, settings: Option<&Settings>) {
        self.given_up = settings.is_none();
        if let Some(settings) = settings {
            self.settings = settings.clone();
            let [least, most] = self.range();
            self.slots = self.slots.clamp(least, most);
        }
    }

    /// The fewest and the most slots of each process.
    fn range(&self) -> [usize; 2] {
        let most = self.settings.concurrency;
        let least = self.settings.min_concurrency.unwrap_or(most);
        [least.min(most), most]
    }

    pub(super) const fn scales(&self) -> bool {
        self.settings.min_concurrency.is_some() && !self.given_up
    }

    fn want(&self, shared: &Shared) -> Want {
        let processes = if self.given_up || shared.stopping { 0 } else { self.settings.processes };
        Want { processes, generation: shared.generation }
    }

    /// Starts and drains what is due. Answers with when to ask again.
    pub(super) fn turn(&mut self, shared: &mut Shared) -> Option<Instant> {
        let now = Instant::now();
        loop {
            let want = self.want(shared);
            let plan = self.roster.plan(want, now);
            if plan.orders.is_empty() {
                let overdue = self.kill_overdue(now);
                return [plan.wake, overdue].into_iter().flatten().min();
            }
            for order in plan.orders {
                match order {
                    Order::Start(seat) => self.start(seat, shared),
                    Order::Drain(id) => self.drain(id, shared.stop_timeout),
                }
            }
        }
    }

    fn start(&mut self, seat: usize, shared: &mut Shared) {
        let id = shared.next;
        shared.next += 1;
        if self.to_replace > 0 {
            self.to_replace -= 1;
            shared.restarts += 1;
            record::process_restarted(&self.name);
        }
        self.roster.started(seat, id, shared.generation, Instant::now());
        let slots = self.settings.min_concurrency.map(|_| self.slots);
        let welcome = Welcome { stop_timeout: shared.stop_timeout, slots };
        let happenings = shared.happenings.clone();
        let config = shared.config.as_deref();
        match spawn(&shared.program, &self.name, config, welcome, id, happenings) {
            Ok(child) => {
                tracing::info!(name: event::PROCESS_STARTED, pool = self.name, pid = child.pid, "a process has started");
                self.members.insert(id, Member::new(child));
            }
            Err(error) => {
                self.roster.ended(id, false, Instant::now(), fastrand::f64());
                self.to_replace += 1;
                let (program, again) = (shared.program.path.display(), self.again_in());
                tracing::error!(name: event::PROCESS_UNSTARTABLE, pool = self.name, %program, %error, again_in = ?again, "a process cannot be started");
            }
        }
    }

    fn again_in(&self) -> Duration {
        let wait = self.roster.next_start(Instant::now()).unwrap_or_default();
        Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    fn drain(&mut self, id: ProcessId, stop_timeout: Duration) {
        self.roster.drains(id);
        if let Some(member) = self.members.get_mut(&id) {
            tracing::info!(name: event::PROCESS_DRAINS, pool = self.name, pid = member.child.pid, "a process is to drain");
            member.drain(stop_timeout);
        }
    }

    /// Kills what has had its time to end. Answers with when the next one has.
    fn kill_overdue(&mut self, now: Instant) -> Option<Instant> {
        for member in self.members.values_mut() {
            if member.deadline.is_some_and(|deadline| deadline <= now) {
                member.deadline = None;
                tracing::error!(name: event::PROCESS_OVERDUE,
                    pool = self.name,
                    pid = member.child.pid,
                    "a process has not ended in time: it is killed"
                );
                member.child.force(Force::Kill);
            }
        }
        self.members.values().filter_map(|member| member.deadline).min()
    }

    pub(super) fn kill_all(&self) {
        for member in self.members.values() {
            member.child.force(Force::Kill);
        }
    }

    /// Whether this is one of its processes.
    pub(super) fn has(&self, id: ProcessId) -> bool {
        self.members.contains_key(&id)
    }

    /// Takes what happened to a process; what is left of it, if that was its end.
    pub(super) fn happened(&mut self, id: ProcessId, happening: Happening) -> Option<Remains> {
        match happening {
            Happening::Said(said) => {
                let member = self.members.get_mut(&id)?;
                let was_ready = member.status.ready;
                if member.hear(said) {
                    self.roster.ready(id);
                    if !was_ready {
                        let worker = member.status.worker.as_ref().map(WorkerId::to_string);
                        tracing::info!(name: event::PROCESS_READY,
                            pool = self.name,
                            pid = member.child.pid,
                            worker,
                            "a process is ready"
                        );
                    }
                }
                None
            }
            Happening::Ended(status) => {
                let member = self.members.remove(&id)?;
                let code = member.code(&status);
                let in_order = code == 0 && member.was_ready();
                let process = self.roster.ended(id, in_order, Instant::now(), fastrand::f64())?;
                self.log_end(&member, &process, &status);
                Some(Remains { code, metrics: member.metrics.borrow().clone() })
            }
        }
    }

    fn log_end(&mut self, member: &Member, process: &Process, status: &io::Result<ExitStatus>) {
        let (pool, pid) = (&self.name, member.child.pid);
        let lived =
            Duration::from_millis(u64::try_from(process.started.elapsed().as_millis()).unwrap_or(u64::MAX));
        let code = status.as_ref().ok().and_then(ExitStatus::code);
        let signal = status.as_ref().ok().and_then(ExitStatusExt::signal);
        if process.phase == Phase::Draining {
            tracing::info!(name: event::PROCESS_DRAINED, pool, pid, code, signal, ?lived, "a process has drained and ended");
            return;
        }
        self.to_replace += 1;
        let (pool, again_in) = (&self.name, self.again_in());
        let why = member.status.report.stopped;
        if code == Some(0) && member.was_ready() {
            tracing::info!(name: event::PROCESS_ENDED, pool, pid, code, ?why, ?lived, ?again_in, "a process has ended and is replaced");
        } else {
            tracing::error!(name: event::PROCESS_DIED, pool, pid, code, signal, ?lived, ?again_in, "a process has died and is replaced");
        }
    }

    pub(super) fn is_over(&self, shared: &Shared) -> bool {
        self.members.is_empty() && self.want(shared).processes == 0
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up && self.members.is_empty()
    }

    pub(super) fn is_settled(&self, shared: &Shared) -> bool {
        self.roster.is_settled(self.want(shared))
    }

    /// What scaling goes by, given how many jobs wait.
    pub(super) fn load(&self, waiting: &BTreeMap<QueueName, u64>) -> Load {
        let [least, most] = self.range();
        let queues = self.settings.queues.names();
        let run_times: Vec<_> =
            self.members.values().filter_map(|member| member.status.mean_run_time).collect();
        let count = u32::try_from(run_times.len()).unwrap_or(u32::MAX);
        Load {
            least,
            most,
            slots: self.slots,
            waiting: queues.iter().filter_map(|queue| waiting.get(queue)).sum(),
            run_time: run_times.into_iter().sum::<Duration>().checked_div(count),
            has_idle: self.members.values().all(|member| member.status.busy < self.slots),
        }
    }

    /// From now on each process has so many slots.
    pub(super) fn resize(&mut self, slots: usize) {
        if self.slots != slots {
            tracing::info!(name: event::POOL_RESIZED,
                pool = self.name,
                from = self.slots,
                to = slots,
                "the slots of each process change"
            );
            self.slots = slots;
            for member in self.members.values() {
                member.child.tell(ToProcess::Slots(slots));
            }
        }
    }

    /// What others see of it.
    pub(super) fn view(&mut self, shared: &Shared) -> PoolView {
        for member in self.members.values_mut() {
            if !member.is_silent && member.said_hello && member.heard.elapsed() > SILENCE {
                member.is_silent = true;
                tracing::warn!(name: event::PROCESS_SILENT,
                    pool = self.name,
                    pid = member.child.pid,
                    "a process has said nothing for {SILENCE:?}"
                );
            }
        }
        let phases: BTreeMap<_, _> =
            self.roster.processes().map(|process| (process.id, process.phase)).collect();
        let count = |such: &dyn Fn(&Member, Phase) -> bool| {
            let is = |(id, member): &(&ProcessId, &Member)| {
                phases.get(id).is_some_and(|phase| such(member, *phase))
            };
            self.members.iter().filter(is).count()
        };
        let draining = count(&|_, phase| phase == Phase::Draining);
        let ready = count(&|member, phase| phase != Phase::Draining && member.is_ready());
        let unready = self.members.len() - draining - ready;
        let slots: usize = self.members.values().map(|member| member.status.slots).sum();
        let figures =
            [ready, unready, draining, slots].map(|figure| u32::try_from(figure).unwrap_or(u32::MAX));
        if self.shown != Some(figures) {
            record::pool_changed(&self.name, figures);
            self.shown = Some(figures);
        }
        PoolView { name: self.name.clone(), wanted: self.want(shared).processes, ready }
    }

    /// How its processes are asked for their metrics.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line> {
        self.members
            .values()
            .map(|member| Line { orders: member.child.orders(), metrics: member.metrics.subscribe() })
    }
}

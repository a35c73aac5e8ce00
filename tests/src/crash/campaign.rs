//! The long form of the faults: continuous load, and what is listed happens at random moments.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::store_faults::Disturbance;
use super::{
    Arena, ClaimPlan, Engine, FakeClock, FirePlan, Invariant, Judgement, Mix, Moment, RacePlan, Release,
    Role, Site, Subject, Terms, Verdict, Wickedness, WorkPlan, garbage,
};
use crate::servers::Persistence;

/// A fault of `reliability.md` that chaos can inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A worker is killed.
    R1,
    /// A firing application is killed.
    R2,
    /// The server is killed and started again.
    R3,
    /// The server is frozen for ten seconds.
    R4,
    /// The line to the server is disturbed.
    R5,
    /// A worker is frozen for longer than its lease.
    R6,
    /// Handlers block, never yield, panic, overflow their stack and abort.
    R7,
    /// The workers' wall clocks jump by an hour.
    R8,
    /// Claimers race past the workers.
    R10,
    /// Firers race on one unique key.
    R11,
    /// A worker is sent a signal.
    R12,
    /// Another release fires and works beside.
    R14,
    /// Garbage is put into the store.
    R15,
}

/// What is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An engine that chaos starts for itself.
    Own(Engine),
    /// The store of somebody else's that a URL names.
    Url(Engine, String),
}

/// A run of chaos.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// What is broken.
    pub target: Target,
    /// How.
    pub faults: Vec<FaultKind>,
    /// For how long.
    pub seconds: u64,
    /// What all choices depend on.
    pub seed: u64,
    /// What the Redis of its own writes to its disk.
    pub persistence: Persistence,
}

/// What a run of chaos found.
#[derive(Debug)]
pub struct Outcome {
    campaign: Campaign,
    injected: BTreeMap<FaultKind, usize>,
    /// The verdicts.
    pub judgement: Judgement,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::R1,
        Self::R2,
        Self::R3,
        Self::R4,
        Self::R5,
        Self::R6,
        Self::R7,
        Self::R8,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R14,
        Self::R15,
    ];

    /// Its number.
    #[must_use]
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 13] =
            ["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R10", "R11", "R12", "R14", "R15"];
        NAMES[self as usize]
    }

    const fn needs_server(self) -> bool {
        matches!(self, Self::R3 | Self::R4 | Self::R5)
    }

    /// Whether it can be injected there.
    #[must_use]
    pub fn suits(self, target: &Target) -> bool {
        !self.needs_server() || matches!(target, Target::Own(engine) if engine.is_server())
    }
}

impl Target {
    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Own(engine) | Self::Url(engine, _) => *engine,
        }
    }
}

/// The lease of all workers.
const LEASE: Duration = Duration::from_secs(3);
/// Where the fires of one subject start.
const BLOCK: u64 = 10_000_000;
/// How long the queue may take to become empty, once nothing happens any more.
const DRAIN: u64 = 120;

impl Campaign {
    /// Whether everything that is listed can be done.
    ///
    /// # Errors
    ///
    /// What cannot, and why.
    pub fn check(&self) -> Result<(), String> {
        let Some(fault) = self.faults.iter().find(|fault| !fault.suits(&self.target)) else { return Ok(()) };
        let name = fault.name();
        Err(match &self.target {
            Target::Own(engine) => format!("{name} is about a server, and {} has none", engine.name()),
            Target::Url(..) => format!(
                "{name} needs the server's own process, which chaos has only where it starts it: give `--backend postgres` or `--backend redis` instead of a URL"
            ),
        })
    }

    /// Does it.
    ///
    /// # Panics
    ///
    /// If the harness itself fails, such as where a server does not start.
    pub async fn run(self, program: &Path) -> Outcome {
        let needs_proxy = self.faults.contains(&FaultKind::R5);
        let (target, persistence) = (self.target.clone(), self.persistence);
        let arena = Arena::new(program, self.seed, async |folder| match target {
            Target::Url(engine, url) => Site::at(engine, url),
            Target::Own(engine) => {
                let site = Site::own(engine, persistence, folder).await;
                if needs_proxy { site.behind_a_proxy().await } else { site }
            }
        })
        .await;
        let mut field = Field::new(arena, &self).await;
        let injected = field.rage(&self).await;
        let judgement = field.end(&self).await;
        Outcome { campaign: self, injected, judgement }
    }

    fn terms(&self) -> Terms {
        Terms {
            may_lose: self.persistence == Persistence::Everysec && self.faults.contains(&FaultKind::R3),
            clock_jumps: self.target.engine() == Engine::Sqlite && self.faults.contains(&FaultKind::R8),
            ..Terms::recovery_within(LEASE + Duration::from_secs(5))
        }
    }
}

/// The processes of a run.
struct Field {
    arena: Arena,
    workers: Vec<Worker>,
    firers: Vec<Subject>,
    mix: Mix,
    clock: Option<FakeClock>,
    /// Where the next firer's numbers start.
    next: u64,
}

/// A worker, and when it was last seen alive.
struct Worker {
    subject: Subject,
    release: Release,
    seen: Moment,
}

impl Field {
    async fn new(mut arena: Arena, campaign: &Campaign) -> Self {
        let jumps = campaign.faults.contains(&FaultKind::R8);
        let clock = jumps.then(|| arena.fake_clock());
        // Where the store's clock is the machine's, what is to wait until a time of a clock that jumped waits for an hour.
        let waits = !(jumps && arena.site().engine() == Engine::Sqlite);
        let mix = Mix {
            ordered: if waits { 10 } else { 0 },
            charged: if waits { 2 } else { 0 },
            shipment: if campaign.faults.contains(&FaultKind::R14) { 3 } else { 0 },
            ..Mix::everything()
        };
        let mut field = Self { arena, workers: Vec::new(), firers: Vec::new(), mix, clock, next: 0 };
        for _ in 0..3 {
            field.add_worker(Release::Old).await;
        }
        for _ in 0..2 {
            let firer = field.firer(None).await;
            field.firers.push(firer);
        }
        field
    }

    async fn add_worker(&mut self, release: Release) {
        let plan = WorkPlan { lease: LEASE, ..WorkPlan::default() };
        let subject = self.arena.start_release(release, Role::Work(plan)).await;
        self.workers.push(Worker { subject, release, seen: Moment::now() });
    }

    fn block(&mut self) -> u64 {
        self.next += BLOCK;
        self.next
    }

    async fn firer(&mut self, pause_at: Option<u64>) -> Subject {
        let first = self.block();
        let plan = FirePlan { mix: self.mix, pace: Some(30), pause_at, ..FirePlan::of(BLOCK, first) };
        self.arena.start(Role::Fire(plan)).await
    }

    /// Injects what is listed, at random moments, until the time is over.
    async fn rage(&mut self, campaign: &Campaign) -> BTreeMap<FaultKind, usize> {
        let end = Instant::now() + Duration::from_secs(campaign.seconds);
        let mut injected: BTreeMap<_, _> = campaign.faults.iter().map(|kind| (*kind, 0)).collect();
        // Each has its turn before one comes again.
        let mut turns = Vec::new();
        while Instant::now() < end {
            let millis = self.arena.rng.u64(100..2500);
            self.go_on(Duration::from_millis(millis).min(end.saturating_duration_since(Instant::now())))
                .await;
            if turns.is_empty() {
                turns.clone_from(&campaign.faults);
                self.arena.rng.shuffle(&mut turns);
            }
            let Some(kind) = turns.pop().filter(|_| Instant::now() < end) else { continue };
            self.inject(kind).await;
            *injected.entry(kind).or_default() += 1;
        }
        injected
    }

    /// Lets time pass, and starts workers again that ended by themselves, as a supervisor does.
    async fn go_on(&mut self, how_long: Duration) {
        let end = Instant::now() + how_long;
        loop {
            self.tend().await;
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn tend(&mut self) {
        let mut died = Vec::new();
        for worker in &mut self.workers {
            if worker.subject.lives().expect("a child can be looked at") {
                worker.seen = Moment::now();
            } else {
                died.push((worker.subject.name().to_owned(), worker.release, worker.seen));
            }
        }
        self.workers.retain(|worker| died.iter().all(|(name, ..)| name != worker.subject.name()));
        for (name, release, seen) in died {
            self.arena.fault_of(&name, "ended by a handler", seen).await;
            self.add_worker(release).await;
        }
    }

    fn any_worker(&mut self) -> usize {
        self.arena.rng.usize(0..self.workers.len())
    }

    async fn inject(&mut self, kind: FaultKind) {
        match kind {
            FaultKind::R1 => self.kill_a_worker().await,
            FaultKind::R2 => self.kill_a_firer().await,
            FaultKind::R3 => {
                let down = Duration::from_millis(self.arena.rng.u64(0..2000));
                self.arena.kill_server(down).await;
            }
            FaultKind::R4 => self.arena.freeze_server(Duration::from_secs(10)).await,
            FaultKind::R5 => {
                let how = Disturbance::ALL[self.arena.rng.usize(0..Disturbance::ALL.len())];
                let seconds = self.arena.rng.u64(2..8);
                self.arena.disturb(how, Duration::from_secs(seconds)).await;
            }
            FaultKind::R6 => self.freeze_a_worker().await,
            FaultKind::R7 => self.hurt_workers().await,
            FaultKind::R8 => self.let_clocks_jump().await,
            FaultKind::R10 => self.race_claims().await,
            FaultKind::R11 => self.race_fires().await,
            FaultKind::R12 => self.signal_a_worker().await,
            FaultKind::R14 => self.mix_releases().await,
            FaultKind::R15 => garbage::plant_some(&mut self.arena).await,
        }
    }

    async fn kill_a_worker(&mut self) {
        let at = self.any_worker();
        let mut worker = self.workers.swap_remove(at);
        self.arena.kill(&mut worker.subject).await;
        self.add_worker(worker.release).await;
    }

    /// The next one stops between its inline handlers and its push, sooner or later, and is killed there too.
    async fn kill_a_firer(&mut self) {
        let at = self.arena.rng.usize(0..self.firers.len());
        let mut firer = self.firers.swap_remove(at);
        self.arena.kill(&mut firer).await;
        let pause_at = self.arena.rng.bool().then(|| self.arena.rng.u64(0..100));
        let firer = self.firer(pause_at).await;
        self.firers.push(firer);
    }

    async fn freeze_a_worker(&mut self) {
        let at = self.any_worker();
        let from = self.workers[at].subject.freeze().await.expect("the worker lives");
        tokio::time::sleep(LEASE + Duration::from_millis(1500)).await;
        self.workers[at].subject.thaw().expect("the worker lives");
        self.arena.fault(&self.workers[at].subject, "frozen", from).await;
    }

    async fn hurt_workers(&mut self) {
        let all = [
            Wickedness::Blocks,
            Wickedness::NeverYields,
            Wickedness::Panics,
            Wickedness::Overflows,
            Wickedness::Aborts,
        ];
        let one = all[self.arena.rng.usize(0..all.len())];
        let first = self.block();
        let mix = Mix { wicked: 1, ..Mix::default() };
        let plan = FirePlan { mix, wicked: vec![one], ..FirePlan::of(1, first) };
        let mut firer = self.arena.start(Role::Fire(plan)).await;
        let _ = firer.ended(Duration::from_secs(60)).await;
        self.go_on(Duration::from_secs(1)).await;
    }

    async fn let_clocks_jump(&mut self) {
        let clock = self.clock.clone().expect("the clocks are the harness's");
        let hour = if self.arena.rng.bool() { 3600 } else { -3600 };
        for offset in [hour, -hour, 0] {
            clock.jump(offset);
            self.go_on(Duration::from_millis(700)).await;
        }
    }

    async fn race_claims(&mut self) {
        let mut claimers = Vec::new();
        for batch in [1, 2] {
            claimers.push(self.arena.start(Role::Claim(ClaimPlan { tasks: 8, batch })).await);
        }
        for claimer in &mut claimers {
            claimer.say("go").await.expect("the claimer lives");
        }
        for mut claimer in claimers {
            let ended = claimer.ended(Duration::from_secs(60)).await.expect("the claimer ends");
            assert!(ended.success(), "{}", claimer.log());
        }
    }

    async fn race_fires(&mut self) {
        let mut firers = Vec::new();
        for _ in 0..2 {
            let first = self.block();
            firers.push(self.arena.start(Role::Race(RacePlan { tasks: 8, first })).await);
        }
        for round in 0..10 {
            for firer in &mut firers {
                firer.say(&format!("race-{}", round % 3)).await.expect("the firer lives");
            }
            for firer in &mut firers {
                firer.hear(Duration::from_secs(60)).await.expect("the firer answers");
            }
        }
    }

    async fn signal_a_worker(&mut self) {
        let at = self.any_worker();
        let mut worker = self.workers.swap_remove(at);
        let signal = [Signal::TERM, Signal::INT, Signal::HUP][self.arena.rng.usize(0..3)];
        worker.subject.signal(signal).expect("the worker lives");
        let from = Moment::now();
        let ended = worker.subject.ended(Duration::from_secs(40)).await.expect("the worker ends");
        if ended.code() != Some(0) {
            // A wicked handler was faster.
            self.arena.fault(&worker.subject, "ended by a handler", from).await;
        }
        self.add_worker(worker.release).await;
    }

    /// Upgrades a worker, or takes one back; fires of the other release come from a firer of its own.
    async fn mix_releases(&mut self) {
        let at = (0..self.workers.len()).find(|at| self.workers[*at].release == Release::New);
        let (at, release) = match at {
            Some(at) => (at, Release::Old),
            None => (self.any_worker(), Release::New),
        };
        let mut worker = self.workers.swap_remove(at);
        self.arena.stop(&mut worker.subject).await;
        self.add_worker(release).await;
        let first = self.block();
        let mix = Mix { shipment: 1, ..Mix::default() };
        let plan = FirePlan { mix, ..FirePlan::of(50, first) };
        let mut firer = self.arena.start_release(Release::New, Role::Fire(plan)).await;
        let _ = firer.ended(Duration::from_secs(60)).await;
    }

    /// Ends the load, waits until the queue is empty, and judges.
    async fn end(mut self, campaign: &Campaign) -> Judgement {
        for firer in &mut self.firers {
            let _ = firer.say("stop").await;
            if firer.ended(Duration::from_secs(5)).await.is_err() {
                // It stopped at its marker for good.
                self.arena.kill(firer).await;
            }
        }
        if campaign.faults.contains(&FaultKind::R14) {
            for release in [Release::Old, Release::New] {
                self.add_worker(release).await;
            }
        }
        let left = self.drain().await;
        for worker in &mut self.workers {
            self.arena.stop(&mut worker.subject).await;
        }
        let (_, mut judgement) = self.arena.judge(&campaign.terms()).await;
        if let Err(left) = left {
            let recovery = &mut judgement.verdicts[Invariant::I7 as usize];
            *recovery = Verdict {
                held: false,
                broken: [vec![left], std::mem::take(&mut recovery.broken)].concat(),
                ..recovery.clone()
            };
        }
        judgement
    }

    /// Wicked jobs go on to end workers until they are quarantined.
    async fn drain(&mut self) -> Result<(), String> {
        let mut left = Ok(());
        for _ in 0..DRAIN {
            self.go_on(Duration::from_millis(200)).await;
            left = self.arena.drained_within(1).await;
            if left.is_ok() {
                break;
            }
        }
        left
    }
}

impl Outcome {
    /// The one object that `--json` prints.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let counts = &self.judgement.counts;
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis());
        let injected: BTreeMap<_, _> =
            self.injected.iter().map(|(kind, times)| (kind.name(), times)).collect();
        let invariants: BTreeMap<_, _> = self
            .judgement
            .verdicts
            .iter()
            .map(|verdict| (format!("{:?}", verdict.invariant), verdict))
            .collect();
        json!({
            "backend": self.campaign.target.engine().name(),
            "seed": self.campaign.seed,
            "seconds": self.campaign.seconds,
            "faults": self.campaign.faults.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
            "counts": {
                "fires": counts.fires,
                "jobs": counts.jobs,
                "runs": counts.runs,
                "repeats": counts.repeats,
                "in_flight": counts.in_flight,
                "faults": counts.faults,
                "injected": injected,
                "recovery_median_ms": millis(counts.recovery_median),
                "recovery_longest_ms": millis(counts.recovery_longest),
            },
            "invariants": invariants,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Campaign { target, seconds, seed, .. } = &self.campaign;
        writeln!(f, "{} for {seconds} s, seed {seed}\n", target.engine().name())?;
        for (kind, times) in &self.injected {
            writeln!(f, "{:<4} {times} times", kind.name())?;
        }
        let counts = &self.judgement.counts;
        writeln!(
            f,
            "\n{} fires, {} jobs, {} runs, {} faults, {} runs in flight at them, {} repeated",
            counts.fires, counts.jobs, counts.runs, counts.faults, counts.in_flight, counts.repeats
        )?;
        if let (Some(median), Some(longest)) = (counts.recovery_median, counts.recovery_longest) {
            writeln!(f, "taken up again after {median:.2?} (median), {longest:.2?} (longest)")?;
        }
        writeln!(f)?;
        for verdict in &self.judgement.verdicts {
            let held = if verdict.held { "held" } else { "BROKEN" };
            writeln!(f, "{:?}  {held:<6}  {}", verdict.invariant, verdict.detail)?;
        }
        write!(f, "{}", self.judgement.complaints())
    }
}

//! What the harness tells a subject to do: one JSON argument.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The queue of the checker's own probes; no subject serves it.
pub const PROBES: &str = "probes-of-the-checker";

/// A subject's orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    /// Its name in ledgers and faults.
    pub process: String,
    /// Where its ledger is.
    pub ledger: PathBuf,
    /// The queue.
    pub queue_url: String,
    /// What its choices depend on.
    pub seed: u64,
    /// Which release of the application it is.
    pub release: Release,
    /// What it does.
    pub role: Role,
}

/// A release of the application, where two of them stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// Has `shipment` at version 1, with the handlers `pack` and `label`.
    #[default]
    Old,
    /// Has `shipment` at version 2, with the handlers `pack` and `track`.
    New,
}

/// What a subject does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Fires points, until a line on its standard input at the latest.
    Fire(FirePlan),
    /// Fires in transactions of its own, each with a row of the application's, until it is killed.
    Sell {
        /// The first fire's number.
        first: u64,
    },
    /// Works until it is told to end.
    Work(WorkPlan),
    /// Supervises pools of processes until it is told to end.
    Supervise {
        /// The configuration's file, which says how to start them.
        config: PathBuf,
    },
    /// Works as a process of a supervisor's pool, under a name and with a ledger of its own.
    Pool,
    /// Claims and settles past the worker, from many tasks at once; starts at a line on its standard input.
    Claim(ClaimPlan),
    /// For every line on its standard input, fires one unique key from many tasks at once.
    Race(RacePlan),
}

/// How to fire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FirePlan {
    /// How many fires.
    pub fires: u64,
    /// The first fire's number.
    pub first: u64,
    /// How many tasks fire at once.
    pub tasks: u64,
    /// Which points, and how often.
    pub mix: Mix,
    /// The longest that a slow handler takes, in milliseconds.
    pub handler_ms: u64,
    /// The share of flaky handlers' jobs that fail at first.
    pub fail_share: f64,
    /// How many unique keys there are.
    pub keys: u64,
    /// What wicked jobs do, in turn.
    pub wicked: Vec<Wickedness>,
    /// How many fires a second, where they are not as fast as can be.
    pub pace: Option<u64>,
    /// The fire, counted from 0, that stops between its inline handlers and its push, for good.
    pub pause_at: Option<u64>,
}

/// How often each point is fired, in relation to the others.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Mix {
    /// Three jobs: quick, slow, and failing at first.
    pub ordered: u32,
    /// One job that fails until it is dead, with `on_failure`.
    pub charged: u32,
    /// One job with a unique key.
    pub reindexed: u32,
    /// One job of a blocking handler.
    pub rendered: u32,
    /// One long job, which notices when it was frozen or is told to stop.
    pub held: u32,
    /// One long job, which notices nothing.
    pub stubborn: u32,
    /// One job that hurts its worker, in the ways that the plan has.
    pub wicked: u32,
    /// Two jobs that depend on the release.
    pub shipment: u32,
    /// One job that books a row and completes itself in one transaction of the application's.
    pub booked: u32,
}

/// What a handler does to its worker, in its first attempt; later ones do no harm unless the process dies of it every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wickedness {
    /// Blocks its thread for longer than its time-out.
    Blocks,
    /// Computes without a pause for longer than its time-out.
    NeverYields,
    /// Panics, in every attempt.
    Panics,
    /// Overflows its stack, in every attempt.
    Overflows,
    /// Aborts the process, in every attempt.
    Aborts,
}

/// How to work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkPlan {
    /// How many jobs at once.
    pub concurrency: usize,
    /// The lease.
    pub lease: Duration,
    /// The grace at shut-down.
    pub grace: Duration,
}

/// How to claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimPlan {
    /// How many claimers.
    pub tasks: usize,
    /// The most jobs in one claim.
    pub batch: usize,
}

/// How to race.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RacePlan {
    /// How many firers.
    pub tasks: u64,
    /// The first fire's number.
    pub first: u64,
}

impl Mix {
    /// All kinds that end by themselves.
    #[must_use]
    pub const fn everything() -> Self {
        Self {
            ordered: 10,
            charged: 2,
            reindexed: 4,
            rendered: 2,
            held: 0,
            stubborn: 0,
            wicked: 0,
            shipment: 0,
            booked: 0,
        }
    }
}

impl FirePlan {
    /// So many fires of all kinds, with handlers of 0–50 ms.
    #[must_use]
    pub const fn of(fires: u64, first: u64) -> Self {
        Self {
            fires,
            first,
            tasks: 4,
            mix: Mix::everything(),
            handler_ms: 50,
            fail_share: 0.2,
            keys: 20,
            wicked: Vec::new(),
            pace: None,
            pause_at: None,
        }
    }
}

impl Default for WorkPlan {
    fn default() -> Self {
        Self { concurrency: 16, lease: Duration::from_secs(30), grace: Duration::from_secs(25) }
    }
}

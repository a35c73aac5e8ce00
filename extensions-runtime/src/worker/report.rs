//! What a worker did.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::job::Job;
use super::tallies::Tallies;
use crate::job::ErrorKind;
use crate::queue::Settle;

/// What a worker did until it ended. Counts are of settlements that took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Jobs completed.
    pub completed: u64,
    /// Attempts that failed, those that ended a job included.
    pub failed: u64,
    /// Jobs that will be tried again after a failed attempt.
    pub retried: u64,
    /// Jobs that are dead, expired ones included.
    pub dead: u64,
    /// Jobs that were too old to be started (`expires_in`).
    pub expired: u64,
    /// Handlers that did not return within 5 s of their time-out, or that were given up otherwise while their threads go on.
    pub stuck: u64,
    /// Jobs cancelled.
    pub cancelled: u64,
    /// Jobs that put themselves off.
    pub snoozed: u64,
    /// Jobs given back without an attempt, at shut-down above all.
    pub released: u64,
    /// Settlements refused because the lease was gone.
    pub lost: u64,
    /// Owed `on_failure` calls made for other workers.
    pub owed_callbacks: u64,
    /// How often the connection to the queue was lost.
    pub connection_losses: u64,
    /// Why it ended.
    pub stopped: StopReason,
}

impl WorkerReport {
    /// Takes in what a later worker did.
    pub(super) fn add(&mut self, later: Self) {
        self.completed += later.completed;
        self.failed += later.failed;
        self.retried += later.retried;
        self.dead += later.dead;
        self.expired += later.expired;
        self.stuck += later.stuck;
        self.cancelled += later.cancelled;
        self.snoozed += later.snoozed;
        self.released += later.released;
        self.lost += later.lost;
        self.owed_callbacks += later.owed_callbacks;
        self.connection_losses += later.connection_losses;
        self.stopped = later.stopped;
    }
}

/// Why a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// It was told to, by a signal, by `run_until`'s future, or by its [`Control`](super::Control).
    #[default]
    Asked,
    /// Nothing was left to do (`stop_when_empty`, `stop_when_drained`).
    Empty,
    /// It ran as many jobs as it was to (`max_jobs`).
    MaxJobs,
    /// It ran as long as it was to (`max_time`).
    MaxTime,
    /// Its process had grown larger than it was to (`max_memory`).
    MaxMemory,
}

/// The counts while the worker runs.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) completed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) dead: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) stuck: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) snoozed: AtomicU64,
    pub(super) released: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) owed_callbacks: AtomicU64,
    /// The same by queue and handler, since the last beat.
    pub(super) tallies: Tallies,
}

pub(super) fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    /// Counts the end of a claim that took effect.
    pub(super) fn note(&self, job: &Job, end: &Settle) {
        self.tallies.note(job, end);
        if let Some(outcome) = outcome(end) {
            job.work().ended(outcome);
        }
        match end {
            Settle::Complete { .. } => add(&self.completed),
            Settle::Retry { .. } => {
                add(&self.failed);
                add(&self.retried);
            }
            Settle::Bury { error, .. } => {
                job.work().dead();
                add(&self.dead);
                add(if error.kind == ErrorKind::Expired { &self.expired } else { &self.failed });
            }
            Settle::Cancel { .. } => add(&self.cancelled),
            Settle::Snooze { .. } => add(&self.snoozed),
            Settle::Release => add(&self.released),
            Settle::CallbackDone => {}
        }
    }

    /// Counts a job that its handler has completed in a transaction of its own.
    pub(super) fn note_completed(&self, job: &Job) {
        add(&self.completed);
        self.tallies.note_completed(job);
        job.work().ended("completed");
    }

    /// Counts a claim that was lost before its end.
    pub(super) fn note_lost(&self, job: &Job) {
        add(&self.lost);
        job.work().lost();
    }

    pub(super) fn report(&self, stopped: StopReason, connection_losses: u64) -> WorkerReport {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        WorkerReport {
            completed: get(&self.completed),
            failed: get(&self.failed),
            retried: get(&self.retried),
            dead: get(&self.dead),
            expired: get(&self.expired),
            stuck: get(&self.stuck),
            cancelled: get(&self.cancelled),
            snoozed: get(&self.snoozed),
            released: get(&self.released),
            lost: get(&self.lost),
            owed_callbacks: get(&self.owed_callbacks),
            connection_losses,
            stopped,
        }
    }
}

/// What metrics call the end of a claim; that a callback was made is none of an attempt.
fn outcome(end: &Settle) -> Option<&'static str> {
    Some(match end {
        Settle::Complete { .. } => "completed",
        Settle::Retry { .. } => "retried",
        Settle::Bury { error, .. } if error.kind == ErrorKind::Expired => "expired",
        Settle::Bury { .. } => "dead",
        Settle::Cancel { .. } => "cancelled",
        Settle::Snooze { .. } => "snoozed",
        Settle::Release => "released",
        Settle::CallbackDone => return None,
    })
}

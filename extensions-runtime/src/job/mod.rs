//! What a queue carries: the job, its names, its states, and its versioned envelope.
//!
//! [`NewJob`] is what a fire pushes, [`ClaimedJob`] what a worker gets, [`JobRecord`] what an operator
//! sees. The handle that a handler gets, `Job`, lives in the worker.

mod derived;
mod envelope;
mod id;
mod state;
mod unique;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::derived::DerivedIds;
pub use self::envelope::{ENVELOPE_VERSION, Envelope, EnvelopeError};
pub use self::id::{FireId, HandlerKey, JobId, QueueName, WorkerId};
pub use self::state::{JobState, UnknownState};
pub use self::unique::{UniqueKey, UniqueUntil, canonical_fields, canonical_json};
use crate::time::Timestamp;

/// How many attempts' errors a job keeps; older ones go first.
pub const KEPT_ERRORS: usize = 20;

/// How many losses after a recorded start make a job `quarantined`.
pub const LOSSES_TO_QUARANTINE: u32 = 3;

/// A point as it is carried: JSON, shared by all jobs of one fire. What a store hands back may be anything.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, with what is not UTF-8 replaced; for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// What travels with a job and no backend decides on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMeta {
    /// The outermost fire that this job stems from.
    pub root: FireId,
    /// How many fires deep the job's own fire was nested; 0 for the outermost. A follow-up counts on from the job that fired it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u32,
    /// The job whose handler fired this one, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<JobId>,
    /// The W3C `traceparent` of the fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The tenant in whose scope the fire ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The user in whose scope the fire ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The request in whose scope the fire ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The other scopes in which the fire ran, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The job's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(depth: &u32) -> bool {
    *depth == 0
}

impl JobMeta {
    /// Metadata of a job of the outermost fire `root`.
    #[must_use]
    pub const fn new(root: FireId) -> Self {
        Self {
            root,
            depth: 0,
            parent: None,
            traceparent: None,
            tenant: None,
            user: None,
            request: None,
            scopes: Vec::new(),
            tags: Vec::new(),
        }
    }
}

/// The unique lock that a job wants to take when it is pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueLock {
    /// The key.
    pub key: UniqueKey,
    /// The longest time for which the lock holds, counted from the push; none: until the job ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// Whether the lock ends when the job starts or when it ends.
    #[serde(default)]
    pub until: UniqueUntil,
}

/// A job that is to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The job's id.
    pub id: JobId,
    /// The handler that runs it.
    pub handler: HandlerKey,
    /// The version of the point's payload.
    pub point_version: u32,
    /// The point.
    pub payload: Payload,
    /// The queue it goes to.
    pub queue: QueueName,
    /// Its rank in the queue: 0 first, 9 last.
    pub priority: u8,
    /// The largest number of attempts, the first included; at least 1.
    pub max_attempts: u32,
    /// How long after the push, by the backend's clock, the job may run.
    pub delay: Duration,
    /// The unique lock it needs, if any.
    pub unique: Option<UniqueLock>,
    /// Whether its handler has an `on_failure` callback, which a backend owes it where the backend itself
    /// ends the job (`quarantined`).
    pub on_failure: bool,
    /// How long from the push on its id stays taken, even when no record of the job remains: a push of the same id within
    /// that time changes nothing. None: as long as the record is there.
    pub once: Option<Duration>,
    /// What travels along.
    pub meta: JobMeta,
}

/// The proof of a claim: a settlement or extension with another job's or an older token changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseToken(pub u64);

/// What a claimed job was claimed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// An attempt: run the handler.
    Attempt,
    /// The job has ended without success and its `on_failure` is still owed: call it, run nothing else.
    OnFailure,
}

/// A job under a worker's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJob {
    /// The job's id.
    pub id: JobId,
    /// The proof of the claim.
    pub token: LeaseToken,
    /// What to do with it.
    pub purpose: Purpose,
    /// The handler that runs it.
    pub handler: HandlerKey,
    /// The version of the point's payload.
    pub point_version: u32,
    /// The point, as stored.
    pub payload: Payload,
    /// The queue it came from.
    pub queue: QueueName,
    /// Its rank in the queue.
    pub priority: u8,
    /// The number of this attempt, from 1. For [`Purpose::OnFailure`] that of the last one.
    pub attempt: u32,
    /// The largest number of attempts.
    pub max_attempts: u32,
    /// How often a worker died over it after its start was recorded.
    pub lost_count: u32,
    /// When it was pushed.
    pub enqueued_at: Timestamp,
    /// How long ago that was when it was claimed, by the backend's clock.
    pub age: Duration,
    /// Whether the backend owes `on_failure` where it ends the job by itself.
    pub on_failure: bool,
    /// The error that ended it; only for [`Purpose::OnFailure`].
    pub last_error: Option<AttemptError>,
    /// What travels along. Unreadable metadata is replaced by that of a new root.
    pub meta: JobMeta,
}

/// One failed attempt, as kept with the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptError {
    /// The attempt's number.
    pub attempt: u32,
    /// When it failed. A backend with a clock of its own overwrites it.
    pub at: Timestamp,
    /// What kind of failure it was.
    pub kind: ErrorKind,
    /// The error and its sources, shortened to 4 KiB.
    pub message: String,
    /// The worker that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// How long the attempt took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Duration>,
}

/// Why an attempt or a job failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The handler returned an error.
    Failed,
    /// The handler said that trying again is pointless.
    Permanent,
    /// What the work is about is gone.
    Missing,
    /// The handler panicked.
    Panicked,
    /// The handler ran longer than its time-out.
    TimedOut,
    /// The payload is not what the point's type can be read from.
    Undecodable,
    /// The job's workers died over it.
    Lost,
    /// The job was not started in time.
    Expired,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Permanent => "failed for good",
            Self::Missing => "missing",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed out",
            Self::Undecodable => "undecodable payload",
            Self::Lost => "workers lost",
            Self::Expired => "expired",
        })
    }
}

/// How far a running job is, as its handler says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// From 0.0 to 1.0.
    pub fraction: f64,
    /// What it is doing.
    pub note: String,
}

/// A job as an operator sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobRecord {
    /// The job's id.
    pub id: JobId,
    /// Its state.
    pub state: JobState,
    /// The handler that runs it.
    pub handler: HandlerKey,
    /// The version of the point's payload.
    pub point_version: u32,
    /// The point, as stored.
    #[serde(serialize_with = "payload_text")]
    pub payload: Payload,
    /// Its queue.
    pub queue: QueueName,
    /// Its rank in the queue.
    pub priority: u8,
    /// Attempts made so far, a running one included.
    pub attempt: u32,
    /// The largest number of attempts.
    pub max_attempts: u32,
    /// How often a worker died over it after its start was recorded.
    pub lost_count: u32,
    /// When it may run next.
    pub run_at: Timestamp,
    /// When it was pushed.
    pub enqueued_at: Timestamp,
    /// When it last entered each state that it was in.
    pub entered: BTreeMap<JobState, Timestamp>,
    /// The last attempts' errors, oldest first, at most [`KEPT_ERRORS`].
    pub errors: Vec<AttemptError>,
    /// Why it was cancelled.
    pub reason: Option<String>,
    /// The unique key it holds or held.
    pub unique: Option<UniqueKey>,
    /// The worker that has it.
    pub worker: Option<WorkerId>,
    /// What its handler last said of its progress.
    pub progress: Option<Progress>,
    /// What its handler asked to be kept of a completed job, as JSON.
    #[serde(serialize_with = "result_text")]
    pub result: Option<Payload>,
    /// Whether its `on_failure` is still owed.
    pub owes_on_failure: bool,
    /// What travels along.
    pub meta: JobMeta,
}

#[allow(clippy::ref_option)]
fn result_text<S: serde::Serializer>(result: &Option<Payload>, serializer: S) -> Result<S::Ok, S::Error> {
    result.as_ref().map(Payload::to_text).serialize(serializer)
}

fn payload_text<S: serde::Serializer>(payload: &Payload, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&payload.to_text())
}

//! Jobs, as an operator sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::selection::since;
use crate::job::{
    AttemptError, ErrorKind, HandlerKey, JobId, JobMeta, JobRecord, JobState, Payload, Progress, QueueName,
    UniqueKey, WorkerId,
};
use crate::time::Timestamp;

/// A job in a list.
#[derive(Debug, Serialize)]
pub(crate) struct JobLine {
    pub(crate) id: JobId,
    pub(crate) state: JobState,
    pub(crate) handler: HandlerKey,
    pub(crate) queue: QueueName,
    pub(crate) priority: u8,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) enqueued_at: String,
    pub(crate) run_at: String,
    /// When it came into its state.
    pub(crate) since: String,
    /// The message of the last attempt's error, or why it was cancelled.
    pub(crate) error: Option<String>,
    #[serde(skip)]
    pub(crate) entered: Timestamp,
}

impl From<JobRecord> for JobLine {
    fn from(job: JobRecord) -> Self {
        let entered = since(&job);
        let mut errors = job.errors;
        Self {
            id: job.id,
            state: job.state,
            handler: job.handler,
            queue: job.queue,
            priority: job.priority,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            enqueued_at: job.enqueued_at.to_string(),
            run_at: job.run_at.to_string(),
            since: entered.to_string(),
            error: job.reason.or_else(|| errors.pop().map(|error| error.message)),
            entered,
        }
    }
}

/// All that is known of a job.
#[derive(Debug, Serialize)]
pub(crate) struct JobView {
    pub(crate) id: JobId,
    pub(crate) state: JobState,
    pub(crate) handler: HandlerKey,
    pub(crate) point_version: u32,
    pub(crate) queue: QueueName,
    pub(crate) priority: u8,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) lost_count: u32,
    pub(crate) enqueued_at: String,
    pub(crate) run_at: String,
    /// When it last came into each state that it was in.
    pub(crate) entered: BTreeMap<JobState, String>,
    pub(crate) errors: Vec<ErrorView>,
    pub(crate) reason: Option<String>,
    pub(crate) unique: Option<UniqueKey>,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) progress: Option<Progress>,
    pub(crate) owes_on_failure: bool,
    pub(crate) meta: JobMeta,
    pub(crate) payload: PayloadView,
    pub(crate) result: Option<PayloadView>,
    #[serde(skip)]
    pub(crate) since: Timestamp,
    #[serde(skip)]
    pub(crate) due: Timestamp,
}

/// One attempt that failed.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorView {
    pub(crate) attempt: u32,
    pub(crate) at: String,
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) worker: Option<WorkerId>,
    /// How many seconds the attempt took.
    pub(crate) took: Option<f64>,
}

/// What a store holds of a point or a result: JSON as a rule, and else its bytes as text.
#[derive(Debug, Serialize)]
pub(crate) struct PayloadView {
    pub(crate) bytes: usize,
    /// None where it is no JSON.
    pub(crate) json: Option<Value>,
    /// None where it is JSON.
    pub(crate) text: Option<String>,
}

impl From<&Payload> for PayloadView {
    fn from(payload: &Payload) -> Self {
        let json = serde_json::from_slice(payload.as_bytes()).ok();
        let text = json.is_none().then(|| payload.to_text());
        Self { bytes: payload.len(), json, text }
    }
}

impl From<AttemptError> for ErrorView {
    fn from(error: AttemptError) -> Self {
        Self {
            attempt: error.attempt,
            at: error.at.to_string(),
            kind: error.kind,
            message: error.message,
            worker: error.worker,
            took: error.took.as_ref().map(Duration::as_secs_f64),
        }
    }
}

impl From<JobRecord> for JobView {
    fn from(job: JobRecord) -> Self {
        Self {
            since: since(&job),
            due: job.run_at,
            id: job.id,
            state: job.state,
            handler: job.handler,
            point_version: job.point_version,
            queue: job.queue,
            priority: job.priority,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            lost_count: job.lost_count,
            enqueued_at: job.enqueued_at.to_string(),
            run_at: job.run_at.to_string(),
            entered: job.entered.into_iter().map(|(state, at)| (state, at.to_string())).collect(),
            errors: job.errors.into_iter().map(Into::into).collect(),
            reason: job.reason,
            unique: job.unique,
            worker: job.worker,
            progress: job.progress,
            owes_on_failure: job.owes_on_failure,
            meta: job.meta,
            payload: (&job.payload).into(),
            result: job.result.as_ref().map(Into::into),
        }
    }
}

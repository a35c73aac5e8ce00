//! The versioned envelope: one job as one JSON document.
//!
//! Stores with columns keep what they decide on in columns; a broker carries this document as its message.
//! Readers accept every version ever released.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{HandlerKey, JobId, JobMeta, NewJob, Payload, QueueName, UniqueLock};
use crate::time::Timestamp;

/// The version that is written.
pub const ENVELOPE_VERSION: u32 = 1;

/// One job as one document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope {
    /// The envelope's version.
    pub v: u32,
    /// The job's id.
    pub id: JobId,
    /// The point's wire name.
    pub point: String,
    /// The version of the point's payload.
    pub point_version: u32,
    /// The handler's name on the point.
    pub handler: String,
    /// The queue.
    pub queue: QueueName,
    /// Its rank in the queue.
    pub priority: u8,
    /// The number of the attempt that comes next or runs, from 1.
    pub attempt: u32,
    /// The largest number of attempts.
    pub max_attempts: u32,
    /// When it was pushed.
    pub enqueued_at: Timestamp,
    /// When it may run.
    pub run_at: Timestamp,
    /// The unique lock, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<UniqueLock>,
    /// Whether its handler has an `on_failure` callback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_failure: bool,
    /// Lineage, trace context, tenant and tags.
    pub meta: JobMeta,
    /// The point.
    pub payload: Box<RawValue>,
}

/// Why a document is no envelope.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// It is not the JSON of an envelope, or a payload is not JSON.
    #[error("not a job envelope: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It was written by a newer release.
    #[error(
        "job envelope version {0} is newer than this program, which knows versions up to {ENVELOPE_VERSION}"
    )]
    TooNew(u32),
}

impl Envelope {
    /// The envelope of a job that is pushed at `now`.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Malformed`] if the payload is not JSON.
    pub fn seal(job: &NewJob, now: Timestamp) -> Result<Self, EnvelopeError> {
        Ok(Self {
            v: ENVELOPE_VERSION,
            id: job.id,
            point: job.handler.point().to_owned(),
            point_version: job.point_version,
            handler: job.handler.handler().to_owned(),
            queue: job.queue.clone(),
            priority: job.priority,
            attempt: 1,
            max_attempts: job.max_attempts,
            enqueued_at: now,
            run_at: now.saturating_add(job.delay),
            unique: job.unique.clone(),
            on_failure: job.on_failure,
            meta: job.meta.clone(),
            payload: serde_json::from_slice(job.payload.as_bytes())?,
        })
    }

    /// The document.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Malformed`] if a part cannot be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads a document of any released version.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::TooNew`] for a later release's document, [`EnvelopeError::Malformed`] for anything else
    /// that is no envelope.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        match serde_json::from_slice::<Version>(bytes)?.v {
            0..=ENVELOPE_VERSION => Ok(serde_json::from_slice(bytes)?),
            newer => Err(EnvelopeError::TooNew(newer)),
        }
    }

    /// The job, as it was pushed.
    #[must_use]
    pub fn open(self) -> NewJob {
        NewJob {
            id: self.id,
            handler: HandlerKey::new(&self.point, &self.handler),
            point_version: self.point_version,
            payload: Payload::from(self.payload.get().as_bytes()),
            queue: self.queue,
            priority: self.priority,
            max_attempts: self.max_attempts,
            delay: self.run_at.since(self.enqueued_at),
            unique: self.unique,
            on_failure: self.on_failure,
            once: None,
            meta: self.meta,
        }
    }
}

//! Jobs as bytes: what is written once and what changes.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::backend::rules;
use crate::job::{
    AttemptError, ErrorKind, FireId, HandlerKey, JobId, JobMeta, JobState, NewJob, Payload, QueueName,
    UniqueUntil, WorkerId,
};
use crate::time::{Timestamp, millis};

const BODY_VERSION: u8 = 1;
const BODY_HEAD: usize = 21;
const STATE_HEAD: usize = 61;
/// What stands before the body: the first half of the state in which the job was pushed.
const FIRST_STATE: usize = 31;
/// The longest duration that fits into the six bytes it has.
const LONGEST: i64 = (1 << 44) - 1;

pub(super) const OWES: u8 = 4;
const ON_FAILURE: u8 = 8;
const UNIQUE: u8 = 16;
const UNTIL_START: u8 = 32;

/// A duration in whole milliseconds that every script can reckon with.
pub(super) fn bounded_millis(duration: std::time::Duration) -> i64 {
    millis(duration).min(LONGEST)
}

fn put48(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.to_be_bytes()[2..]);
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
}

/// A duration that may be missing: 0, else one more than its milliseconds.
fn put_optional(out: &mut Vec<u8>, duration: Option<std::time::Duration>) {
    put48(out, duration.map_or(0, |duration| bounded_millis(duration).min(LONGEST - 1) + 1));
}

/// The name of a lane, as a key of the lanes' table.
pub(super) fn lane_name(queue: &QueueName, handler: &HandlerKey, version: u32) -> Vec<u8> {
    let mut name = Vec::with_capacity(8 + queue.as_str().len() + handler.as_str().len());
    put_len(&mut name, queue.as_str().len());
    name.extend_from_slice(queue.as_str().as_bytes());
    name.extend_from_slice(&version.to_be_bytes());
    name.extend_from_slice(handler.as_str().as_bytes());
    name
}

/// A lane by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) queue: QueueName,
    pub(super) handler: HandlerKey,
    pub(super) version: u32,
}

impl Lane {
    pub(super) fn read(name: &[u8]) -> Option<Self> {
        let (len, rest) = name.split_at_checked(4)?;
        let (queue, rest) = rest.split_at_checked(u32::from_be_bytes(len.try_into().ok()?) as usize)?;
        let (version, handler) = rest.split_at_checked(4)?;
        Some(Self {
            queue: String::from_utf8_lossy(queue).as_ref().into(),
            handler: String::from_utf8_lossy(handler).as_ref().into(),
            version: u32::from_be_bytes(version.try_into().ok()?),
        })
    }
}

/// Jobs ready to be sent: one arena of bytes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    jobs: Vec<Parts>,
    pub(super) lanes: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Parts {
    id: JobId,
    shape: Range<usize>,
    key: Range<usize>,
    body: Range<usize>,
}

impl Batch {
    pub(super) fn new(jobs: &[NewJob]) -> Self {
        let mut batch = Self::default();
        let mut last: Option<(&NewJob, usize)> = None;
        for job in jobs {
            let same = last.filter(|(before, _)| {
                (&before.queue, &before.handler, before.point_version)
                    == (&job.queue, &job.handler, job.point_version)
            });
            let lane = same.map_or_else(
                || batch.lane(lane_name(&job.queue, &job.handler, job.point_version)),
                |(_, lane)| lane,
            );
            last = Some((job, lane));
            batch.add(job, lane);
        }
        batch
    }

    /// The place, from 1, of a lane in the table of this batch.
    fn lane(&mut self, name: Vec<u8>) -> usize {
        let at = self.lanes.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.lanes.push(name);
            self.lanes.len() - 1
        });
        at + 1
    }

    fn add(&mut self, job: &NewJob, lane: usize) {
        let out = &mut self.bytes;
        let start = out.len();
        put_len(out, lane);
        let unique = job.unique.as_ref();
        let mut flags = if job.on_failure { ON_FAILURE } else { 0 };
        if let Some(unique) = unique {
            flags |= UNIQUE | if unique.until == UniqueUntil::Start { UNTIL_START } else { 0 };
        }
        out.extend_from_slice(&[job.priority, flags]);
        put48(out, bounded_millis(job.delay));
        put_optional(out, unique.and_then(|unique| unique.ttl));
        put_optional(out, job.once);
        let shape = start..out.len();
        // Marked, so that an empty key is a key.
        if let Some(unique) = unique {
            out.push(b'.');
            out.extend_from_slice(unique.key.as_str().as_bytes());
        }
        let key = shape.end..out.len();
        put_body(out, job);
        let body = key.end..out.len();
        self.jobs.push(Parts { id: job.id, shape, key, body });
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// The jobs as they are sent; `lanes` says which place each of this batch's lanes has in the call's table.
    fn pieces<'a>(&'a self, lanes: &'a [usize]) -> impl Iterator<Item = Piece<'a>> {
        self.jobs.iter().map(|job| {
            let mut shape = [0; SHAPE];
            shape.copy_from_slice(&self.bytes[job.shape.clone()]);
            let own = u32::from_be_bytes([shape[0], shape[1], shape[2], shape[3]]) as usize;
            let place = u32::try_from(lanes[own - 1]).unwrap_or_default();
            shape[..4].copy_from_slice(&place.to_be_bytes());
            let (key, body) = (&self.bytes[job.key.clone()], &self.bytes[job.body.clone()]);
            Piece { shape, key, id: job.id, body }
        })
    }

    /// How many bytes the jobs have.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + 64 * self.jobs.len()
    }
}

const SHAPE: usize = 24;

/// One job of a call.
#[derive(Debug)]
struct Piece<'a> {
    shape: [u8; SHAPE],
    key: &'a [u8],
    id: JobId,
    body: &'a [u8],
}

/// The jobs of a call in runs: what they have in common goes before them once.
#[derive(Debug)]
pub(super) struct Runs<'a>(Vec<Piece<'a>>);

impl<'a> Runs<'a> {
    pub(super) fn of(batches: impl IntoIterator<Item = (&'a Batch, &'a [usize])>) -> Self {
        Self(batches.into_iter().flat_map(|(batch, lanes)| batch.pieces(lanes)).collect())
    }

    fn each(&self) -> impl Iterator<Item = &[Piece<'a>]> {
        let alike = |a: &Piece<'_>, b: &Piece<'_>| a.shape == b.shape && a.key.is_empty() && b.key.is_empty();
        self.0.chunk_by(alike)
    }

    /// How many arguments they take.
    pub(super) fn arguments(&self) -> usize {
        3 * self.each().count() + 2 * self.0.len()
    }

    pub(super) fn write(&self, cmd: &mut redis::Cmd) {
        for run in self.each() {
            cmd.arg(run[0].shape.as_slice()).arg(run[0].key).arg(run.len());
            for job in run {
                cmd.arg(job.id.as_bytes().as_slice()).arg(job.body);
            }
        }
    }
}

/// The table of lanes of a call that carries several batches.
#[derive(Debug, Default)]
pub(super) struct LaneTable<'a> {
    names: Vec<&'a [u8]>,
    places: std::collections::HashMap<&'a [u8], usize>,
}

impl<'a> LaneTable<'a> {
    /// The places, from 1, of a batch's lanes.
    pub(super) fn places(&mut self, batch: &'a Batch) -> Vec<usize> {
        let place = |name: &'a Vec<u8>| {
            *self.places.entry(name).or_insert_with(|| {
                self.names.push(name);
                self.names.len()
            })
        };
        batch.lanes.iter().map(place).collect()
    }

    pub(super) fn write(&self, cmd: &mut redis::Cmd) {
        cmd.arg(self.names.len());
        for name in &self.names {
            cmd.arg(*name);
        }
    }
}

/// What never changes of a job: a fixed head, then queue, handler, metadata and payload one after the other.
fn put_body(out: &mut Vec<u8>, job: &NewJob) {
    let start = out.len();
    out.push(BODY_VERSION);
    out.extend_from_slice(&job.point_version.to_be_bytes());
    out.extend_from_slice(&job.max_attempts.to_be_bytes());
    put_len(out, job.queue.as_str().len());
    put_len(out, job.handler.as_str().len());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(job.queue.as_str().as_bytes());
    out.extend_from_slice(job.handler.as_str().as_bytes());
    let before = out.len();
    if serde_json::to_writer(&mut *out, &job.meta).is_err() {
        out.truncate(before);
    }
    let meta = u32::try_from(out.len() - before).unwrap_or(u32::MAX);
    out[start + 17..start + BODY_HEAD].copy_from_slice(&meta.to_be_bytes());
    out.extend_from_slice(job.payload.as_bytes());
}

/// A stored body, as far as it can be read.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) lane: Lane,
    pub(super) max_attempts: u32,
    pub(super) meta: JobMeta,
    pub(super) payload: Payload,
}

impl Body {
    /// Reads what stands behind a job's first state; what cannot be read is all payload, in the lane that its job stands in.
    pub(super) fn read(bytes: &[u8], lane: Option<&Lane>) -> Self {
        let bytes = bytes.get(FIRST_STATE..).unwrap_or_default();
        Self::split(bytes).unwrap_or_else(|| Self {
            lane: lane.cloned().unwrap_or_else(|| Lane { queue: "".into(), handler: "".into(), version: 0 }),
            max_attempts: 1,
            meta: JobMeta::new(FireId::new()),
            payload: bytes.into(),
        })
    }

    fn split(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(BODY_HEAD)?;
        if head[0] != BODY_VERSION {
            return None;
        }
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (queue, rest) = rest.split_at_checked(number(9) as usize)?;
        let (handler, rest) = rest.split_at_checked(number(13) as usize)?;
        let (meta, payload) = rest.split_at_checked(number(17) as usize)?;
        Some(Self {
            lane: Lane {
                queue: std::str::from_utf8(queue).ok()?.into(),
                handler: std::str::from_utf8(handler).ok()?.into(),
                version: number(1),
            },
            max_attempts: number(5),
            meta: serde_json::from_slice(meta).unwrap_or_else(|_| JobMeta::new(FireId::new())),
            payload: payload.into(),
        })
    }
}

/// The first half of what changes of a job, which also stands before what never changes of it, as it was pushed.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) flags: u8,
    pub(super) priority: u8,
    pub(super) lane: u32,
    pub(super) attempt: u32,
    pub(super) lost_count: u32,
    pub(super) run_at: Timestamp,
    pub(super) enqueued_at: Timestamp,
}

/// What changes of a job.
#[derive(Debug)]
pub(super) struct State {
    pub(super) state: JobState,
    pub(super) head: Head,
    pub(super) token: u64,
    pub(super) worker: WorkerId,
    pub(super) entered: BTreeMap<JobState, Timestamp>,
}

const LETTERS: [(u8, JobState); 8] = [
    (b's', JobState::Scheduled),
    (b'a', JobState::Available),
    (b'r', JobState::Running),
    (b't', JobState::Retryable),
    (b'c', JobState::Completed),
    (b'd', JobState::Dead),
    (b'x', JobState::Cancelled),
    (b'q', JobState::Quarantined),
];

pub(super) fn state_of(letter: u8) -> Option<JobState> {
    LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, state)| *state)
}

/// The letter under which jobs in this state are stored; an unroutable job is stored as available.
pub(super) fn letter_of(state: JobState) -> u8 {
    LETTERS.iter().find(|(_, known)| *known == state).map_or(b'a', |(letter, _)| *letter)
}

fn time(bytes: &[u8]) -> Timestamp {
    Timestamp::from_millis(bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte)))
}

impl Head {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..FIRST_STATE)?;
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        Some(Self {
            flags: head[1],
            priority: head[2],
            lane: number(3),
            attempt: number(7),
            lost_count: u32::from(head[11]),
            run_at: time(&head[19..25]),
            enqueued_at: time(&head[25..31]),
        })
    }

    pub(super) const fn owes(&self) -> bool {
        self.flags & OWES != 0
    }

    pub(super) const fn on_failure(&self) -> bool {
        self.flags & ON_FAILURE != 0
    }
}

/// The token in what changes of a job.
pub(super) fn token(state: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(state.get(FIRST_STATE..FIRST_STATE + 8)?.try_into().ok()?))
}

/// The id at the end of an element of a list.
pub(super) fn id_of(element: &[u8]) -> Option<JobId> {
    Some(JobId::from_bytes(*element.last_chunk()?))
}

impl State {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (first, entered) = bytes.split_at_checked(STATE_HEAD)?;
        Some(Self {
            state: state_of(first[0])?,
            head: Head::read(first)?,
            token: token(first)?,
            worker: WorkerId::from_bytes(first[39..55].try_into().ok()?),
            entered: entered
                .chunks_exact(7)
                .filter_map(|entry| Some((state_of(entry[0])?, time(&entry[1..]))))
                .collect(),
        })
    }
}

/// The errors of a job, as far as they can be read.
pub(super) fn errors(mut bytes: &[u8]) -> Vec<AttemptError> {
    let mut found = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(10) {
        let len = u32::from_be_bytes([head[6], head[7], head[8], head[9]]) as usize;
        let Some((text, rest)) = rest.split_at_checked(len) else { break };
        found.extend(error(text, time(&head[..6])));
        bytes = rest;
    }
    found
}

/// One error: JSON as the worker said it, or a letter for those that the store writes itself.
fn error(text: &[u8], at: Timestamp) -> Option<AttemptError> {
    let own: fn(u32, Timestamp, Option<WorkerId>) -> AttemptError = match text.first()? {
        b'Q' => rules::quarantine_error,
        b'D' => rules::callback_dropped_error,
        _ => return serde_json::from_slice(text).ok().map(|error| AttemptError { at, ..error }),
    };
    let attempt = u32::from_be_bytes(text.get(1..5)?.try_into().ok()?);
    let worker = text.get(5..21)?.try_into().ok().map(WorkerId::from_bytes);
    Some(own(attempt, at, worker))
}

/// An error as it is sent.
pub(super) fn error_json(error: &AttemptError) -> Vec<u8> {
    serde_json::to_vec(error).unwrap_or_else(|_| {
        let message = "the error could not be written down".to_owned();
        let plain = AttemptError { message, kind: ErrorKind::Failed, ..error.clone() };
        serde_json::to_vec(&plain).unwrap_or_default()
    })
}

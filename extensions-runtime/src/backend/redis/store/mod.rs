//! The only place that knows keys, scripts and their answers.

mod answer;
mod connection;
mod health;
mod history;
mod lanes;
mod line;
mod news;
pub(super) mod operate;
mod pusher;
mod resp;
pub(super) mod script;
mod settle;
mod view;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Cmd, Value};

use self::connection::{Connection, Repeat};
use self::lanes::{LaneMap, Lanes, Wanted};
pub(super) use self::news::News;
use self::pusher::Pusher;
use self::settle::Doubts;
use self::wire::{Batch, Body, Head, bounded_millis};
use super::config::Config;
use super::error::{self, Failure};
use crate::backend::handover;
use crate::backend::homes::Homes;
use crate::job::{ClaimedJob, JobId, LeaseToken, NewJob, Progress, Purpose, WorkerId};
use crate::queue::{
    ClaimRequest, Claimed, Connection as LinkState, Extend, Extended, Link, Pushed, QueueError,
    QueueErrorKind, WaitCursor,
};
use crate::time::Timestamp;

/// The version of the keys' layout.
pub(super) const LAYOUT: i64 = 1;

/// A claim holds at most this many jobs; their tokens are numbered within it.
const LARGEST_CLAIM: u64 = 1 << 12;
/// Claims are numbered from anywhere in this range, so that no two processes ever give out the same token.
const CLAIMS: u64 = 1 << 40;
/// For how long a claim whose answer was lost is tried to be given back.
const GIVE_BACK_FOR: Duration = Duration::from_secs(120);

/// What a script lets a server do at once.
const STEP: u64 = 500;

#[derive(Debug)]
pub(super) struct Store {
    connection: Arc<Connection>,
    pusher: Arc<Pusher>,
    lanes: Lanes,
    news: Arc<News>,
    doubts: Doubts,
    claims: AtomicU64,
    marking: view::Marking,
}

impl Store {
    /// Also which layout was there. To be called on the thread.
    pub(super) async fn open(config: &Config, homes: Homes) -> Result<(Self, u32), QueueError> {
        let failed = |failure: Failure| error::map(&failure, "connect");
        let connection = Arc::new(Connection::new(config, homes).map_err(failed)?);
        health::check_version(&connection).await.map_err(failed)??;
        let there = connection
            .call(&script::OPEN, Repeat::Yes, |cmd| {
                cmd.arg(LAYOUT).arg(u8::from(config.migrate));
            })
            .await
            .map_err(failed)?;
        let [had, there] = answer::parts(there).map_err(failed)?;
        match answer::number(&there).map_err(failed)? {
            LAYOUT => {}
            0 => return Err(missing(&config.place())),
            newer => return Err(newer_layout(newer, &config.place())),
        }
        health::warn(&connection, &config.place()).await;
        let store = Self {
            pusher: Arc::new(Pusher::new(Arc::clone(&connection))),
            connection,
            lanes: Lanes::default(),
            news: Arc::default(),
            doubts: Doubts::new(),
            claims: AtomicU64::new(fastrand::u64(1..CLAIMS)),
            marking: view::Marking::default(),
        };
        Ok((store, u32::try_from(answer::number(&had).map_err(failed)?).unwrap_or(0)))
    }

    pub(super) fn news(&self) -> &Arc<News> {
        &self.news
    }

    /// What hears of wake-ups for as long as it runs.
    pub(super) fn listener(&self) -> impl Future<Output = ()> + Send + use<> {
        news::listen(Arc::clone(&self.connection), Arc::clone(&self.news))
    }

    pub(super) fn link(&self) -> LinkState {
        self.connection.link.state()
    }

    pub(super) fn reconnect(&self) {
        self.connection.reconnect();
    }

    /// A push, to be awaited in a context with a runtime.
    pub(super) fn push(&self, jobs: &[NewJob]) -> impl Future<Output = pusher::Answer> + Send + 'static {
        Arc::clone(&self.pusher).push(Batch::new(jobs))
    }

    /// Pushes jobs that are claimed by the request in the same step; when, or what came of the push where it cannot be done.
    pub(super) async fn hand_over(
        &self,
        jobs: &[NewJob],
        request: &ClaimRequest,
        claim: u64,
    ) -> Result<Result<Timestamp, Vec<Pushed>>, Failure> {
        let before: Vec<_> =
            jobs.iter().take(1).flat_map(|job| handover::before(request, &job.queue)).collect();
        pusher::hand_over(&self.connection, &Batch::new(jobs), request, &before, claim).await
    }

    /// The number of a claim that is about to be made: its first token.
    pub(super) fn next_claim(&self) -> u64 {
        let number = self.claims.fetch_add(1, Ordering::Relaxed) % CLAIMS;
        number.max(1) * LARGEST_CLAIM
    }

    /// Begins a claim at once.
    pub(super) fn reserve(
        self: &Arc<Self>,
        request: ClaimRequest,
        claim: u64,
    ) -> impl Future<Output = Result<Claimed, Failure>> + Send + use<> {
        let store = Arc::clone(self);
        let mut wanted = self.lanes.wanted(&request);
        let mut begun =
            self.connection.begin(&script::RESERVE, |cmd| write_claim(&request, claim, &wanted, cmd));
        async move {
            loop {
                let write = |cmd: &mut Cmd| write_claim(&request, claim, &wanted, cmd);
                let answer = store.connection.finish(begun, &script::RESERVE, Repeat::No, write);
                let mut parts = answer::array(answer.await?)?;
                if parts.first().and_then(|first| answer::bytes(first).ok()) != Some(b"lanes") {
                    return claimed(&parts, claim, &store.lanes.map());
                }
                let table = parts.pop().unwrap_or(Value::Nil);
                let stamp = parts.pop().unwrap_or(Value::Nil);
                store.lanes.learn(LaneMap::read(answer::text(&stamp)?, table)?);
                wanted = store.lanes.wanted(&request);
                let write = |cmd: &mut Cmd| write_claim(&request, claim, &wanted, cmd);
                begun = store.connection.begin(&script::RESERVE, write);
            }
        }
    }

    /// Gives back what a claim took whose answer nobody got, and keeps it from taking anything if it is yet to be carried out.
    pub(super) async fn give_back(&self, worker: WorkerId, claim: u64) {
        let over = tokio::time::Instant::now() + GIVE_BACK_FOR;
        let mut failures = 0;
        while tokio::time::Instant::now() < over {
            match self.leave_claim(worker, claim).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(_) => {
                    failures += 1;
                    tokio::time::sleep(Link::back_off(failures)).await;
                }
            }
        }
    }

    /// One step of giving a claim back; how many of its jobs are left.
    pub(super) async fn leave_claim(&self, worker: WorkerId, claim: u64) -> Result<u64, Failure> {
        self.leave_step(worker, claim, claim + LARGEST_CLAIM - 1, false, Some(claim)).await
    }

    async fn leave_step(
        &self,
        worker: WorkerId,
        first: u64,
        last: u64,
        goodbye: bool,
        void: Option<u64>,
    ) -> Result<u64, Failure> {
        let left = self.connection.call(&script::LEAVE, Repeat::Yes, |cmd| {
            cmd.arg(worker.as_bytes().as_slice()).arg(first).arg(last).arg(STEP).arg(u8::from(goodbye));
            cmd.arg(void.map(|claim| claim.to_string()).unwrap_or_default());
        });
        answer::count(&left.await?)
    }

    pub(super) async fn leave(&self, worker: WorkerId) -> Result<(), Failure> {
        while self.leave_step(worker, 0, CLAIMS * LARGEST_CLAIM, true, None).await? > 0 {}
        Ok(())
    }

    pub(super) async fn extend(&self, claims: &[Extend], lease: Duration) -> Result<Vec<Extended>, Failure> {
        let answer = self.connection.call(&script::EXTEND, Repeat::Yes, |cmd| {
            cmd.arg(bounded_millis(lease));
            for claim in claims {
                let progress = claim.progress.as_ref().map(progress_json).unwrap_or_default();
                cmd.arg(claim.job.as_bytes().as_slice())
                    .arg(claim.token.0.to_be_bytes().as_slice())
                    .arg(progress);
            }
        });
        let answer = answer.await?;
        let extended = answer::bytes(&answer)?.iter().map(|letter| match letter {
            b'h' => Extended::Held,
            b'c' => Extended::CancelRequested,
            _ => Extended::LeaseLost,
        });
        Ok(extended.collect())
    }

    async fn step(
        &self,
        script: &'static script::Script,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value, Failure> {
        self.connection.call(script, Repeat::Yes, arguments).await
    }
}

fn missing(place: &str) -> QueueError {
    let what = format!("there is no store in {place}; create it with `migrate`");
    QueueError::new(QueueErrorKind::NotFound, "connect", what)
}

fn newer_layout(found: i64, place: &str) -> QueueError {
    let what = format!(
        "{place} has layout {found} of a newer release; this program knows layouts up to {LAYOUT}: update it, or choose another `prefix`"
    );
    QueueError::new(QueueErrorKind::Corrupt, "connect", what)
}

fn write_claim(request: &ClaimRequest, claim: u64, wanted: &Wanted, cmd: &mut Cmd) {
    cmd.arg(request.worker.as_bytes().as_slice()).arg(claim);
    cmd.arg((request.max as u64).min(LARGEST_CLAIM)).arg(bounded_millis(request.lease));
    cmd.arg(request.lost as u8).arg(&wanted.stamp).arg(&wanted.mask);
    for queue in &wanted.queues {
        cmd.arg(queue.as_str());
    }
}

fn progress_json(progress: &Progress) -> Vec<u8> {
    serde_json::to_vec(progress).unwrap_or_default()
}

/// What a claim answered: either four parts of each job, or elements of a list, each of which ends with the id of a job that was never claimed
/// before, and what is stored of these jobs.
fn claimed(parts: &[Value], claim: u64, map: &LaneMap) -> Result<Claimed, Failure> {
    let [generation, due, now, jobs @ ..] = parts else { return Err(answer::other_length()) };
    let now = Timestamp::from_millis(answer::number(now)?);
    let jobs = match jobs {
        [jobs] => {
            let jobs = answer::values(jobs)?.chunks_exact(4);
            jobs.filter_map(|parts| of_parts(parts, now, map)).collect()
        }
        [elements, jobs] => {
            let jobs = answer::values(elements)?.iter().zip(answer::values(jobs)?).zip(claim..);
            jobs.filter_map(|((element, job), token)| of_stored(element, job, token, now, map)).collect()
        }
        _ => return Err(answer::other_length()),
    };
    Ok(Claimed {
        jobs,
        cursor: WaitCursor(answer::count(generation)?),
        next_due: u64::try_from(answer::number(due)?).ok().map(Duration::from_millis),
    })
}

fn of_parts(parts: &[Value], now: Timestamp, map: &LaneMap) -> Option<ClaimedJob> {
    let state = answer::bytes(&parts[1]).ok()?;
    let job = answer::bytes(&parts[2]).ok()?;
    let errors = answer::bytes(&parts[3]).unwrap_or_default();
    let claimed =
        claimed_job(answer::id(&parts[0]).ok()?, wire::token(state)?, &Head::read(state)?, job, now, map);
    Some(ClaimedJob { last_error: wire::errors(errors).pop(), ..claimed })
}

fn of_stored(element: &Value, job: &Value, token: u64, now: Timestamp, map: &LaneMap) -> Option<ClaimedJob> {
    let id = wire::id_of(answer::bytes(element).ok()?)?;
    let job = answer::bytes(job).ok()?;
    let head = Head { attempt: 1, ..Head::read(job)? };
    Some(claimed_job(id, token, &head, job, now, map))
}

fn claimed_job(id: JobId, token: u64, head: &Head, job: &[u8], now: Timestamp, map: &LaneMap) -> ClaimedJob {
    let body = Body::read(job, map.by_number.get(&head.lane));
    ClaimedJob {
        id,
        token: LeaseToken(token),
        purpose: if head.owes() { Purpose::OnFailure } else { Purpose::Attempt },
        on_failure: head.on_failure(),
        handler: body.lane.handler,
        point_version: body.lane.version,
        payload: body.payload,
        queue: body.lane.queue,
        priority: head.priority,
        attempt: head.attempt,
        max_attempts: body.max_attempts,
        lost_count: head.lost_count,
        enqueued_at: head.enqueued_at,
        age: now.since(head.enqueued_at),
        last_error: None,
        meta: body.meta,
    }
}

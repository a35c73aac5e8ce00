//! The contract between the framework and a queue's store.
//!
//! [`QueueBackend`] is small, object-safe and batch-first; its numbered rules are proved for every backend by the
//! conformance suite, whose cases cite them. [`QueueAdmin`] is the operator's half. A backend stores decisions, it
//! makes none: back-off, attempt limits and the choice of a settlement belong to the worker.

mod admin;
mod capabilities;
mod claim;
mod connect;
mod error;
mod explain;
mod finding;
mod forward;
mod history;
mod link;
mod transaction;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use self::admin::{AdminOutcome, JobFilter, Migration, QueueAdmin, QueueStats};
pub use self::capabilities::Capabilities;
pub use self::claim::{
    ClaimRequest, Claimed, Extend, Extended, Handed, KnownHandler, Maintained, Pushed, Retention, Settle,
    Settled, Settlement, TakeLost, WaitCursor, WaitRequest, WorkerInfo,
};
pub use self::connect::{Migrated, connect, connect_existing, migrate, migrations};
pub(crate) use self::connect::{in_memory, is_sync};
pub use self::error::{QueueError, QueueErrorKind};
pub use self::explain::{Explanation, Reason, explain};
pub use self::finding::{Finding, Severity};
pub(crate) use self::forward::forward;
pub use self::history::{HistoryEntry, Tally};
pub use self::link::{Connection, Link};
pub use self::transaction::Transaction;
pub(crate) use self::transaction::transactional;
#[doc(inline)]
pub use crate::backend::memory::Memory;
#[cfg(feature = "postgres")]
#[doc(inline)]
pub use crate::backend::postgres::{OpenPostgres, Postgres};
#[cfg(feature = "redis")]
#[doc(inline)]
pub use crate::backend::redis::{OpenRedis, Redis};
#[cfg(feature = "sqlite")]
#[doc(inline)]
pub use crate::backend::sqlite::{OpenSqlite, Sqlite, Synchronous};
use crate::job::{NewJob, WorkerId};

/// What a backend's calls return.
pub type QueueFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, QueueError>> + Send + 'a>>;

/// A store of jobs.
///
/// # The contract
///
/// *Calls*
///
/// - **Q1** Every call may be made at any time, from any number of tasks, threads and processes at once, and polled
///   outside any async runtime: drivers that need one bring their own thread. Only `wait` and `wait_for_jobs` are called from
///   Tokio, with its timers.
/// - **Q2** Results stand in the order of what was asked, one for each.
/// - **Q3** A call with nothing to do (an empty list, `max` 0) succeeds and changes nothing.
/// - **Q4** A failed call says so with its [`QueueErrorKind`]; a backend that cannot be reached answers within its own
///   time-out and never swallows what it was given.
/// - **Q5** Dropping a future leaves its step done whole or not done at all; a claim whose answer was not delivered is given
///   back as by `Release`.
///
/// *Push*
///
/// - **Q6** With `atomic_push`, all jobs of one call are stored or none; concurrent calls may share a transaction, each
///   still gets its own outcome.
/// - **Q7** Pushing an id that is stored changes nothing and answers `Queued`.
/// - **Q8** With `unique`, a lock is taken in the same atomic step as the push; a job whose key is held is not stored and
///   the answer names the holder. Two jobs of one call with one key: the first is stored.
/// - **Q9** A lock ends when its job is completed, dead, cancelled or quarantined, when its `ttl` is over, or, with
///   `until = Start`, at the first claim. A job never ends another job's lock.
/// - **Q10** A job with a delay is `scheduled` until that long after the push, by the backend's clock, then available.
/// - **Q11** Everything in a [`NewJob`] comes back unchanged in its claim and record.
///
/// *Reserve*
///
/// - **Q12** A job is under at most one claim at any time, however many claimers race.
/// - **Q13** Queues are served in the given order; within one by priority (0 first), then by the time since which a job
///   may run, then by order of push.
/// - **Q14** Only jobs of a named handler with a `point_version` up to its `max_version` are claimed, and what is not
///   claimed stands in nobody's way.
/// - **Q15** A claim counts the attempt, and holds for `lease` by the backend's clock.
/// - **Q16** A job is never claimed before its time, from a paused queue, after its end, or beyond `max`.
/// - **Q17** Jobs whose `on_failure` is owed and under no lease are claimed first, with [`Purpose::OnFailure`], in whatever
///   queue of the request they lie; Q14 and Q16 hold for them too. That counts no attempt and changes no state.
/// - **Q18** `next_due` is the time until the next `scheduled` or `retryable` job in the queues may run, or less.
///
/// *Leases*
///
/// - **Q19** A claim that ends without a settlement makes its job available again and gives the attempt back; with a lease
///   that has ended but was not yet taken back, the owner may still settle.
/// - **Q20** Such a job is from then on claimed alone (a claim that returns it returns nothing else) and its start is recorded
///   in the claim. Each loss after a recorded start adds one to `lost_count`.
/// - **Q21** Such jobs are claimed only by requests whose [`lost`](ClaimRequest::lost) takes them in; others pass them by.
/// - **Q22** The third loss after a recorded start makes the job `quarantined`, with an error of kind `Lost` that says so;
///   where the job's `on_failure` is set, the callback is owed.
/// - **Q23** `extend` makes the lease end that long from now; with another token, or for a job that is gone, it answers `LeaseLost`
///   and changes nothing. It carries progress, and says `CancelRequested` once someone asked for that.
/// - **Q24** `settle` with another token than the current one, or for a job that is gone or not under a lease, answers `LeaseLost` and
///   changes nothing.
///
/// *Settle*
///
/// - **Q25** Settlements are independent: a lost one does not keep the others of its call back.
/// - **Q26** `Complete` ends the job; with `keep` false no record remains. A `result` stays with the record.
/// - **Q27** `Retry` makes it `retryable`, keeps the error, and makes it available after the delay; the attempt stays counted.
/// - **Q28** `Snooze` and `Release` give the attempt back and keep no error.
/// - **Q29** `Cancel` and `Bury` end the job with its reason or error kept; where an operator asked for the cancellation, that
///   reason stands.
/// - **Q30** `Bury` with `owe_on_failure` stores the end and the debt in one step. The lease goes on, can be extended, and ends with
///   `CallbackDone`, which pays the debt; a lease that ends before leaves the debt, and the callback is claimed again (Q17).
///   `Release` gives such a claim back without a loss; any other end of it, and `CallbackDone` for an attempt, answers
///   `LeaseLost`. A callback that was lost is claimed alone; one lost three times is dropped, which is noted in the errors.
/// - **Q31** A job keeps the time at which it last entered each state and its last 20 errors.
///
/// *Waiting and upkeep*
///
/// - **Q32** `wait` ends when something in one of the queues may have become claimable since the claim that gave the cursor, or
///   after the time-out. It may end early. It does not keep a connection or a thread from others.
/// - **Q33** `maintain` takes back ended leases, promotes what is due and prunes; any number of workers may call it at once, and
///   a call is bounded work.
/// - **Q34** A worker that beats is listed until it leaves or has been silent for its `live_for`; leaving gives back what it still holds.
/// - **Q35** A job that is available while live workers serve its queue and no live worker knows its handler and version shows as
///   `unroutable`, is kept, and is claimed as soon as a worker names its handler.
///
/// *Operator*
///
/// - **Q36** `stats` counts every stored job once, under the state that `get` shows.
/// - **Q37** `retry`, `cancel` and `forget` do what their docs say, for each id apart, and never touch a job under another's lease.
///   A running job whose cancellation was asked for becomes `cancelled`, with that reason, when its claim ends by `Retry`,
///   `Snooze`, `Release` or a loss.
/// - **Q38** `pause` holds for all workers at once, for callbacks too, and survives restarts; `resume` wakes them.
/// - **Q39** Payload, metadata or errors that cannot be read never fail a call for other jobs; the bytes stay as they are.
///
/// *More of pushes and ends*
///
/// - **Q40** With `follow_ups`, those of a `Complete` that takes effect are stored in the same atomic step, by the rules of a push;
///   those of one that is answered by `LeaseLost` are not stored.
/// - **Q41** With `unique`, the id of a job with `once` stays taken for that long after the push, whatever became of the job: a
///   push of it changes nothing and answers `Queued`.
/// - **Q42** A claim says for how long its job has been there (`age`), by the backend's clock.
///
/// *More for operators*
///
/// - **Q43** With `history`, what beats say was done is added up by the minute of the beat, queue and handler, and kept for two days, whatever
///   becomes of the worker; `history` gives the minutes of the time that was asked for, the oldest first.
/// - **Q44** A list is in the order of ids, or with `newest` in the opposite one; `after` goes on in that order.
/// - **Q45** `now` is the clock of all times that the backend gives.
/// - **Q46** `check` changes nothing, and finds no problem in a store in which all is well.
///
/// *More of waiting*
///
/// - **Q47** `wait_for_jobs` ends as `wait` does, or with jobs that were pushed meanwhile, claimed as `reserve` would have claimed them by
///   the request that it was given; nothing that such a claim would bring first stands behind them.
///
/// # Cancel safety
///
/// Q5 holds for every method.
///
/// [`Purpose::OnFailure`]: crate::job::Purpose::OnFailure
pub trait QueueBackend: QueueAdmin + fmt::Debug {
    /// What this backend can do.
    fn capabilities(&self) -> Capabilities;

    /// Kind and place for people, without secrets: `sqlite jobs.db`.
    fn describe(&self) -> String;

    /// Stores jobs (Q6–Q11).
    fn push(&self, jobs: Arc<[NewJob]>) -> QueueFuture<'_, Vec<Pushed>>;

    /// Claims jobs (Q12–Q18). Never waits for jobs.
    fn reserve(&self, request: ClaimRequest) -> QueueFuture<'_, Claimed>;

    /// Ends claims (Q24–Q31).
    fn settle(&self, settlements: Vec<Settlement>) -> QueueFuture<'_, Vec<Settled>>;

    /// Extends claims (Q23).
    fn extend(&self, claims: Vec<Extend>, lease: Duration) -> QueueFuture<'_, Vec<Extended>>;

    /// Waits until a claim may be worth while (Q32).
    fn wait(&self, request: WaitRequest) -> QueueFuture<'_, ()>;

    /// Waits for a worker that found nothing and would make this claim next, and may bring it (Q47): so a job that is pushed in the worker's
    /// process needs no claim of its own. The default only waits.
    fn wait_for_jobs(&self, request: WaitRequest, claim: ClaimRequest) -> QueueFuture<'_, Option<Handed>> {
        drop(claim);
        Box::pin(async move { self.wait(request).await.map(|()| None) })
    }

    /// A round of upkeep (Q33); every worker calls it about once a second.
    fn maintain(&self, retention: Retention) -> QueueFuture<'_, Maintained>;

    /// Says that a worker lives and what it can do (Q34), and what was done there since its last beat (Q43).
    fn beat(&self, worker: WorkerInfo, done: Vec<Tally>) -> QueueFuture<'_, ()>;

    /// Says goodbye (Q34).
    fn leave(&self, worker: WorkerId) -> QueueFuture<'_, ()>;

    /// How the connection to the store is. The default is that of a store in the process: always up.
    fn connection(&self) -> Connection {
        Connection::default()
    }

    /// Drops all connections to the store; the next calls open new ones. The default does nothing.
    fn reconnect(&self) {}

    /// What the [`Transaction`]s of this backend have to know of it. A backend around another one passes the inner one's on.
    fn store(&self) -> Option<&(dyn Any + Send + Sync)> {
        None
    }
}

//! A queue whose answers stay out when a test says so.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use extensions::job::{JobId, JobRecord, NewJob, QueueName, WorkerId};
use extensions::queue::{
    AdminOutcome, Capabilities, ClaimRequest, Claimed, Connection, Extend, Extended, Finding, HistoryEntry,
    JobFilter, Link, Maintained, Migration, Pushed, QueueAdmin, QueueBackend, QueueError, QueueErrorKind,
    QueueFuture, QueueStats, Retention, Settled, Settlement, Tally, WaitRequest, WorkerInfo,
};
use extensions::time::Timestamp;

/// A queue around another one. Clones are one queue.
#[derive(Clone)]
pub struct MoodyQueue(Arc<Inner>);

struct Inner {
    queue: Arc<dyn QueueBackend>,
    moods: Moods,
    link: Option<Link>,
    claims: AtomicU64,
    reconnects: AtomicU64,
}

/// What goes wrong from now on.
#[derive(Default)]
pub struct Moods {
    /// Claims are not answered.
    pub claims_hang: AtomicBool,
    /// Asked for its figures, it does not answer.
    pub stats_hang: AtomicBool,
    /// A reconnect ends the hanging of claims.
    pub reconnect_helps: AtomicBool,
    /// It stores no follow-ups with a completion.
    pub no_follow_ups: AtomicBool,
    /// Every call fails as `Unavailable`.
    pub down: AtomicBool,
}

impl MoodyQueue {
    /// A queue around `queue`, in the best of moods. With `link` it knows and says itself whether it can be reached.
    pub fn new(queue: Arc<dyn QueueBackend>, link: bool) -> Self {
        let link = link.then(|| Link::new("moody"));
        Self(Arc::new(Inner {
            queue,
            moods: Moods::default(),
            link,
            claims: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        }))
    }

    /// Its moods.
    pub fn moods(&self) -> &Moods {
        &self.0.moods
    }

    /// How often it was asked for jobs.
    pub fn claims(&self) -> u64 {
        self.0.claims.load(Ordering::SeqCst)
    }

    /// How often it was told to reconnect.
    pub fn reconnects(&self) -> u64 {
        self.0.reconnects.load(Ordering::SeqCst)
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        hangs: bool,
        call: QueueFuture<'a, T>,
    ) -> QueueFuture<'a, T> {
        Box::pin(async move {
            let error = QueueError::new(QueueErrorKind::Unavailable, operation, "down by the test");
            let link = self.0.link.as_ref();
            if self.0.moods.down.load(Ordering::SeqCst) {
                if let Some(link) = link {
                    link.lost(&error);
                }
                return Err(error);
            }
            if let Some(link) = link {
                link.works();
            }
            if hangs {
                pending::<()>().await;
            }
            call.await
        })
    }
}

impl fmt::Debug for MoodyQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MoodyQueue").field(&self.0.queue).finish()
    }
}

macro_rules! pass_on {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        $(fn $method(&self, $($argument: $type),*) -> QueueFuture<'_, $answer> {
            self.call(stringify!($method), false, self.0.queue.$method($($argument),*))
        })+
    };
}

impl QueueBackend for MoodyQueue {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.0.queue.capabilities();
        capabilities.follow_ups &= !self.0.moods.no_follow_ups.load(Ordering::SeqCst);
        capabilities
    }

    fn describe(&self) -> String {
        "moody".to_owned()
    }

    fn reserve(&self, request: ClaimRequest) -> QueueFuture<'_, Claimed> {
        self.0.claims.fetch_add(1, Ordering::SeqCst);
        let hangs = self.0.moods.claims_hang.load(Ordering::SeqCst);
        self.call("reserve", hangs, self.0.queue.reserve(request))
    }

    fn connection(&self) -> Connection {
        self.0.link.as_ref().map_or_else(Connection::default, Link::state)
    }

    fn reconnect(&self) {
        self.0.reconnects.fetch_add(1, Ordering::SeqCst);
        if self.0.moods.reconnect_helps.load(Ordering::SeqCst) {
            self.0.moods.claims_hang.store(false, Ordering::SeqCst);
        }
    }

    pass_on! {
        push(jobs: Arc<[NewJob]>) -> Vec<Pushed>;
        settle(settlements: Vec<Settlement>) -> Vec<Settled>;
        extend(claims: Vec<Extend>, lease: Duration) -> Vec<Extended>;
        wait(request: WaitRequest) -> ();
        maintain(retention: Retention) -> Maintained;
        beat(worker: WorkerInfo, done: Vec<Tally>) -> ();
        leave(worker: WorkerId) -> ();
    }
}

impl QueueAdmin for MoodyQueue {
    fn stats(&self) -> QueueFuture<'_, Vec<QueueStats>> {
        let hangs = self.0.moods.stats_hang.load(Ordering::SeqCst);
        self.call("stats", hangs, self.0.queue.stats())
    }

    fn migrations(&self) -> Vec<Migration> {
        self.0.queue.migrations()
    }

    pass_on! {
        list(filter: JobFilter) -> Vec<JobRecord>;
        get(ids: Vec<JobId>) -> Vec<Option<JobRecord>>;
        retry(ids: Vec<JobId>) -> Vec<AdminOutcome>;
        cancel(ids: Vec<JobId>, reason: String) -> Vec<AdminOutcome>;
        forget(ids: Vec<JobId>) -> Vec<AdminOutcome>;
        prune(retention: Retention, limit: u64) -> u64;
        pause(queue: QueueName) -> ();
        resume(queue: QueueName) -> ();
        workers() -> Vec<WorkerInfo>;
        history(since: Duration) -> Vec<HistoryEntry>;
        check() -> Vec<Finding>;
        now() -> Timestamp;
    }
}

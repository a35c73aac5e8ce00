//! The connections of a queue, each for calls of the runtime that it was opened in.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tokio::runtime::{Handle, Id};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::error::{self, Fate};
use crate::queue::{Link, QueueError};

/// How often a call is tried again, with growing pauses, before it fails.
const TRIES: u32 = 4;

/// How long a connection may lie idle.
const IDLE: Duration = Duration::from_secs(300);

/// What the queue's statements are written for, whatever the database's default is: a claim or a migration that waited for others has
/// to see what they did.
pub(super) const ISOLATION: &str = "ISOLATION LEVEL READ COMMITTED";

/// What a call does with a connection.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'c>>;

/// How a call is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) operation: &'static str,
    /// Whether it is more than one statement.
    pub(super) transaction: bool,
    /// Whether doing it twice is the same as doing it once.
    pub(super) repeat: bool,
}

impl Call {
    /// One statement that may be repeated.
    pub(super) const fn one(operation: &'static str) -> Self {
        Self { operation, transaction: false, repeat: true }
    }

    pub(super) const fn transaction(operation: &'static str) -> Self {
        Self { operation, transaction: true, repeat: true }
    }

    pub(super) const fn once(mut self) -> Self {
        self.repeat = false;
        self
    }
}

/// A failed call, and whether it may have taken effect nevertheless.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: QueueError,
    pub(super) unsure: bool,
    /// Whether the same call with fewer things might succeed.
    pub(super) refused: bool,
}

/// The connections.
#[derive(Debug)]
pub(super) struct Driver {
    server: PgConnectOptions,
    slots: Semaphore,
    idle: Mutex<Vec<Idle>>,
    epoch: AtomicU64,
    forgotten: Arc<Notify>,
    pub(super) link: Link,
    timeout: Duration,
    begin: String,
    /// Whether a pooler may hand each transaction to another connection.
    pooled: bool,
}

#[derive(Debug)]
struct Idle {
    conn: PgConnection,
    /// Where its socket is looked after.
    runtime: Id,
    since: Instant,
    epoch: u64,
    /// What the server has planned on this connection.
    planned: Vec<&'static str>,
}

enum Broken {
    Before(sqlx::Error),
    During(sqlx::Error),
}

impl Driver {
    pub(super) fn new(
        server: PgConnectOptions,
        connections: u32,
        timeout: Duration,
        pooled: bool,
        link: Link,
    ) -> Self {
        Self {
            server,
            slots: Semaphore::new(connections as usize),
            idle: Mutex::default(),
            epoch: AtomicU64::new(0),
            forgotten: Arc::default(),
            link,
            timeout,
            begin: if pooled {
                format!("BEGIN {ISOLATION}; {}", settings("SET LOCAL", timeout))
            } else {
                format!("BEGIN {ISOLATION}")
            },
            pooled,
        }
    }

    pub(super) const fn server(&self) -> &PgConnectOptions {
        &self.server
    }

    /// How long a call may take.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Forgets all connections.
    pub(super) fn reconnect(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.forgotten.notify_waiters();
    }

    /// Ends when all connections are forgotten the next time.
    pub(super) fn forgotten(&self) -> OwnedNotified {
        Arc::clone(&self.forgotten).notified_owned()
    }

    /// Makes a call, again if the connection failed or another transaction was in the way.
    pub(super) async fn run<T>(
        &self,
        call: Call,
        mut work: impl for<'c> FnMut(&'c mut PgConnection, u32) -> Work<'c, T> + Send,
    ) -> Result<T, Failure> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let mut unsure = false;
        for tries in 1.. {
            let attempt = tokio::time::timeout_at(deadline, self.attempt(call, tries - 1, &mut work)).await;
            let (error, fate) = match attempt {
                Ok(Ok(value)) => {
                    self.link.works();
                    return Ok(value);
                }
                Ok(Err(Broken::Before(error))) => {
                    let fate = error::fate(&error);
                    (error, fate)
                }
                Ok(Err(Broken::During(error))) => {
                    let fate = error::fate(&error);
                    unsure |= fate == Fate::Gone;
                    (error, fate)
                }
                Err(_) => {
                    self.link.lost(&"no answer");
                    self.reconnect();
                    return Err(Failure {
                        error: error::timeout(call.operation),
                        unsure: true,
                        refused: false,
                    });
                }
            };
            if fate == Fate::Gone {
                self.link.lost(&error);
                self.reconnect();
            } else {
                self.link.works();
            }
            let pause = Link::back_off(tries);
            let late = tokio::time::Instant::now() + pause >= deadline;
            let again = fate != Fate::Refused && (call.repeat || !unsure);
            if !again || late || tries >= TRIES {
                let error = error::map(&error, call.operation);
                return Err(Failure { error, unsure, refused: fate == Fate::Refused });
            }
            tokio::time::sleep(if tries == 1 { pause / 8 } else { pause }).await;
        }
        unreachable!("the last try returns")
    }

    async fn attempt<T>(
        &self,
        call: Call,
        tried: u32,
        work: &mut (impl for<'c> FnMut(&'c mut PgConnection, u32) -> Work<'c, T> + Send),
    ) -> Result<T, Broken> {
        let _slot = self.slots.acquire().await.map_err(|_| Broken::Before(sqlx::Error::PoolClosed))?;
        let epoch = self.epoch.load(Ordering::Relaxed);
        let runtime = Handle::current().id();
        let (mut conn, mut planned) = match self.take_idle(epoch, runtime, call.operation) {
            Some(idle) => (idle.conn, idle.planned),
            None => (self.connect().await.map_err(Broken::Before)?, Vec::new()),
        };
        let transaction = call.transaction || self.pooled;
        if transaction {
            execute(&mut conn, &self.begin).await.map_err(Broken::Before)?;
        }
        let mut done = work(&mut conn, tried).await;
        if transaction {
            let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
            if let Err(error) = execute(&mut conn, end).await {
                done = done.and(Err(error));
            }
        }
        if done.as_ref().err().is_none_or(|error| error::fate(error) != Fate::Gone) {
            if !planned.contains(&call.operation) {
                planned.push(call.operation);
            }
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(Idle { conn, runtime, since: Instant::now(), epoch, planned });
        }
        done.map_err(Broken::During)
    }

    /// The connection of this runtime that was used last, if possible of those on which such a call is planned. Where there is none,
    /// one of another runtime makes room for it.
    fn take_idle(&self, epoch: u64, runtime: Id, operation: &'static str) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.epoch == epoch && idle.since.elapsed() < IDLE);
        let is_planned = |idle: &Idle| idle.runtime == runtime && idle.planned.contains(&operation);
        let found = idle
            .iter()
            .rposition(is_planned)
            .or_else(|| idle.iter().rposition(|idle| idle.runtime == runtime));
        if found.is_none() && idle.len() > self.slots.available_permits() {
            idle.remove(0);
        }
        found.map(|found| idle.remove(found))
    }

    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        let mut conn = self.server.connect().await?;
        if !self.pooled {
            let session = format!("SET SESSION CHARACTERISTICS AS TRANSACTION {ISOLATION}");
            execute(&mut conn, &format!("{session}; {}", settings("SET", self.timeout))).await?;
        }
        Ok(conn)
    }
}

async fn execute(conn: &mut PgConnection, sql: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

/// What the queue's statements run under. The server gives up before the client does, so that nothing is done that the caller was told
/// has failed. A plan is made once per connection, without regard to statistics or values, and goes by an index also where the table
/// was empty then; none is worth compiling.
fn settings(set: &str, timeout: Duration) -> String {
    let (lock, statement) = (timeout.mul_f64(0.7).as_millis(), timeout.mul_f64(0.85).as_millis());
    let idle = timeout.saturating_mul(2).as_millis();
    [
        format!("lock_timeout = {lock}"),
        format!("statement_timeout = {statement}"),
        format!("idle_in_transaction_session_timeout = {idle}"),
        "plan_cache_mode = force_generic_plan".to_owned(),
        "enable_seqscan = off".to_owned(),
        "jit = off".to_owned(),
    ]
    .map(|setting| format!("{set} {setting}"))
    .join("; ")
}

/// The answer of a task.
pub(super) async fn answer<T>(
    operation: &'static str,
    answer: oneshot::Receiver<Result<T, QueueError>>,
) -> Result<T, QueueError> {
    answer.await.unwrap_or_else(|_| Err(error::gone(operation)))
}

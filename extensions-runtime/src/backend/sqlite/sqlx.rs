//! The same on connections of sqlx: its driver runs the store's statements, one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow, SqliteValueRef};
use ::sqlx::{Arguments as _, Connection as _, Decode, Row as _, Sqlite, TypeInfo as _, ValueRef as _};
use rusqlite::types::ValueRef;

use super::error;
use super::store::ends::{self, End, Held};
use super::store::push::{self, Batch};
use super::store::value::Value;
use super::store::{self, names};
use super::transaction::{same_file, sqlite};
use crate::backend::rules;
use crate::job::{NewJob, UniqueLock};
use crate::queue::{Pushed, QueueBackend, QueueError, QueueErrorKind, Settled, Settlement, Transaction};
use crate::time::millis;

/// A connection of sqlx 0.9 on which a transaction was begun, by sqlx.
///
/// # Errors
///
/// Besides those of [`Transaction`]: `InvalidConfig` where no transaction was begun, or by a statement that sqlx knows nothing
/// of. `Unavailable` where the connection's own `busy_timeout` is over, and at once where the transaction has read before
/// others wrote: begin it by `begin_with("BEGIN IMMEDIATE")` if it reads before it fires.
impl Transaction for SqliteConnection {
    async fn push(
        &mut self,
        queue: &dyn QueueBackend,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        let mut within = Within::enter(self, queue, "push").await?;
        let pushed = within.push(&Batch::new(jobs)).await?;
        within.signal().await?;
        Ok(pushed)
    }

    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        let mut within = Within::enter(self, queue, "settle").await?;
        let settled = within.settle(&settlements).await?;
        within.signal().await?;
        Ok(settled)
    }
}

/// A transaction of sqlx 0.9; the errors are those of a [`SqliteConnection`].
impl Transaction for ::sqlx::Transaction<'_, Sqlite> {
    async fn push(
        &mut self,
        queue: &dyn QueueBackend,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        Transaction::push(&mut **self, queue, jobs).await
    }

    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        Transaction::settle(&mut **self, queue, settlements).await
    }
}

/// A lane's number, and its queue's.
type Lane = (i64, i64);

/// The caller's transaction, and what was done in it.
struct Within<'a> {
    conn: &'a mut SqliteConnection,
    operation: &'static str,
    now: i64,
    touched: BTreeSet<i64>,
}

impl<'a> Within<'a> {
    async fn enter(
        conn: &'a mut SqliteConnection,
        queue: &dyn QueueBackend,
        operation: &'static str,
    ) -> Result<Self, QueueError> {
        let inner = &sqlite(queue, operation)?.inner;
        let begun = conn.is_in_transaction();
        let mut within = Self { conn, operation, now: store::now(), touched: BTreeSet::new() };
        let main = "SELECT file FROM pragma_database_list WHERE name = 'main'";
        let main = within.first(main, []).await?.and_then(|file| file.text()).unwrap_or_default();
        same_file(&inner.file, &main, operation)?;
        if !begun {
            return Err(rules::no_transaction(operation));
        }
        within.execute(store::WANT_TO_WRITE, []).await?;
        Ok(within)
    }

    async fn push(&mut self, batch: &Batch) -> Result<Vec<Pushed>, QueueError> {
        let mut any_taken = self.first(push::ANY_TAKEN, []).await?.is_some();
        let mut answers = Vec::with_capacity(batch.len());
        for (job, meta) in batch.iter() {
            if (any_taken || job.unique.is_some())
                && let Some(answer) = self.refuse(job).await?
            {
                answers.push(answer);
                continue;
            }
            let (lane, queue) = self.lane(job).await?;
            let stored = self.execute(push::INSERT, push::row(job, meta, lane, self.now)).await? > 0;
            if stored {
                self.touched.insert(queue);
            }
            if let Some(taken) = push::take_id(job, self.now).filter(|_| stored) {
                self.execute(push::TAKE_ID, taken).await?;
                any_taken = true;
            }
            answers.push(Pushed::Queued);
        }
        Ok(answers)
    }

    /// The answer, if the job is not to be stored; else its key is its own now.
    async fn refuse(&mut self, job: &NewJob) -> Result<Option<Pushed>, QueueError> {
        let taken = [job.id.as_bytes().into(), self.now.into()];
        if self.first(push::IS_TAKEN, taken).await?.is_some() {
            return Ok(Some(Pushed::Queued));
        }
        match &job.unique {
            Some(unique) => self.lock(job, unique).await,
            None => Ok(None),
        }
    }

    async fn lock(&mut self, job: &NewJob, unique: &UniqueLock) -> Result<Option<Pushed>, QueueError> {
        let key = unique.key.as_str();
        let lock = push::lock(key, job.id.as_bytes(), unique.ttl.map(millis), self.now);
        if self.execute(push::LOCK, lock).await? > 0 {
            return Ok(None);
        }
        let holder = self.first(push::HOLDER, [key.into()]).await?;
        Ok(holder.and_then(|of| push::holder(of.bytes())).map(|of| Pushed::Duplicate { of }))
    }

    /// The lane of a job, which is made if need be.
    async fn lane(&mut self, job: &NewJob) -> Result<Lane, QueueError> {
        let (queue, handler) = (job.queue.as_str(), job.handler.as_str());
        let version = || Value::from(job.point_version);
        let names = [queue.into(), handler.into(), version()];
        if let Some([lane, queue]) = self.row(names::FIND_LANE, names).await? {
            return Ok((lane.int(), queue.int()));
        }
        let queue = match self.first(names::FIND_QUEUE, [queue.into()]).await? {
            Some(queue) => queue.int(),
            None => self.insert(names::MAKE_QUEUE, [queue.into()]).await?,
        };
        let lane = self.insert(names::MAKE_LANE, [queue.into(), handler.into(), version()]).await?;
        Ok((lane, queue))
    }

    async fn settle(&mut self, settlements: &[Settlement]) -> Result<Vec<Settled>, QueueError> {
        let mut left = BTreeMap::<i64, i64>::new();
        let mut answers = Vec::with_capacity(settlements.len());
        for settlement in settlements {
            let held = self.row(ends::HELD, ends::found_by(settlement)).await?.map(Held::from);
            let Some(end) = held.and_then(|held| ends::settled(&held, &settlement.end, self.now)) else {
                answers.push(Settled::LeaseLost);
                continue;
            };
            if !end.stays {
                *left.entry(ends::claim(settlement)).or_default() += 1;
            }
            self.carry_out(end).await?;
            if let Some(follow_ups) = ends::follow_ups(settlement) {
                self.push(&Batch::new(follow_ups)).await?;
            }
            answers.push(Settled::Done);
        }
        for (claim, jobs) in left {
            if self.execute(ends::COUNT_LEFT, [claim.into(), jobs.into()]).await? == 0 {
                self.execute(ends::END_CLAIM, [claim.into()]).await?;
            }
        }
        Ok(answers)
    }

    async fn carry_out(&mut self, end: End) -> Result<(), QueueError> {
        for step in end.steps {
            self.execute(step.sql, step.arguments).await?;
        }
        if let Some(lane) = end.lane {
            let queue = self.first(names::QUEUE_OF, [lane.into()]).await?;
            self.touched.extend(queue.map(|queue| queue.int()));
        }
        Ok(())
    }

    /// Numbers the change of every queue in which something became claimable; the commit wakes those who wait.
    async fn signal(mut self) -> Result<(), QueueError> {
        for queue in std::mem::take(&mut self.touched) {
            self.execute(store::NUMBER_CHANGE, [queue.into()]).await?;
        }
        Ok(())
    }

    /// Runs a statement; how many rows it changed.
    async fn execute(
        &mut self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value<'_>>,
    ) -> Result<u64, QueueError> {
        let done = ::sqlx::query_with(sql, bound(arguments)).execute(&mut *self.conn).await;
        Ok(done.map_err(|error| failed(&error, self.operation))?.rows_affected())
    }

    /// Inserts a row; its number.
    async fn insert(
        &mut self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value<'_>>,
    ) -> Result<i64, QueueError> {
        let done = ::sqlx::query_with(sql, bound(arguments)).execute(&mut *self.conn).await;
        Ok(done.map_err(|error| failed(&error, self.operation))?.last_insert_rowid())
    }

    /// The first row's columns.
    async fn row<const N: usize>(
        &mut self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value<'_>>,
    ) -> Result<Option<[Value<'static>; N]>, QueueError> {
        let row = ::sqlx::query_with(sql, bound(arguments)).fetch_optional(&mut *self.conn).await;
        row.and_then(|row| row.map(|row| values(&row)).transpose())
            .map_err(|error| failed(&error, self.operation))
    }

    /// The first column of the first row.
    async fn first<const M: usize>(
        &mut self,
        sql: &'static str,
        arguments: [Value<'_>; M],
    ) -> Result<Option<Value<'static>>, QueueError> {
        Ok(self.row(sql, arguments).await?.map(|[value]| value))
    }
}

fn bound<'v>(values: impl IntoIterator<Item = Value<'v>>) -> SqliteArguments {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text.into_owned()),
            Value::Blob(bytes) => arguments.add(bytes.into_owned()),
        };
        debug_assert!(added.is_ok(), "these types have no conversion that fails");
    }
    arguments
}

fn values<const N: usize>(row: &SqliteRow) -> Result<[Value<'static>; N], ::sqlx::Error> {
    let mut values = [const { Value::Null }; N];
    for (at, value) in values.iter_mut().enumerate() {
        let stored = row.try_get_raw(at)?;
        if stored.is_null() {
            continue;
        }
        let kind = stored.type_info().name().to_owned();
        *value = match &*kind {
            "INTEGER" => Value::Int(decoded(stored)?),
            "TEXT" => ValueRef::Text(decoded(stored)?).into(),
            _ => ValueRef::Blob(decoded(stored)?).into(),
        };
    }
    Ok(values)
}

fn decoded<'r, T: Decode<'r, Sqlite>>(value: SqliteValueRef<'r>) -> Result<T, ::sqlx::Error> {
    T::decode(value).map_err(::sqlx::Error::Decode)
}

/// The queue's error; what SQLite answered means the same through every driver.
fn failed(error: &::sqlx::Error, operation: &'static str) -> QueueError {
    let code = error.as_database_error().and_then(|error| error.code()?.parse().ok());
    let Some(code) = code else {
        let what = "the driver could not run the statement";
        return QueueError::new(QueueErrorKind::Other, operation, what).with_source(error.to_string());
    };
    let failure = rusqlite::ffi::Error::new(code);
    error::map(&rusqlite::Error::SqliteFailure(failure, Some(error.to_string())), operation)
}

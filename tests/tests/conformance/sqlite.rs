//! SQLite: a database in a folder for each case.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use extensions_runtime::conformance::{Fixture, Part, Work, WorkDone};
use extensions_runtime::job::{JobId, WorkerId};
use extensions_runtime::queue::{QueueBackend, QueueError, Sqlite, Synchronous, Transaction};
use rusqlite::TransactionBehavior;
use tokio::runtime::Handle;

use crate::{PATIENCE, Step};

/// A database in a folder of its own, which goes with the fixture.
struct SqliteFixture {
    folder: PathBuf,
    synchronous: Synchronous,
    backend: Sqlite,
}

impl SqliteFixture {
    async fn new(synchronous: Synchronous) -> Self {
        let folder = std::env::temp_dir().join(format!("extensions-conformance-{}", WorkerId::new()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let path = folder.join("jobs.db");
        let backend = Sqlite::open(path).synchronous(synchronous).busy_timeout(PATIENCE).await;
        Self { folder, synchronous, backend: backend.expect("the database opens") }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("jobs.db")
    }

    fn connection(&self) -> rusqlite::Connection {
        let conn = rusqlite::Connection::open(self.path()).expect("a second connection");
        conn.busy_timeout(Duration::from_secs(20)).expect("a time-out");
        conn
    }

    async fn work(&self, work: Work<'_>) -> Result<WorkDone, QueueError> {
        let mut conn = self.connection();
        let mut tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).expect("it begins");
        let pushed = tx.push(&self.backend, work.push).await?;
        let settled = tx.settle(&self.backend, work.settle).await?;
        work.meanwhile.await;
        if work.commit { tx.commit() } else { tx.rollback() }.expect("it ends");
        Ok(WorkDone { pushed, settled })
    }
}

impl Drop for SqliteFixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Fixture for SqliteFixture {
    fn backend(&self) -> Arc<dyn QueueBackend> {
        Arc::new(self.backend.clone())
    }

    fn reopen(&self) -> Step<'_, Arc<dyn QueueBackend>> {
        Box::pin(async {
            let again = Sqlite::open(self.path()).synchronous(self.synchronous).await;
            Arc::new(again.expect("the database opens again")) as Arc<dyn QueueBackend>
        })
    }

    fn can_transact(&self) -> bool {
        true
    }

    fn transact<'a>(&'a self, work: Work<'a>) -> Step<'a, Result<WorkDone, QueueError>> {
        // The futures of a transaction of rusqlite stay in their thread.
        Box::pin(async { tokio::task::block_in_place(|| Handle::current().block_on(self.work(work))) })
    }

    fn can_spoil(&self) -> bool {
        true
    }

    fn spoil(&self, job: JobId, part: Part, garbage: Vec<u8>) -> Step<'_, ()> {
        let column = match part {
            Part::Payload => "payload",
            Part::Meta => "meta",
            Part::Errors => "errors",
        };
        let sql = format!("UPDATE extensions_jobs SET {column} = ?1 WHERE id = ?2");
        let spoiled = self.connection().execute(&sql, rusqlite::params![garbage, job.as_bytes()]);
        assert_eq!(spoiled.expect("the job can be spoiled"), 1);
        Box::pin(async {})
    }

    fn can_obstruct(&self) -> bool {
        true
    }

    fn obstruct(&self) -> Box<dyn Any + Send> {
        let conn = self.connection();
        conn.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
        Box::new(WriteLock(conn))
    }
}

/// Keeps the database's write lock until it is dropped.
struct WriteLock(rusqlite::Connection);

impl Drop for WriteLock {
    fn drop(&mut self) {
        let _ = self.0.execute_batch("ROLLBACK");
    }
}

pub(crate) async fn normal() -> Box<dyn Fixture> {
    Box::new(SqliteFixture::new(Synchronous::Normal).await)
}

pub(crate) async fn full() -> Box<dyn Fixture> {
    Box::new(SqliteFixture::new(Synchronous::Full).await)
}

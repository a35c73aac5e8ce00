//! Where it is kept: a SQLite file that any number of processes write. Whatever is written twice is there once, since a job may
//! run more than once.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, params};

use crate::points::DeliveryReceived;

const PATIENCE: Duration = Duration::from_secs(10);

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS deliveries (
        delivery TEXT PRIMARY KEY,
        event TEXT NOT NULL,
        action TEXT,
        payload TEXT NOT NULL,
        by_process INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS announcements (
        delivery TEXT NOT NULL,
        point TEXT NOT NULL,
        text TEXT NOT NULL,
        by_process INTEGER NOT NULL,
        PRIMARY KEY (delivery, point)
    );";

#[derive(Debug)]
pub(crate) struct Archive(Mutex<Connection>);

impl Archive {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        let deadline = Instant::now() + PATIENCE;
        // The step to WAL does not heed the busy time-out.
        while let Err(error) = connection.execute_batch(TABLES) {
            let busy = matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            );
            if !busy || Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self(Mutex::new(connection)))
    }

    pub(crate) fn keep(&self, received: &DeliveryReceived) -> rusqlite::Result<()> {
        let DeliveryReceived { delivery, event, action, payload } = received;
        self.connection()
            .prepare_cached("INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?, ?)")?
            .execute(params![delivery, event, action, payload.to_string(), std::process::id()])?;
        Ok(())
    }

    pub(crate) fn announce(&self, delivery: &str, point: &str, text: &str) -> rusqlite::Result<()> {
        self.connection()
            .prepare_cached("INSERT OR IGNORE INTO announcements VALUES (?, ?, ?, ?)")?
            .execute(params![delivery, point, text, std::process::id()])?;
        Ok(())
    }

    /// How many deliveries and announcements there are.
    pub(crate) fn count(&self) -> rusqlite::Result<(u64, u64)> {
        let both = "SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM announcements)";
        self.connection().query_row(both, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

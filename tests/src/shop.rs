//! An application's own tables beside the queue, in the same database.

use std::future::Future;

use extensions::prelude::*;
use sqlx::{AssertSqlSafe, Connection};

use crate::raw::Raw;

/// A connection to the database that is also the queue, with tables of what was sold and booked.
#[derive(Debug)]
pub enum Shop {
    /// The file.
    Sqlite(rusqlite::Connection),
    /// The database.
    Postgres(sqlx::PgConnection),
}

/// Nothing keeps a fire from being booked twice but the transaction.
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS sold (fire BIGINT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS booked (fire BIGINT NOT NULL)",
];
const SOLD: &str = "SELECT fire FROM sold ORDER BY fire";
const BOOKED: &str = "SELECT fire FROM booked ORDER BY fire";

impl Shop {
    /// Opens it, and makes the tables if need be.
    ///
    /// # Panics
    ///
    /// If the URL names no database that can be opened.
    pub async fn open(url: &str) -> Self {
        let raw = Raw::of(url);
        match &raw {
            Raw::Sqlite(_) => {
                let conn = raw.sqlite();
                conn.execute_batch(&TABLES.join(";")).expect("the tables can be made");
                Self::Sqlite(conn)
            }
            Raw::Postgres(_, schema) => {
                let mut conn = raw.postgres().await;
                let path = AssertSqlSafe(format!("SET search_path TO \"{schema}\""));
                sqlx::query(path).execute(&mut conn).await.expect("the schema is there");
                for table in TABLES {
                    sqlx::query(table).execute(&mut conn).await.expect("the tables can be made");
                }
                Self::Postgres(conn)
            }
            Raw::Redis(..) => panic!("Redis has no tables"),
        }
    }

    /// Stores a row and fires a point in one transaction. `before_commit` is awaited when both are done, and nothing shows yet.
    ///
    /// # Errors
    ///
    /// Of the fire.
    ///
    /// # Panics
    ///
    /// If the database refuses.
    pub async fn sell<P: ExtensionPoint>(
        &mut self,
        ext: &Extensions,
        fire: u64,
        point: P,
        before_commit: impl Future<Output = ()>,
    ) -> Result<Fired<P>, FireError> {
        let row = i64::try_from(fire).expect("few are sold");
        match self {
            Self::Sqlite(conn) => {
                conn.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
                conn.execute("INSERT INTO sold VALUES (?1)", [row]).expect("the row is new");
                let fired = ext.point(point).within(conn).fire().await?;
                before_commit.await;
                conn.execute_batch("COMMIT").expect("the commit");
                Ok(fired)
            }
            Self::Postgres(conn) => {
                let mut tx = conn.begin().await.expect("a transaction");
                let insert = sqlx::query("INSERT INTO sold VALUES ($1)").bind(row);
                insert.execute(&mut *tx).await.expect("the row is new");
                let fired = ext.point(point).within(&mut tx).fire().await?;
                before_commit.await;
                tx.commit().await.expect("the commit");
                Ok(fired)
            }
        }
    }

    /// Stores a row and completes the job in one transaction. `before_completion` is awaited in between.
    ///
    /// # Errors
    ///
    /// Of the database, of `before_completion`, and of the completion.
    pub async fn book(
        &mut self,
        fire: u64,
        job: &Job,
        before_completion: impl Future<Output = HandlerResult>,
    ) -> HandlerResult {
        let row = i64::try_from(fire)?;
        match self {
            Self::Sqlite(conn) => {
                conn.execute_batch("BEGIN IMMEDIATE")?;
                conn.execute("INSERT INTO booked VALUES (?1)", [row])?;
                before_completion.await?;
                job.complete_within(conn).await?;
                conn.execute_batch("COMMIT")?;
            }
            Self::Postgres(conn) => {
                let mut tx = conn.begin().await?;
                sqlx::query("INSERT INTO booked VALUES ($1)").bind(row).execute(&mut *tx).await?;
                before_completion.await?;
                job.complete_within(&mut tx).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// The fires that were sold.
    pub async fn sold(&mut self) -> Vec<u64> {
        self.fires(SOLD).await
    }

    /// The fires that were booked, each as often as it was.
    pub async fn booked(&mut self) -> Vec<u64> {
        self.fires(BOOKED).await
    }

    async fn fires(&mut self, select: &'static str) -> Vec<u64> {
        let rows: Vec<i64> = match self {
            Self::Sqlite(conn) => {
                let mut statement = conn.prepare(select).expect("the table is there");
                let rows = statement.query_map([], |row| row.get(0)).expect("the table can be read");
                rows.collect::<Result<_, _>>().expect("the rows can be read")
            }
            Self::Postgres(conn) => {
                sqlx::query_scalar(select).fetch_all(conn).await.expect("the table can be read")
            }
        };
        rows.into_iter().map(i64::unsigned_abs).collect()
    }
}

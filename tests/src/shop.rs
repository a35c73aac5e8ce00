//! An application's own table beside the queue, in the same database.

use std::future::Future;

use extensions::prelude::*;
use sqlx::{AssertSqlSafe, Connection};

use crate::raw::Raw;

/// A connection to the database that is also the queue, with a table of what was sold.
#[derive(Debug)]
pub enum Shop {
    /// The file.
    Sqlite(rusqlite::Connection),
    /// The database.
    Postgres(sqlx::PgConnection),
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS sold (fire BIGINT PRIMARY KEY)";

impl Shop {
    /// Opens it, and makes the table if need be.
    ///
    /// # Panics
    ///
    /// If the URL names no database that can be opened.
    pub async fn open(url: &str) -> Self {
        let raw = Raw::of(url);
        match &raw {
            Raw::Sqlite(_) => {
                let conn = raw.sqlite();
                conn.execute_batch(TABLE).expect("the table can be made");
                Self::Sqlite(conn)
            }
            Raw::Postgres(_, schema) => {
                let mut conn = raw.postgres().await;
                let path = AssertSqlSafe(format!("SET search_path TO \"{schema}\""));
                sqlx::query(path).execute(&mut conn).await.expect("the schema is there");
                sqlx::query(TABLE).execute(&mut conn).await.expect("the table can be made");
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

    /// The fires whose rows are there.
    ///
    /// # Panics
    ///
    /// If the table cannot be read.
    pub async fn sold(&mut self) -> Vec<u64> {
        const ALL: &str = "SELECT fire FROM sold ORDER BY fire";
        let rows: Vec<i64> = match self {
            Self::Sqlite(conn) => {
                let mut statement = conn.prepare(ALL).expect("the table is there");
                let rows = statement.query_map([], |row| row.get(0)).expect("the table can be read");
                rows.collect::<Result<_, _>>().expect("the rows can be read")
            }
            Self::Postgres(conn) => {
                sqlx::query_scalar(ALL).fetch_all(conn).await.expect("the table can be read")
            }
        };
        rows.into_iter().map(i64::unsigned_abs).collect()
    }
}

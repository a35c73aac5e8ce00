//! The schema's versions: append-only files, applied under the write lock, so that any number of processes may race.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::queue::Migration;

const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
];

/// The newest schema that this program knows.
pub(super) const NEWEST: u32 = 5;

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS extensions_schema (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)";

/// Why a store cannot be brought up to date.
#[derive(Debug)]
pub(super) enum MigrateError {
    Newer(u32),
    /// It may not be changed.
    Older(u32),
    /// It is not there, and may not be made.
    Missing,
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Each step notes its version itself, so that a store made by hand from what is printed is one.
pub(super) fn all() -> Vec<Migration> {
    let step = |(text, version): (&&str, u32)| {
        let versions = if version == 1 { format!("{VERSIONS};\n") } else { String::new() };
        let noted = format!("INSERT INTO extensions_schema (version) VALUES ({version});");
        Migration { version, text: format!("{versions}{}\n{noted}\n", text.trim_end()) }
    };
    MIGRATIONS.iter().zip(1..).map(step).collect()
}

/// Brings the store to [`NEWEST`], or only sees whether it is there; which version it had.
pub(super) fn migrate(conn: &Connection, may_change: bool) -> Result<u32, MigrateError> {
    match version(conn)? {
        NEWEST => Ok(NEWEST),
        0 if !may_change => Err(MigrateError::Missing),
        older @ 0..NEWEST if !may_change => Err(MigrateError::Older(older)),
        _ => migrate_to(conn, NEWEST),
    }
}

/// Looks whether there is a store of this release, without touching what else may be there.
pub(super) fn check(path: &Path) -> Result<(), MigrateError> {
    if !path.exists() {
        return Err(MigrateError::Missing);
    }
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    super::busy::install(&conn)?;
    migrate(&conn, false).map(drop)
}

/// Brings the store to a version, as the release did whose newest it was; which version it had.
pub(super) fn migrate_to(conn: &Connection, wanted: u32) -> Result<u32, MigrateError> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let done = apply(conn, wanted);
    conn.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    done
}

fn apply(conn: &Connection, wanted: u32) -> Result<u32, MigrateError> {
    conn.execute_batch(VERSIONS)?;
    let found = version(conn)?;
    if found > NEWEST {
        return Err(MigrateError::Newer(found));
    }
    let missing = |migration: &Migration| (found + 1..=wanted).contains(&migration.version);
    for migration in all().into_iter().filter(missing) {
        conn.execute_batch(&migration.text)?;
    }
    Ok(found)
}

fn version(conn: &Connection) -> Result<u32, rusqlite::Error> {
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'extensions_schema'";
    if conn.query_row(table, [], |_| Ok(())).optional()?.is_none() {
        return Ok(0);
    }
    conn.query_row("SELECT coalesce(max(version), 0) FROM extensions_schema", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::{MIGRATIONS, MigrateError, NEWEST, all, migrate};
    use rusqlite::Connection;

    #[test]
    fn versions_are_counted_from_one() {
        assert_eq!(MIGRATIONS.len(), NEWEST as usize);
        assert_eq!(all().last().unwrap().version, NEWEST);
    }

    #[test]
    fn what_is_printed_makes_the_store_when_it_is_run_by_hand() {
        let conn = Connection::open_in_memory().unwrap();
        for migration in all() {
            conn.execute_batch(&migration.text).unwrap();
            let noted: u32 =
                conn.query_row("SELECT max(version) FROM extensions_schema", [], |row| row.get(0)).unwrap();
            assert_eq!(noted, migration.version);
        }
        assert_eq!(migrate(&conn, false).unwrap(), NEWEST);
    }

    #[test]
    fn a_store_of_a_newer_release_is_left_alone() {
        let conn = Connection::open_in_memory().unwrap();
        migrate(&conn, true).unwrap();
        conn.execute("INSERT INTO extensions_schema (version) VALUES (?1)", [NEWEST + 6]).unwrap();
        let error = migrate(&conn, true).unwrap_err();
        assert!(matches!(error, MigrateError::Newer(newer) if newer == NEWEST + 6), "{error:?}");
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let conn = Connection::open_in_memory().unwrap();
        assert_eq!(migrate(&conn, true).unwrap(), 0);
        assert_eq!(migrate(&conn, true).unwrap(), NEWEST);
        assert_eq!(migrate(&conn, false).unwrap(), NEWEST);
    }
}

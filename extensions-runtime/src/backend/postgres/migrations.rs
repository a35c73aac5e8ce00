//! The schema's versions: append-only files, applied under an advisory lock, so that any number of processes may race.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::driver::ISOLATION;
use super::error;
use super::store::Place;
use crate::queue::{Migration, QueueError, QueueErrorKind};

const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
    include_str!("schema/0007.sql"),
];

/// The newest schema that this program knows.
pub(super) const NEWEST: i32 = 7;

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS {p}schema (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());\n";
const APPLIED: &str = "INSERT INTO {p}schema (version) VALUES ({v});\n";

/// Who migrates one store waits for the others, however long they take.
const LOCK: &str = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(hashtextextended('{c}', 0))";

/// The steps as they are run; each can be run by hand.
pub(super) fn all(place: &Place) -> Vec<Migration> {
    (1..)
        .zip(MIGRATIONS)
        .map(|(version, text)| Migration { version, text: step(place, version, text) })
        .collect()
}

fn step(place: &Place, version: u32, text: &str) -> String {
    let first = if version == 1 { VERSIONS } else { "" };
    place.fill(&format!("{first}{text}{}", APPLIED.replace("{v}", &version.to_string())))
}

/// Brings the store to [`NEWEST`], or only sees whether it is there; which version it had.
pub(super) async fn migrate(
    conn: &mut PgConnection,
    place: &Place,
    may_change: bool,
) -> Result<u32, QueueError> {
    let failed = |error: sqlx::Error| error::map(&error, "connect");
    let found = version(conn, place).await.map_err(failed)?;
    if found == NEWEST {
        return Ok(found.unsigned_abs());
    }
    if found < NEWEST && !may_change {
        return Err(older(place, found));
    }
    let mut tx = conn.begin_with(AssertSqlSafe(format!("BEGIN {ISOLATION}"))).await.map_err(failed)?;
    sqlx::raw_sql(AssertSqlSafe(place.fill(LOCK))).execute(&mut *tx).await.map_err(failed)?;
    let found = version(&mut tx, place).await.map_err(failed)?;
    if found > NEWEST {
        return Err(newer(place, found));
    }
    for migration in
        all(place).into_iter().filter(|migration| i64::from(migration.version) > i64::from(found))
    {
        sqlx::raw_sql(AssertSqlSafe(migration.text)).execute(&mut *tx).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    Ok(found.unsigned_abs())
}

fn older(place: &Place, found: i32) -> QueueError {
    let (kind, context) = if found == 0 {
        (QueueErrorKind::NotFound, format!("there is no store in {place}; create it with `migrate`"))
    } else {
        let context = format!(
            "the store in {place} has schema {found}, this program needs {NEWEST}; bring it up to date with `migrate`"
        );
        (QueueErrorKind::InvalidConfig, context)
    };
    QueueError::new(kind, "connect", context)
}

fn newer(place: &Place, found: i32) -> QueueError {
    let context = format!(
        "the store in {place} has schema {found} of a newer release; this program knows schemas up to {NEWEST}: update it"
    );
    QueueError::new(QueueErrorKind::Corrupt, "connect", context)
}

async fn version(conn: &mut PgConnection, place: &Place) -> sqlx::Result<i32> {
    // Not `to_regclass`: within a transaction it may not see what another has made since.
    let found = sqlx::query(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
    );
    let found = found.persistent(false).bind(place.schema()).bind(place.fill("{x}schema"));
    if found.fetch_optional(&mut *conn).await?.is_none() {
        return Ok(0);
    }
    let sql = place.fill("SELECT coalesce(max(version), 0) FROM {p}schema");
    sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(conn).await?.try_get(0)
}

#[cfg(test)]
mod tests {
    use super::{MIGRATIONS, NEWEST, all};
    use crate::backend::postgres::store::Place;

    #[test]
    fn versions_are_counted_from_one_and_texts_have_no_gaps_left() {
        assert_eq!(MIGRATIONS.len(), usize::try_from(NEWEST).unwrap());
        assert_eq!(Place::new("a{x}b", "q_").fill("{p}jobs"), "\"a{x}b\".q_jobs");
        let place = Place::new("app", "q_");
        for (migration, version) in all(&place).iter().zip(1..) {
            assert_eq!(migration.version, version);
            for gap in ["{p}", "{x}", "{c}", "{now}", "{v}"] {
                assert!(!migration.text.contains(gap), "{gap} in {version}");
            }
            assert!(migration.text.contains("\"app\".q_"));
        }
    }
}

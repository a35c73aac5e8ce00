//! What is wrong with the server's settings and the store.

use sqlx::{PgConnection, Row};

use super::Store;
use crate::backend::rules;
use crate::queue::Finding;
use crate::time::{Clock, SystemClock};

pub(super) const SETTINGS: &str = "SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('autovacuum'), current_setting('server_version_num')::integer, pg_is_in_recovery()";
pub(super) const ORPHANED_KEYS: &str = "SELECT count(*) FROM {p}locks l WHERE (l.expires_at IS NULL OR l.expires_at > {now}) AND NOT EXISTS (SELECT 1 FROM {p}jobs j WHERE j.id = l.job AND j.ended_at IS NULL)";

/// The oldest server that the schema is for.
const OLDEST: i32 = 130_000;

impl Store {
    pub(in super::super) async fn check(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Finding>> {
        let mut found: Vec<_> =
            rules::clock_skew(self.now(&mut *conn).await?, SystemClock.now()).into_iter().collect();
        let settings = self.query(&self.sql.settings).fetch_one(&mut *conn).await?;
        let (fsync, commit): (&str, &str) = (settings.try_get(0)?, settings.try_get(1)?);
        if fsync == "off" {
            let what =
                "the server does not wait for its disk (`fsync = off`): a crash may spoil the database";
            found.push(Finding::problem(what, "set `fsync = on`"));
        }
        if commit == "off" {
            let what = "the server answers before a commit is on its disk (`synchronous_commit = off`): its crash loses the last jobs";
            found.push(Finding::warning(what, "set `synchronous_commit = on` for this user"));
        }
        if settings.try_get::<&str, _>(2)? == "off" {
            let what = "`autovacuum` is off: the tables grow with every job";
            found.push(Finding::warning(what, "set `autovacuum = on`"));
        }
        if settings.try_get::<i32, _>(3)? < OLDEST {
            found.push(Finding::warning("the server is older than PostgreSQL 13", "update it"));
        }
        if settings.try_get(4)? {
            let what = "the server is a standby, which only reads: nothing can be queued or claimed";
            found.push(Finding::problem(what, "connect to the primary"));
        }
        let orphaned: i64 = self.query(&self.sql.orphaned_keys).fetch_one(conn).await?.try_get(0)?;
        found.extend(rules::orphaned_keys(orphaned.unsigned_abs()));
        Ok(found)
    }
}

//! What the server's settings promise, looked at when the queue is opened and when an operator asks.

use std::collections::HashMap;
use std::sync::Arc;

use redis::Value;

use super::super::error::Failure;
use super::answer;
use super::connection::Connection;
use super::{Store, script};
use crate::backend::rules;
use crate::queue::{Finding, QueueError, QueueErrorKind};
use crate::telemetry::names::event;
use crate::time::{Clock, SystemClock};

const OLDEST: u32 = 7;

fn fields(info: &str) -> HashMap<&str, &str> {
    info.lines().filter_map(|line| line.trim_end().split_once(':')).collect()
}

async fn ask(connection: &Arc<Connection>, words: &[&str]) -> Result<Value, Failure> {
    let mut cmd = redis::cmd(words[0]);
    cmd.arg(&words[1..]);
    connection.command(&cmd).await
}

async fn info(connection: &Arc<Connection>, section: &str) -> Result<String, Failure> {
    Ok(match ask(connection, &["INFO", section]).await? {
        Value::VerbatimString { text, .. } => text,
        value => answer::text(&value)?.to_owned(),
    })
}

/// Refuses a server that is too old.
pub(super) async fn check_version(connection: &Arc<Connection>) -> Result<Result<(), QueueError>, Failure> {
    let info = info(connection, "server").await?;
    let fields = fields(&info);
    let version = fields.get("redis_version").copied().unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < OLDEST) {
        let what = format!("the server is version {version}; update it to Redis {OLDEST} or Valkey");
        return Ok(Err(QueueError::new(QueueErrorKind::Unsupported, "connect", what)));
    }
    Ok(Ok(()))
}

/// Says which settings let jobs get lost.
pub(super) async fn warn(connection: &Arc<Connection>, place: &str) {
    let (Ok(memory), Ok(persistence)) =
        (info(connection, "memory").await, info(connection, "persistence").await)
    else {
        tracing::debug!(queue = place, "the server does not say how it keeps its data");
        return;
    };
    let saves = setting(connection, "save").await;
    if saves.is_none() {
        tracing::debug!(queue = place, "the server does not allow CONFIG, so its snapshots are not checked");
    }
    for finding in findings(&memory, &persistence, saves.as_deref()) {
        tracing::warn!(name: event::STORE_UNSAFE, queue = place, "{}; {}", finding.what, finding.advice);
    }
}

impl Store {
    pub(in crate::backend::redis) async fn check(&self) -> Result<Vec<Finding>, Failure> {
        let connection = &self.connection;
        let (memory, persistence) =
            (info(connection, "memory").await?, info(connection, "persistence").await?);
        let saves = setting(connection, "save").await;
        let mut found = findings(&memory, &persistence, saves.as_deref());
        found.extend(rules::clock_skew(self.now().await?, SystemClock.now()));
        found.extend(rules::orphaned_keys(self.orphaned_keys().await?));
        Ok(found)
    }

    async fn orphaned_keys(&self) -> Result<u64, Failure> {
        let (mut cursor, mut orphaned) = ("0".to_owned(), 0);
        loop {
            let part = self.step(&script::ORPHANS, |cmd| {
                cmd.arg(&cursor);
            });
            let [next, found] = answer::parts(part.await?)?;
            orphaned += answer::count(&found)?;
            answer::text(&next)?.clone_into(&mut cursor);
            if cursor == "0" {
                return Ok(orphaned);
            }
        }
    }
}

async fn setting(connection: &Arc<Connection>, name: &str) -> Option<String> {
    let answered = ask(connection, &["CONFIG", "GET", name]).await.ok()?;
    let (_, value) = answer::pairs(answered).ok()?.into_iter().next()?;
    answer::text(&value).ok().map(str::to_owned)
}

/// The settings that let jobs get lost.
fn findings(memory: &str, persistence: &str, saves: Option<&str>) -> Vec<Finding> {
    let (memory, persistence) = (fields(memory), fields(persistence));
    let mut found = Vec::new();
    let policy = memory.get("maxmemory_policy").copied().unwrap_or("noeviction");
    if policy != "noeviction" && memory.get("maxmemory").is_some_and(|limit| *limit != "0") {
        let what =
            format!("the server deletes jobs when its memory is full, as `maxmemory-policy` is `{policy}`");
        found.push(Finding::problem(what, "set `maxmemory-policy noeviction`"));
    }
    if persistence.get("aof_enabled").is_some_and(|enabled| *enabled == "0") {
        let advice = "set `appendonly yes`";
        found.push(match saves {
            Some("") => Finding::problem(
                "the server writes nothing to its disk, so its restart loses all jobs",
                advice,
            ),
            _ => Finding::warning(
                "the server writes only snapshots, so its crash loses the jobs since the last one",
                advice,
            ),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::findings;

    #[test]
    fn each_dangerous_setting_is_named() {
        let full = |policy: &str, limit: u32| {
            format!("# Memory\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n")
        };
        let (on, off) = ("aof_enabled:1\r\n", "aof_enabled:0\r\n");
        let said = |memory: &str, persistence: &str, saves: Option<&str>| -> Vec<String> {
            findings(memory, persistence, saves).iter().map(ToString::to_string).collect()
        };
        assert_eq!(said(&full("noeviction", 9), on, Some("")), Vec::<String>::new());
        assert_eq!(said(&full("allkeys-lru", 0), on, None), Vec::<String>::new());
        assert!(said(&full("allkeys-lru", 9), on, None)[0].contains("set `maxmemory-policy noeviction`"));
        assert!(said(&full("noeviction", 9), off, Some(""))[0].contains("nothing to its disk"));
        assert!(said(&full("noeviction", 9), off, Some("3600 1"))[0].contains("set `appendonly yes`"));
        assert_eq!(said("", "", None), Vec::<String>::new());
    }
}

//! What the server's settings promise, looked at once when the queue is opened.

use std::collections::HashMap;

use redis::Value;

use super::super::error::Failure;
use super::answer;
use super::connection::Connection;
use crate::queue::{QueueError, QueueErrorKind};
use crate::telemetry::names::event;

const OLDEST: u32 = 7;

fn fields(info: &str) -> HashMap<&str, &str> {
    info.lines().filter_map(|line| line.trim_end().split_once(':')).collect()
}

async fn ask(connection: &Connection, words: &[&str]) -> Result<Value, Failure> {
    let mut cmd = redis::cmd(words[0]);
    cmd.arg(&words[1..]);
    connection.command(&cmd).await
}

async fn info(connection: &Connection, section: &str) -> Result<String, Failure> {
    Ok(match ask(connection, &["INFO", section]).await? {
        Value::VerbatimString { text, .. } => text,
        value => answer::text(&value)?.to_owned(),
    })
}

/// Refuses a server that is too old.
pub(super) async fn check_version(connection: &Connection) -> Result<Result<(), QueueError>, Failure> {
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
pub(super) async fn warn(connection: &Connection, place: &str) {
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
    for warning in warnings(&memory, &persistence, saves.as_deref()) {
        tracing::warn!(name: event::STORE_UNSAFE, queue = place, "{warning}");
    }
}

async fn setting(connection: &Connection, name: &str) -> Option<String> {
    let answered = ask(connection, &["CONFIG", "GET", name]).await.ok()?;
    let (_, value) = answer::pairs(answered).ok()?.into_iter().next()?;
    answer::text(&value).ok().map(str::to_owned)
}

fn warnings(memory: &str, persistence: &str, saves: Option<&str>) -> Vec<String> {
    let (memory, persistence) = (fields(memory), fields(persistence));
    let mut found = Vec::new();
    let policy = memory.get("maxmemory_policy").copied().unwrap_or("noeviction");
    if policy != "noeviction" && memory.get("maxmemory").is_some_and(|limit| *limit != "0") {
        found.push(format!(
            "the server deletes jobs when its memory is full, as `maxmemory-policy` is `{policy}`; set `maxmemory-policy noeviction`"
        ));
    }
    if persistence.get("aof_enabled").is_some_and(|enabled| *enabled == "0") {
        found.push(match saves {
            Some("") => "the server writes nothing to its disk, so its restart loses all jobs; set `appendonly yes`",
            _ => "the server writes only snapshots, so its crash loses the jobs since the last one; set `appendonly yes`",
        }
        .to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::warnings;

    #[test]
    fn each_dangerous_setting_is_named() {
        let full = |policy: &str, limit: u32| {
            format!("# Memory\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n")
        };
        let (on, off) = ("aof_enabled:1\r\n", "aof_enabled:0\r\n");
        assert_eq!(warnings(&full("noeviction", 9), on, Some("")), Vec::<String>::new());
        assert_eq!(warnings(&full("allkeys-lru", 0), on, None), Vec::<String>::new());
        assert!(warnings(&full("allkeys-lru", 9), on, None)[0].contains("set `maxmemory-policy noeviction`"));
        assert!(warnings(&full("noeviction", 9), off, Some(""))[0].contains("nothing to its disk"));
        assert!(warnings(&full("noeviction", 9), off, Some("3600 1"))[0].contains("set `appendonly yes`"));
        assert_eq!(warnings("", "", None), Vec::<String>::new());
    }
}

//! From a URL to a backend; the only place that names them.

use std::sync::Arc;

use serde::Serialize;

use super::{Migration, QueueBackend, QueueError, QueueErrorKind};
use crate::time::Clock;

/// The schemes that exist, with the feature that brings each.
const SCHEMES: &[(&str, Option<&str>)] = &[
    ("memory", None),
    ("postgres", Some("postgres")),
    ("postgresql", Some("postgres")),
    ("redis", Some("redis")),
    ("rediss", Some("redis")),
    ("redis-cluster", Some("redis")),
    ("rediss-cluster", Some("redis")),
    ("redis-sentinel", Some("redis")),
    ("rediss-sentinel", Some("redis")),
    ("sqlite", Some("sqlite")),
    (SYNC, None),
];
/// The schemes of Redis.
#[cfg(feature = "redis")]
const REDIS: &[&str] =
    &["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];
/// The scheme of no queue at all.
const SYNC: &str = "sync";

/// Opens the backend that a URL names: `sqlite://jobs.db`, `sqlite:///var/lib/app/jobs.db?synchronous=full`,
/// `postgres://user@host/db`, `redis://:password@host:6379/0?prefix=shop`, `memory:`.
///
/// # Errors
///
/// `InvalidConfig` for an unknown scheme or option, or a scheme whose feature is off; `Unavailable` where the store
/// cannot be opened.
pub async fn connect(url: &str) -> Result<Arc<dyn QueueBackend>, QueueError> {
    Ok(open(url, None).await?.0)
}

/// Opens the backend that a URL names, if its store is there and of this release: creates and changes nothing.
///
/// A queue in memory begins with its process, so that `memory:` is as with [`connect`].
///
/// # Errors
///
/// `NotFound` where there is no store, `InvalidConfig` where it is of an older release: [`migrate`] makes and changes it. Else those of
/// [`connect`].
pub async fn connect_existing(url: &str) -> Result<Arc<dyn QueueBackend>, QueueError> {
    Ok(open(url, Some(false)).await?.0)
}

/// Creates the store that a URL names, or brings it to the newest schema that this program knows. Any number of processes may do so at
/// once.
///
/// # Errors
///
/// Those of [`connect`]; `Corrupt` where the store is of a newer release.
pub async fn migrate(url: &str) -> Result<Migrated, QueueError> {
    let (queue, from) = open(url, Some(true)).await?;
    let to = queue.migrations().last().map_or(0, |newest| newest.version);
    Ok(Migrated { store: queue.describe(), from, to })
}

/// The steps that make and change the store that a URL names, for reading and running by hand; neither happens here. PostgreSQL is
/// asked for the schema of the tables, the others are not looked for.
///
/// # Errors
///
/// `InvalidConfig` for a wrong URL; those of connecting to PostgreSQL.
pub async fn migrations(url: &str) -> Result<Vec<Migration>, QueueError> {
    match scheme(url) {
        #[cfg(feature = "sqlite")]
        "sqlite" => super::Sqlite::from_url(url).migrations(),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => super::Postgres::from_url(url).migrations().await,
        #[cfg(feature = "redis")]
        scheme if REDIS.contains(&scheme) => super::Redis::from_url(url).migrations(),
        _ => Ok(connect(url).await?.migrations()),
    }
}

/// What [`migrate`] did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Migrated {
    /// The store, for people, without secrets.
    pub store: String,
    /// The version that its schema had; 0 where there was none.
    pub from: u32,
    /// The version that it has now.
    pub to: u32,
}

impl Migrated {
    /// Whether the store was made.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.from == 0 && self.to > 0
    }

    /// Whether anything was done.
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.from < self.to
    }
}

/// Opens a backend, and says which schema its store had. Whether the store may be made and changed is up to the URL if it is not said.
#[allow(unused_variables)]
async fn open(url: &str, may_change: Option<bool>) -> Result<(Arc<dyn QueueBackend>, u32), QueueError> {
    match scheme(url) {
        "memory" => Ok((Arc::new(super::Memory::new()), 0)),
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let (queue, had) = super::Sqlite::from_url(url).open_store(may_change).await?;
            Ok((Arc::new(queue), had))
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let (queue, had) = super::Postgres::from_url(url).open_store(may_change).await?;
            Ok((Arc::new(queue), had))
        }
        #[cfg(feature = "redis")]
        scheme if REDIS.contains(&scheme) => {
            let (queue, had) = super::Redis::from_url(url).open_store(may_change).await?;
            Ok((Arc::new(queue), had))
        }
        SYNC => {
            let hint = "`sync:` is no queue but runs jobs in place; give it to an instance, by `.queue_url(\"sync:\")`";
            Err(QueueError::new(QueueErrorKind::InvalidConfig, "connect", hint))
        }
        other => Err(unknown(other)),
    }
}

fn scheme(url: &str) -> &str {
    url.split_once(':').map_or(url, |(scheme, _)| scheme)
}

/// Whether a URL asks for jobs to be run in place.
pub(crate) fn is_sync(url: &str) -> bool {
    scheme(url) == SYNC
}

/// A queue in memory on a clock.
pub(crate) fn in_memory(clock: Arc<dyn Clock>) -> Arc<dyn QueueBackend> {
    Arc::new(super::Memory::with_clock(clock))
}

fn unknown(scheme: &str) -> QueueError {
    let hint = match SCHEMES.iter().find(|(known, _)| *known == scheme) {
        Some((_, Some(feature))) => {
            format!("`{scheme}:` needs the feature `{feature}` of the crate `extensions`")
        }
        _ => {
            let known: Vec<_> = SCHEMES.iter().map(|(known, _)| format!("`{known}:`")).collect();
            format!("`{scheme}` is no queue; write a URL that starts with {}", known.join(" or "))
        }
    };
    QueueError::new(QueueErrorKind::InvalidConfig, "connect", hint)
}

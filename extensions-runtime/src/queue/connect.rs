//! From a URL to a backend; the only place that names them.

use std::sync::Arc;

use super::{QueueBackend, QueueError, QueueErrorKind};
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
    match scheme(url) {
        "memory" => Ok(Arc::new(super::Memory::new())),
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(super::Sqlite::from_url(url).await?)),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Arc::new(super::Postgres::from_url(url).await?)),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis-cluster" | "rediss-cluster" | "redis-sentinel" | "rediss-sentinel" => {
            Ok(Arc::new(super::Redis::from_url(url).await?))
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

//! Every key: what it is called in the file, in the environment, what it takes and what it means.

use std::time::Duration;

use super::value::{Kind, MOST};

/// A key of `extensions.toml`.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its path in the file: `async.tries`.
    pub(super) path: &'static str,
    pub(super) variable: Option<&'static str>,
    pub(super) kind: Kind,
    /// As a variable would have it.
    pub(super) default: Option<&'static str>,
    pub(super) about: &'static str,
}

const fn key(
    path: &'static str,
    variable: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { path, variable: Some(variable), kind, default: Some(default), about }
}

const ANY_TIME: Kind = Kind::Time { least: Duration::ZERO };
const SOME_TIME: Kind = Kind::Time { least: Duration::from_millis(1) };
const FROM_ONE: Kind = Kind::Count { least: 1, most: u32::MAX as u64 };

/// The strategies of a back-off that is made of a base.
pub(super) const STRATEGIES: &[&str] = &["exponential", "linear", "fixed"];

/// The variable that names the file.
pub(super) const CONFIG_VARIABLE: &str = "EXTENSIONS_CONFIG";
/// The table of feature flags, whose keys are the user's.
pub(super) const FEATURES: &str = "features";
/// The table of pools, whose names are the user's.
pub(super) const WORKER: &str = "worker";

macro_rules! keys {
    ($(#[doc = $list_doc:literal])* $list:ident: $($name:ident = $key:expr;)*) => {
        $(pub(crate) const $name: Key = $key;)*
        $(#[doc = $list_doc])*
        pub(super) const $list: &[Key] = &[$($name),*];
    };
}

keys! {
    /// All keys but those of pools and features, in the order in which they are shown.
    KEYS:
    QUEUE_URL = Key {
        default: None,
        ..key(
            "queue_url", "EXTENSIONS_QUEUE_URL", Kind::Url, "",
            "the queue; a relative path is relative to the working directory"
        )
    };
    ENVIRONMENT = key(
        "environment", "EXTENSIONS_ENV", Kind::Text, "production",
        "the name of the environment, for conditions"
    );
    GRACEFUL = key(
        "graceful", "EXTENSIONS_GRACEFUL", Kind::Flag, "false",
        "whether every fire is graceful unless it says otherwise"
    );
    STRICT = key(
        "strict", "EXTENSIONS_STRICT", Kind::Flag, "false",
        "whether firing a point without handlers is an error"
    );
    ASYNC_QUEUE = key(
        "async.default_queue", "EXTENSIONS_ASYNC_QUEUE", Kind::Queue, "default",
        "the queue of async handlers that name none"
    );
    ASYNC_TRIES = key(
        "async.tries", "EXTENSIONS_ASYNC_TRIES", FROM_ONE, "3",
        "how many attempts a job has, the first included"
    );
    ASYNC_BACKOFF = key(
        "async.backoff", "EXTENSIONS_ASYNC_BACKOFF", ANY_TIME, "10s",
        "the base of the wait between attempts"
    );
    ASYNC_STRATEGY = key(
        "async.backoff_strategy", "EXTENSIONS_ASYNC_BACKOFF_STRATEGY", Kind::Choice(STRATEGIES), "exponential",
        "how the wait grows: `exponential`, `linear` or `fixed`"
    );
    BREAKER = key(
        "circuit_breaker.enabled", "EXTENSIONS_CIRCUIT_BREAKER", Kind::Flag, "true",
        "whether handlers that say nothing themselves have a circuit breaker"
    );
    BREAKER_THRESHOLD = key(
        "circuit_breaker.threshold", "EXTENSIONS_CIRCUIT_BREAKER_THRESHOLD", FROM_ONE, "5",
        "how many failures in a row open a circuit"
    );
    BREAKER_TIMEOUT = key(
        "circuit_breaker.timeout", "EXTENSIONS_CIRCUIT_BREAKER_TIMEOUT", SOME_TIME, "1m",
        "how long a circuit stays open before calls are tried again"
    );
    BREAKER_HALF_OPEN = key(
        "circuit_breaker.half_open_max", "EXTENSIONS_CIRCUIT_BREAKER_HALF_OPEN_MAX", FROM_ONE, "3",
        "how many calls are let through at a time in half-open"
    );
    BREAKER_SUCCESSES = key(
        "circuit_breaker.successes", "EXTENSIONS_CIRCUIT_BREAKER_SUCCESSES", FROM_ONE, "3",
        "how many successes in half-open close a circuit"
    );
    PROFILING = key(
        "profiling.enabled", "EXTENSIONS_PROFILING", Kind::Flag, "false",
        "whether each handler and fire is timed and the report shows it"
    );
    SLOW_THRESHOLD = key(
        "profiling.slow_threshold", "EXTENSIONS_PROFILING_SLOW_THRESHOLD", Kind::ShortTime, "100ms",
        "from when on a handler is warned about as slow; a number counts milliseconds"
    );
    KEEP_COMPLETED = key(
        "retention.completed", "EXTENSIONS_RETENTION_COMPLETED", ANY_TIME, "1h",
        "how long completed jobs are kept; 0 keeps none"
    );
    KEEP_CANCELLED = key(
        "retention.cancelled", "EXTENSIONS_RETENTION_CANCELLED", ANY_TIME, "1d",
        "how long cancelled jobs are kept; 0 keeps none"
    );
    KEEP_DEAD = key(
        "retention.dead", "EXTENSIONS_RETENTION_DEAD", ANY_TIME, "14d",
        "how long dead and quarantined jobs are kept"
    );
    SUPERVISOR_LISTEN = key(
        "supervisor.listen", "EXTENSIONS_SUPERVISOR_LISTEN", Kind::Address, "127.0.0.1:9464",
        "where the supervisor answers `/live`, `/ready` and `/metrics`; `none` is nowhere"
    );
    SUPERVISOR_COOL_DOWN = key(
        "supervisor.cool_down", "EXTENSIONS_SUPERVISOR_COOL_DOWN", SOME_TIME, "3s",
        "how long after a step of scaling the next one may follow"
    );
    SUPERVISOR_COMMAND = Key {
        variable: None,
        default: None,
        ..key(
            "supervisor.command", "", Kind::Command, "",
            "the program that works, with its arguments; without it the supervisor's own"
        )
    };
    SUPERVISOR_STOP = key(
        "supervisor.stop_timeout", "EXTENSIONS_SUPERVISOR_STOP_TIMEOUT", SOME_TIME, "1m",
        "how long a process may take to end before it is killed"
    );
}

const fn of_pool(path: &'static str, kind: Kind, default: Option<&'static str>, about: &'static str) -> Key {
    Key { path, variable: None, kind, default, about }
}

const LEASE: Kind = Kind::Time { least: Duration::from_secs(1) };
const SLOTS: Kind = Kind::Count { least: 1, most: MOST };

keys! {
    /// The keys of a pool, `[worker.NAME]`, in the order in which they are shown.
    POOL_KEYS:
    POOL_QUEUES = of_pool(
        "queues", Kind::Queues, None,
        "the queues, an array in strict order or a table of weights; required"
    );
    POOL_CONCURRENCY = of_pool("concurrency", SLOTS, Some("64"), "how many jobs run at once in each process");
    POOL_MIN_CONCURRENCY = of_pool(
        "min_concurrency", SLOTS, None,
        "how far down the pool scales; without it, it does not scale"
    );
    POOL_PROCESSES = of_pool(
        "processes", Kind::Count { least: 1, most: 1_000 }, Some("1"),
        "how many processes the pool has"
    );
    POOL_QUEUE_CONCURRENCY = of_pool(
        "queue_concurrency", Kind::Slots, None,
        "how many jobs of a queue run at once in each process, by queue"
    );
    POOL_PREFETCH = of_pool(
        "prefetch", Kind::Count { least: 0, most: MOST }, Some("500"),
        "the most jobs to claim ahead of free slots"
    );
    POOL_LEASE = of_pool("lease", LEASE, Some("30s"), "how long a claim holds without a heartbeat");
    POOL_GRACE = of_pool("grace", ANY_TIME, Some("25s"), "how long running handlers may go on at shut-down");
    POOL_MAX_JOBS = of_pool(
        "max_jobs", Kind::Count { least: 1, most: u64::MAX }, None,
        "after how many jobs a process ends, to be replaced"
    );
    POOL_MAX_TIME = of_pool("max_time", SOME_TIME, None, "after how long a process ends, to be replaced");
    POOL_MAX_MEMORY = of_pool(
        "max_memory", Kind::Size, None,
        "at which resident memory a process ends, to be replaced"
    );
}

#[cfg(test)]
mod tests {
    use super::{KEYS, POOL_KEYS};

    #[test]
    fn every_default_is_a_value_that_its_key_takes_and_is_shown_as_it_is_written() {
        for key in KEYS.iter().chain(POOL_KEYS) {
            let Some(default) = key.default else { continue };
            let value = key.kind.read(&key.kind.given(default));
            assert_eq!(value.map(|value| value.to_string()), Ok(default.to_owned()), "{}", key.path);
        }
    }

    #[test]
    fn every_path_and_every_variable_is_there_once() {
        for list in [KEYS, POOL_KEYS] {
            for (at, key) in list.iter().enumerate() {
                assert!(list[..at].iter().all(|other| other.path != key.path), "{}", key.path);
                let variable =
                    |other: &&super::Key| other.variable.is_some() && other.variable == key.variable;
                assert_eq!(list[..at].iter().find(variable).map(|other| other.path), None, "{}", key.path);
            }
        }
    }
}

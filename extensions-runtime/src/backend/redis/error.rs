//! From the client library's errors to the queue's, in one place.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

use crate::queue::{QueueError, QueueErrorKind};

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server, or the way to it, answered with an error.
    Redis(RedisError),
    /// Nothing came within the time-out.
    Silent(Duration),
    /// The answer is not what the script gives.
    Answer(&'static str),
    /// The call never left: there was no connection in time.
    Unsent(Box<Failure>),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl Failure {
    /// Whether the connection is of no more use.
    pub(super) fn ends_connection(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Answer(_) => false,
            Self::Unsent(why) => why.ends_connection(),
            Self::Redis(error) => {
                error.is_unrecoverable_error() || error.is_io_error() || self.is_of_replica()
            }
        }
    }

    /// Whether the server is a replica. A new connection may lead to the master, though not at once.
    pub(super) fn is_of_replica(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code() == Some("READONLY"))
    }

    /// Whether the server lacks a script that it had.
    pub(super) fn lacks_script(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code() == Some("NOSCRIPT"))
    }

    pub(super) fn what(&self) -> String {
        match self {
            Self::Redis(error) => error.to_string(),
            Self::Silent(timeout) => format!("no answer within {timeout:?}"),
            Self::Answer(what) => (*what).to_owned(),
            Self::Unsent(why) => why.what(),
        }
    }
}

/// What went wrong in `operation`.
pub(super) fn map(failure: &Failure, operation: &'static str) -> QueueError {
    match failure {
        Failure::Silent(timeout) => QueueError::new(
            QueueErrorKind::Unavailable,
            operation,
            format!("the server gave no answer within {timeout:?}"),
        ),
        Failure::Answer(what) => QueueError::new(QueueErrorKind::Corrupt, operation, *what),
        Failure::Unsent(why) => map(why, operation),
        Failure::Redis(error) => {
            let (kind, what) = classify(error);
            QueueError::new(kind, operation, what).with_source(error.to_string())
        }
    }
}

const NO_RIGHT: &str = "the user of the URL may not do this; the page of `Redis` names the commands, keys and channel that it needs";

fn said(error: &RedisError, what: &str) -> bool {
    error.detail().is_some_and(|detail| detail.contains(what)) || error.to_string().contains(what)
}

fn classify(error: &RedisError) -> (QueueErrorKind, &'static str) {
    use QueueErrorKind::{Corrupt, Full, InvalidConfig, Other, Unavailable};
    match error.code().unwrap_or_default() {
        "OOM" => (Full, "the server has reached `maxmemory`; make room or raise it"),
        "MISCONF" => (Unavailable, "the server refuses writes as it cannot save to its disk"),
        "NOAUTH" | "WRONGPASS" => (InvalidConfig, "the server refuses the user or password of the URL"),
        "NOPERM" => (InvalidConfig, NO_RIGHT),
        "WRONGTYPE" => (Corrupt, "a key under the prefix is of another kind; something else writes there"),
        "READONLY" => (Unavailable, "the server is a replica, which only reads; name the master in the URL"),
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY" | "NOREPLICAS" | "MOVED" | "ASK" => {
            (Unavailable, "the server cannot serve now")
        }
        // Redis 7.0 gives these no code of their own.
        _ if said(error, "The user executing the script can't") => (InvalidConfig, NO_RIGHT),
        _ if said(error, "DB index is out of range") => {
            (InvalidConfig, "the server has no database of this number")
        }
        _ => match error.kind() {
            ErrorKind::AuthenticationFailed => {
                (InvalidConfig, "the server refuses the user or password of the URL")
            }
            ErrorKind::InvalidClientConfig | ErrorKind::EmptySentinelList | ErrorKind::RESP3NotSupported => {
                (InvalidConfig, "the URL or the server does not fit")
            }
            ErrorKind::Io
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::NoValidReplicasFoundBySentinel => (Unavailable, "the server cannot be reached"),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
                (Corrupt, "the server's answer cannot be read")
            }
            _ if error.is_unrecoverable_error() => (Unavailable, "the connection to the server was lost"),
            _ => (Other, "the server refused"),
        },
    }
}

/// The thread that serves the calls is gone.
pub(super) fn gone(operation: &'static str) -> QueueError {
    QueueError::new(
        QueueErrorKind::Other,
        operation,
        "the connection's thread has ended; open the queue again",
    )
}

#[cfg(test)]
mod tests {
    use super::{Failure, map};
    use crate::queue::QueueErrorKind as Kind;
    use redis::{ErrorKind, RedisError};
    use std::io;
    use std::time::Duration;

    fn of_server(line: &str) -> RedisError {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
    }

    #[test]
    fn every_answer_has_its_kind() {
        let table = [
            ("OOM command not allowed when used memory > 'maxmemory'.", Kind::Full, true),
            ("MISCONF Redis is configured to save RDB snapshots", Kind::Unavailable, true),
            ("NOAUTH Authentication required.", Kind::InvalidConfig, false),
            ("WRONGPASS invalid username-password pair", Kind::InvalidConfig, false),
            ("NOPERM this user has no permissions", Kind::InvalidConfig, false),
            ("WRONGTYPE Operation against a key", Kind::Corrupt, false),
            ("LOADING Redis is loading the dataset in memory", Kind::Unavailable, true),
            ("MASTERDOWN Link with MASTER is down", Kind::Unavailable, true),
            ("CLUSTERDOWN The cluster is down", Kind::Unavailable, true),
            ("ERR The user executing the script can't run this command", Kind::InvalidConfig, false),
            ("ERR DB index is out of range", Kind::InvalidConfig, false),
            ("READONLY You can't write against a read only replica.", Kind::Unavailable, true),
            ("BUSY Redis is busy running a script.", Kind::Unavailable, true),
            ("ERR something else", Kind::Other, false),
        ];
        for (line, kind, retryable) in table {
            let error = map(&of_server(line).into(), "push");
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{line}");
            assert_eq!(error.operation(), "push");
            assert!(std::error::Error::source(&error).is_some());
        }
    }

    #[test]
    fn what_does_not_come_from_the_server_has_its_kind() {
        let table: [(Failure, Kind); 6] = [
            (RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused)).into(), Kind::Unavailable),
            (RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe)).into(), Kind::Unavailable),
            (RedisError::from((ErrorKind::AuthenticationFailed, "no")).into(), Kind::InvalidConfig),
            (RedisError::from((ErrorKind::Parse, "no")).into(), Kind::Corrupt),
            (Failure::Silent(Duration::from_secs(5)), Kind::Unavailable),
            (Failure::Answer("no"), Kind::Corrupt),
        ];
        for (failure, kind) in table {
            assert_eq!(map(&failure, "get").kind(), kind, "{failure:?}");
        }
    }
}

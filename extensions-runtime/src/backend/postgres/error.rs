//! From the driver's errors to those of the queue: the only place that knows SQLSTATEs.

use sqlx::Error;

use crate::queue::{QueueError, QueueErrorKind};

/// What a failed call says of its connection and of a second try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The connection is of no more use; whether the call took effect is unknown.
    Gone,
    /// The call was undone and may succeed at once.
    Conflict,
    /// The call was undone.
    Refused,
}

pub(super) fn fate(error: &Error) -> Fate {
    match error {
        Error::Database(error) => match error.code().as_deref().unwrap_or_default() {
            "40001" | "40P01" | "23505" => Fate::Conflict,
            // No connection left: nothing was sent, and those that are open go on.
            "53300" => Fate::Conflict,
            // A cached plan or a statement that a pooler has handed to another connection.
            "0A000" | "26000" | "42P05" => Fate::Gone,
            "25006" => Fate::Gone,
            code if code.starts_with("08") || code.starts_with("57P") => Fate::Gone,
            _ => Fate::Refused,
        },
        Error::Encode(_) | Error::InvalidArgument(_) | Error::Configuration(_) => Fate::Refused,
        _ => Fate::Gone,
    }
}

/// The error of a call.
pub(super) fn map(error: &Error, operation: &'static str) -> QueueError {
    let (kind, what) = classify(error);
    let said = match error {
        Error::Database(error) => error.message().to_owned(),
        other => other.to_string(),
    };
    QueueError::new(kind, operation, what).with_source(said)
}

/// No answer within the time-out.
pub(super) fn timeout(operation: &'static str) -> QueueError {
    QueueError::new(QueueErrorKind::Timeout, operation, "the database server did not answer within `timeout`")
}

/// The backend's thread has ended.
pub(super) fn gone(operation: &'static str) -> QueueError {
    QueueError::new(QueueErrorKind::Other, operation, "the queue's thread has ended; open it again")
}

/// The tables were dropped or restored, and made again, just now.
pub(super) fn replaced(operation: &'static str) -> QueueError {
    QueueError::new(QueueErrorKind::Conflict, operation, "the queue's tables are being replaced")
}

pub(super) fn invalid(operation: &'static str, why: impl Into<String>) -> QueueError {
    QueueError::new(QueueErrorKind::InvalidConfig, operation, why)
}

fn classify(error: &Error) -> (QueueErrorKind, &'static str) {
    use QueueErrorKind::{Corrupt, InvalidConfig, Other, Timeout, Unavailable};
    match error {
        Error::Database(error) => of_state(error.code().as_deref().unwrap_or_default()),
        Error::Io(_) | Error::Protocol(_) | Error::PoolClosed | Error::WorkerCrashed => {
            (Unavailable, "the connection to the database server failed")
        }
        Error::Tls(_) => {
            (Unavailable, "no TLS connection to the database server; see `sslmode` and `sslrootcert`")
        }
        Error::PoolTimedOut => (Timeout, "no connection became free within `timeout`"),
        Error::Configuration(_) => (InvalidConfig, "the connection's options are wrong"),
        Error::ColumnDecode { .. } | Error::Decode(_) => {
            (Corrupt, "the database holds a value that cannot be read")
        }
        _ => (Other, "the database refused"),
    }
}

fn of_state(code: &str) -> (QueueErrorKind, &'static str) {
    use QueueErrorKind::{Conflict, Corrupt, Full, InvalidConfig, Other, Timeout, Unavailable};
    match code {
        "40001" | "40P01" | "23505" => (Conflict, "another transaction was there first"),
        "55P03" => (Unavailable, "a lock was held for longer than `timeout`"),
        "57014" => (Timeout, "the statement took longer than `timeout`"),
        "25006" => (Unavailable, "the server, the user or the transaction may only read; is it a standby?"),
        "25P02" => (Other, "an earlier statement of the transaction failed; roll it back"),
        "26000" | "42P05" => (
            Unavailable,
            "a prepared statement is gone; behind a pooler by transaction add `?poll=250ms` to the URL",
        ),
        "28P01" | "28000" => (InvalidConfig, "the database server refused the user or the password"),
        "3D000" => (InvalidConfig, "there is no such database; create it"),
        "3F000" => (InvalidConfig, "there is no such schema; create it or name another by `?schema=`"),
        "42501" => (InvalidConfig, "the user lacks a privilege on the schema or its tables; grant it"),
        "42P01" | "42883" | "42703" => {
            (Corrupt, "a table or function of the queue is missing or of another release; run the migrations")
        }
        "53100" | "53200" => (Full, "the database server has no room left; make room and try again"),
        "53300" | "53400" => {
            (Unavailable, "the database server has no connection left; lower `max_connections`")
        }
        "54000" => (Other, "a value is larger than an index can hold"),
        "22021" | "22P05" => {
            (InvalidConfig, "a text holds a character that the database's encoding cannot store")
        }
        _ if code.starts_with("08") || code.starts_with("57P") => {
            (Unavailable, "the connection to the database server failed")
        }
        _ if code.starts_with("53") => (Unavailable, "the database server lacks resources"),
        _ if code.starts_with("58") => (Unavailable, "the database server's disk answered with an error"),
        _ if code.starts_with("XX") => (Corrupt, "the database is damaged; restore it from a backup"),
        _ => (Other, "the database refused"),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::fmt;

    use sqlx::Error;
    use sqlx::error::{DatabaseError, ErrorKind};

    use super::{Fate, fate, map};
    use crate::queue::QueueErrorKind as Kind;

    #[derive(Debug)]
    struct Code(&'static str);

    impl fmt::Display for Code {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Code {}

    impl DatabaseError for Code {
        fn message(&self) -> &str {
            self.0
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }
        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn every_state_has_its_kind() {
        let table = [
            ("40001", Kind::Conflict, true, Fate::Conflict),
            ("40P01", Kind::Conflict, true, Fate::Conflict),
            ("23505", Kind::Conflict, true, Fate::Conflict),
            ("55P03", Kind::Unavailable, true, Fate::Refused),
            ("57014", Kind::Timeout, true, Fate::Refused),
            ("57P01", Kind::Unavailable, true, Fate::Gone),
            ("57P03", Kind::Unavailable, true, Fate::Gone),
            ("08006", Kind::Unavailable, true, Fate::Gone),
            ("25006", Kind::Unavailable, true, Fate::Gone),
            ("26000", Kind::Unavailable, true, Fate::Gone),
            ("53300", Kind::Unavailable, true, Fate::Conflict),
            ("53100", Kind::Full, true, Fate::Refused),
            ("58030", Kind::Unavailable, true, Fate::Refused),
            ("28P01", Kind::InvalidConfig, false, Fate::Refused),
            ("3D000", Kind::InvalidConfig, false, Fate::Refused),
            ("42501", Kind::InvalidConfig, false, Fate::Refused),
            ("22021", Kind::InvalidConfig, false, Fate::Refused),
            ("42P01", Kind::Corrupt, false, Fate::Refused),
            ("XX001", Kind::Corrupt, false, Fate::Refused),
            ("54000", Kind::Other, false, Fate::Refused),
            ("22012", Kind::Other, false, Fate::Refused),
        ];
        for (code, kind, retryable, then) in table {
            let error = Error::Database(Box::new(Code(code)));
            let mapped = map(&error, "push");
            assert_eq!((mapped.kind(), mapped.is_retryable()), (kind, retryable), "{code}");
            assert_eq!(fate(&error), then, "{code}");
            assert_eq!(mapped.operation(), "push");
        }
    }

    #[test]
    fn a_broken_connection_may_be_tried_again() {
        let broken = Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!((map(&broken, "push").kind(), fate(&broken)), (Kind::Unavailable, Fate::Gone));
        let late = Error::PoolTimedOut;
        assert_eq!(map(&late, "push").kind(), Kind::Timeout);
    }
}

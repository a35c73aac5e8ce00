//! From SQLite's errors to the queue's, in one place.

use std::path::Path;

use rusqlite::{Error, ErrorCode};

use super::migrations::{MigrateError, NEWEST};
use crate::queue::{QueueError, QueueErrorKind};

/// What went wrong in `operation`.
pub(super) fn map(error: &Error, operation: &'static str) -> QueueError {
    let (kind, what) = classify(error);
    QueueError::new(kind, operation, what).with_source(error.to_string())
}

/// What went wrong when the database was opened.
pub(super) fn opening(error: &Error, path: &Path) -> QueueError {
    let (kind, what) = classify(error);
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            format!("cannot open {}: {}", path.display(), reason(path))
        }
        _ => format!("{}: {what}", path.display()),
    };
    QueueError::new(kind, "connect", what).with_source(error.to_string())
}

pub(super) fn migrating(error: &MigrateError, path: &Path) -> QueueError {
    match error {
        MigrateError::Sql(error) => opening(error, path),
        MigrateError::Missing => QueueError::new(
            QueueErrorKind::NotFound,
            "connect",
            format!("there is no store in {}; create it with `migrate`", path.display()),
        ),
        MigrateError::Older(found) => QueueError::new(
            QueueErrorKind::InvalidConfig,
            "connect",
            format!(
                "{} has schema {found}, this program needs {NEWEST}; bring it up to date with `migrate`",
                path.display()
            ),
        ),
        MigrateError::Newer(found) => QueueError::new(
            QueueErrorKind::Corrupt,
            "connect",
            format!(
                "{} has schema {found} of a newer release; this program knows schemas up to {NEWEST}: update it",
                path.display()
            ),
        ),
    }
}

/// The thread that serves the calls is gone.
pub(super) fn gone(operation: &'static str) -> QueueError {
    QueueError::new(QueueErrorKind::Other, operation, "the database's thread has ended; open the queue again")
}

fn reason(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        format!("the folder {} does not exist; create it", folder.display())
    } else if path.is_dir() {
        "it is a folder; name a file".to_owned()
    } else {
        format!(
            "the process may not write to it; the file and its folder {} must be writable",
            folder.display()
        )
    }
}

fn classify(error: &Error) -> (QueueErrorKind, &'static str) {
    use QueueErrorKind::{Conflict, Corrupt, Full, Other, Timeout, Unavailable};
    let Some(code) = error.sqlite_error_code() else {
        return match error {
            Error::InvalidColumnType(..)
            | Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..) => (Corrupt, "the database holds a value that cannot be read"),
            _ => (Other, "the database refused"),
        };
    };
    match code {
        ErrorCode::DatabaseBusy if is_overtaken(error) => (
            Unavailable,
            "the transaction has read what others have changed since: begin it with `BEGIN IMMEDIATE`, or do it again from its start",
        ),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            (Unavailable, "the database was busy for longer than `busy_timeout`")
        }
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly => {
            (Unavailable, "the database cannot be opened for writing")
        }
        ErrorCode::SystemIoFailure => (Unavailable, "the disk answered with an error"),
        ErrorCode::DiskFull => (Full, "the disk is full; make room and try again"),
        ErrorCode::DatabaseCorrupt => (Corrupt, "the database file is damaged; restore it from a backup"),
        ErrorCode::NotADatabase => (Corrupt, "the file is no SQLite database"),
        ErrorCode::ConstraintViolation | ErrorCode::SchemaChanged => {
            (Conflict, "another writer was there first")
        }
        ErrorCode::OperationInterrupted | ErrorCode::OperationAborted => {
            (Timeout, "the call was interrupted")
        }
        ErrorCode::TooBig => (Other, "the value is larger than the database can hold"),
        _ => (Other, "the database refused"),
    }
}

/// Whether a transaction wants to write on after it has read what is no longer so; waiting cannot help it.
fn is_overtaken(error: &Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_BUSY_SNAPSHOT)
}

#[cfg(test)]
mod tests {
    use super::{map, opening};
    use crate::queue::QueueErrorKind as Kind;
    use rusqlite::ffi;
    use std::path::Path;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn every_result_code_has_its_kind() {
        let table = [
            (ffi::SQLITE_BUSY, Kind::Unavailable, true),
            (ffi::SQLITE_BUSY_SNAPSHOT, Kind::Unavailable, true),
            (ffi::SQLITE_BUSY_RECOVERY, Kind::Unavailable, true),
            (ffi::SQLITE_LOCKED, Kind::Unavailable, true),
            (ffi::SQLITE_PROTOCOL, Kind::Unavailable, true),
            (ffi::SQLITE_CANTOPEN, Kind::Unavailable, true),
            (ffi::SQLITE_READONLY, Kind::Unavailable, true),
            (ffi::SQLITE_PERM, Kind::Unavailable, true),
            (ffi::SQLITE_IOERR, Kind::Unavailable, true),
            (ffi::SQLITE_FULL, Kind::Full, true),
            (ffi::SQLITE_CORRUPT, Kind::Corrupt, false),
            (ffi::SQLITE_NOTADB, Kind::Corrupt, false),
            (ffi::SQLITE_CONSTRAINT, Kind::Conflict, true),
            (ffi::SQLITE_SCHEMA, Kind::Conflict, true),
            (ffi::SQLITE_INTERRUPT, Kind::Timeout, true),
            (ffi::SQLITE_ABORT, Kind::Timeout, true),
            (ffi::SQLITE_TOOBIG, Kind::Other, false),
            (ffi::SQLITE_MISUSE, Kind::Other, false),
            (ffi::SQLITE_NOMEM, Kind::Other, false),
        ];
        for (code, kind, retryable) in table {
            let error = map(&failure(code), "push");
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "code {code}");
            assert_eq!(error.operation(), "push");
            assert!(std::error::Error::source(&error).is_some());
        }
        assert_eq!(map(&rusqlite::Error::QueryReturnedNoRows, "get").kind(), Kind::Other);
        let unreadable = rusqlite::Error::IntegralValueOutOfRange(0, -1);
        assert_eq!(map(&unreadable, "get").kind(), Kind::Corrupt);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = opening(&failure(ffi::SQLITE_CANTOPEN), Path::new("/no/such/folder/jobs.db"));
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.to_string().contains("/no/such/folder does not exist; create it"), "{error}");
    }
}

//! Whether the database is still the file that others find at its path.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{Error, ffi};

/// The file that was opened. SQLite goes on in it when it was deleted or another was put in its place, and then everything that it
/// stores is gone with the process.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    opened: Option<Identity>,
}

type Identity = (u64, u64);

impl Place {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), opened: identity(path).ok().flatten() }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let Some(opened) = self.opened else { return Ok(()) };
        match identity(&self.path) {
            Ok(Some(found)) if found != opened => Err(moved()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(moved()),
            _ => Ok(()),
        }
    }
}

fn moved() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY_DBMOVED), None)
}

#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<Option<Identity>> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().map(|found| Some((found.dev(), found.ino())))
}

/// Where an open file can be neither deleted nor replaced.
#[cfg(not(unix))]
fn identity(_path: &Path) -> std::io::Result<Option<Identity>> {
    Ok(None)
}

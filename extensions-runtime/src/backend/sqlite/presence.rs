//! How a dead process is noticed: each worker holds an OS lock on a file beside the database until its process ends.
//!
//! The lock is the file's, never a process id's. Where such locks don't work, no file is made and only leases count.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::job::WorkerId;
use crate::telemetry::names::event;

/// A file that no row speaks of is left alone for this long: its worker may be about to write the row.
const ORPHANED_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Presence {
    folder: PathBuf,
    held: HashMap<WorkerId, Option<File>>,
}

/// A worker whose process has ended. Holds its lock, so that nobody else buries it at the same time.
#[derive(Debug)]
pub(super) struct Dead {
    pub(super) worker: WorkerId,
    pub(super) orphaned: bool,
    path: PathBuf,
    _lock: File,
}

impl Dead {
    /// Removes what is left of the worker.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Presence {
    pub(super) fn beside(database: &Path) -> Self {
        let mut folder = database.as_os_str().to_owned();
        folder.push("-workers");
        Self { folder: folder.into(), held: HashMap::new() }
    }

    /// Shows that the worker's process lives; whether it is new here.
    pub(super) fn enter(&mut self, worker: WorkerId) -> bool {
        if self.held.contains_key(&worker) {
            return false;
        }
        let path = self.path(worker);
        let lock = hold(&path).inspect_err(|error| {
            tracing::warn!(name: event::WORKER_UNLOCKED, %error, path = %path.display(), "no lock for this worker: if its process dies, its jobs wait for their leases to end");
        });
        self.held.insert(worker, lock.ok());
        true
    }

    pub(super) fn leave(&mut self, worker: WorkerId) {
        if let Some(Some(_lock)) = self.held.remove(&worker) {
            let _ = fs::remove_file(self.path(worker));
        }
    }

    /// The workers whose locks nobody holds any more.
    pub(super) fn dead(&self) -> Vec<Dead> {
        let Ok(files) = fs::read_dir(&self.folder) else { return Vec::new() };
        files.filter_map(|file| self.examine(&file.ok()?.path())).collect()
    }

    fn examine(&self, path: &Path) -> Option<Dead> {
        let worker = path.file_name()?.to_str()?.strip_suffix(".lock")?.parse().ok()?;
        if self.held.contains_key(&worker) {
            return None;
        }
        let lock = OpenOptions::new().write(true).open(path).ok()?;
        lock.try_lock().ok()?;
        let age = lock.metadata().and_then(|meta| meta.modified()).ok()?.elapsed().unwrap_or_default();
        Some(Dead { worker, orphaned: age > ORPHANED_AFTER, path: path.to_owned(), _lock: lock })
    }

    fn path(&self, worker: WorkerId) -> PathBuf {
        self.folder.join(format!("{worker}.lock"))
    }
}

/// Takes the lock, and makes sure that it keeps others out.
fn hold(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    let kept_out = lock.try_lock().map_err(io::Error::from).and_then(|()| {
        let other = OpenOptions::new().write(true).open(path)?;
        Ok(matches!(other.try_lock(), Err(TryLockError::WouldBlock)))
    });
    match kept_out {
        Ok(true) => Ok(lock),
        refused => {
            let _ = fs::remove_file(path);
            Err(refused.err().unwrap_or_else(|| io::Error::other("file locks do not keep others out here")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Presence;
    use crate::job::WorkerId;

    #[test]
    fn a_lock_lives_as_long_as_its_holder() {
        let folder = std::env::temp_dir().join(format!("presence-{}", crate::time::new_uuid()));
        let database = folder.join("jobs.db");
        let (mut living, mut dying) = (Presence::beside(&database), Presence::beside(&database));
        let (a, b) = (WorkerId::new(), WorkerId::new());
        assert!(living.enter(a) && !living.enter(a) && dying.enter(b));
        assert!(living.dead().is_empty() && dying.dead().is_empty());
        drop(dying);
        let dead = living.dead();
        assert_eq!(dead.iter().map(|dead| dead.worker).collect::<Vec<_>>(), [b]);
        assert!(Presence::beside(&database).dead().is_empty(), "buried twice at once");
        dead.into_iter().for_each(super::Dead::remove);
        assert!(living.dead().is_empty());
        living.leave(a);
        assert_eq!(std::fs::read_dir(folder.join("jobs.db-workers")).unwrap().count(), 0);
        std::fs::remove_dir_all(folder).unwrap();
    }
}

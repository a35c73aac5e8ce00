//! What is wrong with a database and where it lies.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use crate::backend::rules;
use crate::queue::Finding;
use crate::time::{Clock, SystemClock};

/// File systems over a network, on which locks and shared memory do not hold.
const NETWORKS: &[&str] =
    &["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "vboxsf"];
/// From which size on the log should have been brought into the database long ago.
const LARGE_LOG: u64 = 1 << 30;

const ORPHANED_KEYS: &str = "SELECT count(*) FROM extensions_locks l WHERE (l.expires_at IS NULL OR l.expires_at > ?1) AND NOT EXISTS (SELECT 1 FROM extensions_jobs j WHERE j.id = l.job AND j.ended_at IS NULL)";

/// What can be seen from outside of the database.
pub(super) fn of_the_file(file: &Path) -> Vec<Finding> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut found: Vec<_> = file_system(&mounts, file).and_then(on_a_network).into_iter().collect();
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let size = fs::metadata(&log).map_or(0, |log| log.len());
    if size > LARGE_LOG {
        let what = format!("the log of the database has grown to {} MiB", size >> 20);
        let advice = "end the process that keeps a reading transaction open: the log cannot shrink before";
        found.push(Finding::warning(what, advice));
    }
    found
}

fn on_a_network(kind: &str) -> Option<Finding> {
    let what = format!("the database lies on a file system of the kind `{kind}`, where locks do not hold");
    let advice = "move it to a local disk, or use PostgreSQL or Redis";
    NETWORKS.contains(&kind).then(|| Finding::problem(what, advice))
}

/// The kind of the file system that a file lies on, where the system's table says so.
fn file_system<'a>(mounts: &'a str, file: &Path) -> Option<&'a str> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?.replace("\\040", " "), words.next()?))
    });
    let around = mounts.filter(|(place, _)| file.starts_with(place));
    around.max_by_key(|(place, _)| place.len()).map(|(_, kind)| kind)
}

/// What the database says of itself.
pub(super) fn of_the_database(conn: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut found = Vec::new();
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        let what = format!("the journal mode is `{mode}`: readers and writers wait for each other");
        found.push(Finding::warning(what, "see what has changed it; opening the queue sets `wal`"));
    }
    let now = SystemClock.now().as_millis();
    let orphaned: u64 = conn.query_row(ORPHANED_KEYS, [now], |row| row.get(0))?;
    found.extend(rules::orphaned_keys(orphaned));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{file_system, on_a_network};

    #[test]
    fn the_nearest_mount_says_what_kind_of_file_system_it_is() {
        let mounts =
            "/dev/sda1 / ext4 rw 0 0\nserver:/x /srv/my\\040jobs nfs4 rw 0 0\ntmpfs /srv tmpfs rw 0 0\n";
        for (file, kind) in
            [("/srv/my jobs/a.db", "nfs4"), ("/srv/a.db", "tmpfs"), ("/srvx/a.db", "ext4"), ("/a.db", "ext4")]
        {
            assert_eq!(file_system(mounts, Path::new(file)), Some(kind), "{file}");
            assert_eq!(on_a_network(kind).is_some(), kind == "nfs4");
        }
        assert_eq!(file_system("", Path::new("/a.db")), None);
    }
}

//! Processes of this machine, by number: what `/proc` says of them, and signals.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// The process with a number.
#[must_use]
pub fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// The state that a line of `stat` shows, and the parent's number.
fn state_and_parent(stat: &str) -> Option<(char, i32)> {
    let mut rest = stat.rsplit_once(") ")?.1.split(' ');
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

/// The children of a process.
///
/// # Errors
///
/// Of the system.
pub fn children(of: Pid) -> io::Result<Vec<Pid>> {
    let parent = of.as_raw_nonzero().get();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended meanwhile.
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        if state_and_parent(&stat).is_some_and(|(_, its)| its == parent) {
            found.extend(Pid::from_raw(number));
        }
    }
    Ok(found)
}

/// Whether a process still runs; one that is dead and not buried does not.
#[must_use]
pub fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let state = stat.ok().as_deref().and_then(state_and_parent);
    state.is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// Stops a process, and waits until every one of its threads stands still.
///
/// # Errors
///
/// If there is no such process any more.
pub async fn freeze(pid: Pid) -> io::Result<()> {
    kill_process(pid, Signal::STOP)?;
    while !stands_still(pid)? {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn stands_still(pid: Pid) -> io::Result<bool> {
    for task in std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        // One that is dead and waits for its parent, which may be frozen itself, moves no more.
        if !state_and_parent(&stat).is_some_and(|(state, _)| matches!(state, 'T' | 'Z' | 'X')) {
            return Ok(false);
        }
    }
    Ok(true)
}

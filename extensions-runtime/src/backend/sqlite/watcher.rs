//! Wakes this process's idle workers when another process changes the store.
//!
//! One thread, asleep unless a worker waits. It looks at the queues' change numbers, so that other writes to the log
//! (heartbeats, settlements) wake nobody, and not more often than once in [`PAUSE`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::doorbell::{Doorbell, Rung};
use super::signal::Signal;
use super::store::read;
use crate::telemetry::names::event;

/// How long a change in a busy log may stay unnoticed.
const PAUSE: Duration = Duration::from_millis(4);
/// How long after the log was written its change can be read: a commit may wait for the disk in between.
const SETTLING: Duration = Duration::from_millis(1);
/// How often to look in case that a notification got lost.
const FALLBACK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Watcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    waiting: AtomicUsize,
    closed: AtomicBool,
    bell: Doorbell,
}

/// Someone waits; ends with the guard.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Shared);

impl Watcher {
    pub(super) fn start(conn: Connection, database: &Path, signal: Arc<Signal>) -> io::Result<Self> {
        let bell = Doorbell::new(&log_of(database))?;
        let shared = Arc::new(Shared { waiting: AtomicUsize::new(0), closed: AtomicBool::new(false), bell });
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("extensions-sqlite-watch".to_owned())
            .spawn(move || watch(&own, &conn, &signal))?;
        Ok(Self { shared })
    }

    /// Makes the thread look now, and at every change while the guard lives.
    pub(super) fn wait(&self) -> Waiting<'_> {
        if self.shared.waiting.fetch_add(1, Ordering::SeqCst) == 0 {
            self.shared.bell.ring();
        }
        Waiting(&self.shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.bell.ring();
    }
}

fn watch(shared: &Shared, conn: &Connection, signal: &Signal) {
    let mut seen = 0;
    let mut again = FALLBACK;
    let mut last_look = Instant::now();
    loop {
        let waited_for = shared.waiting.load(Ordering::SeqCst) > 0;
        let rung = shared.bell.sleep(waited_for.then_some(again));
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        again = look_again(rung, again);
        if rung != Rung::Here && shared.waiting.load(Ordering::SeqCst) == 0 {
            continue;
        }
        let is_busy = last_look.elapsed() < PAUSE * 2;
        if rung != Rung::Log {
            look(shared, conn, signal, &mut seen);
        } else {
            let found = !is_busy && look(shared, conn, signal, &mut seen);
            if !found {
                thread::sleep(SETTLING);
                look(shared, conn, signal, &mut seen);
            }
            thread::sleep(PAUSE);
        }
        last_look = Instant::now();
    }
}

/// Publishes what has changed; whether anything has.
fn look(shared: &Shared, conn: &Connection, signal: &Signal, seen: &mut u64) -> bool {
    shared.bell.drain();
    match read::changes_since(conn, *seen) {
        Ok(changes) => {
            let newest = changes.iter().map(|(_, at)| *at).max();
            *seen = newest.unwrap_or(*seen);
            signal.publish(changes);
            newest.is_some()
        }
        Err(error) => {
            tracing::warn!(name: event::STORE_UNWATCHED, %error, "cannot look for changes of the queue; trying again");
            false
        }
    }
}

/// When to look the next time: soon after the log was written, and then less and less often. A commit that waits for the disk
/// writes the log some time before anyone can read it.
fn look_again(rung: Rung, before: Duration) -> Duration {
    if rung == Rung::Time { (before * 2).min(FALLBACK) } else { PAUSE }
}

fn log_of(database: &Path) -> PathBuf {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

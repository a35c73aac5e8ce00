//! What to do while another process writes: sleep a little, with jitter, until the caller's patience ends.
//!
//! SQLite's own back-off grows to 100 ms, far longer than a write takes, so that of two processes one starves.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Makes the connection wait for locks until the deadline of its thread.
pub(super) fn install(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(wait))
}

/// Sets how long this thread waits for a lock from now on.
pub(super) fn give_up_at(deadline: Instant) {
    DEADLINE.set(Some(deadline));
}

/// Calls again while another connection is in the way, until the deadline of the thread: SQLite refuses at once, and does not ask whether to
/// wait, what needs a stronger lock than the one that it holds, as the change of the journal's mode does.
pub(super) fn retried<T>(mut call: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let busy = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
    let mut tries = 0;
    loop {
        match call() {
            Err(error) if busy(&error) && wait(tries) => tries += 1,
            done => return done,
        }
    }
}

fn wait(tries: i32) -> bool {
    if DEADLINE.get().is_none_or(|deadline| Instant::now() >= deadline) {
        return false;
    }
    std::thread::sleep(pause(tries));
    true
}

/// 50–250 µs at first, 0.5–1.5 ms once the lock has been held for longer.
fn pause(tries: i32) -> Duration {
    let jitter = RandomState::new().hash_one(tries) % 1000;
    Duration::from_micros(if tries < 10 { 50 + jitter / 5 } else { 500 + jitter })
}

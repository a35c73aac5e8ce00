//! Checkpoints: a thread of its own brings the pages of the write-ahead log into the database, so that no call waits for the disk meanwhile.
//!
//! The log begins anew only at a moment when all of it is in the database. Under a steady load there is no such moment by itself, as pages
//! come in while others are brought over. So the writer brings over the few that came in last, between two groups of calls.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

/// How many pages the log grows to before they are brought over: 64 MB. Each time costs two waits for the disk and every page only once,
/// however often it was changed since.
pub(super) const LOG_PAGES: u32 = 16_000;

/// After how many more pages it is tried again where a reader or another process was in the way.
const AGAIN: u32 = 4_000;

thread_local! {
    static GROWN: Cell<u32> = const { Cell::new(0) };
}

/// The log as its writer sees it.
#[derive(Debug)]
pub(super) struct Log {
    /// Asks the thread to bring pages over.
    ask: Sender<()>,
    is_asked: bool,
    /// Whether the thread has brought over what there was when it began.
    is_nearly_over: Arc<AtomicBool>,
    /// How many pages are in it.
    pages: u32,
    due: u32,
}

impl Log {
    /// Lets `writer` tell how the log grows, and `other` bring it over on a thread.
    pub(super) fn tend(writer: &Connection, other: Connection) -> std::io::Result<Self> {
        writer.wal_hook(Some(note));
        let is_nearly_over = Arc::new(AtomicBool::new(false));
        let (ask, asked) = channel();
        let done = Arc::clone(&is_nearly_over);
        let work = move || bring_over(&other, &asked, &done);
        thread::Builder::new().name("extensions-sqlite-log".to_owned()).spawn(work)?;
        Ok(Self { ask, is_asked: false, is_nearly_over, pages: 0, due: LOG_PAGES })
    }

    /// To be called after each commit, on the thread that made it.
    pub(super) fn note_commit(&mut self) {
        self.pages = GROWN.get();
        if self.pages < LOG_PAGES {
            self.due = LOG_PAGES;
        }
        if !self.is_asked && self.pages >= self.due {
            self.is_asked = self.ask.send(()).is_ok();
        }
    }

    /// Whether the pages that came in last are to be brought over by the writer.
    pub(super) fn is_to_begin_anew(&self) -> bool {
        self.is_asked && self.is_nearly_over.load(Ordering::Acquire)
    }

    /// Brings them over, if they are to be. Waits for the disk.
    pub(super) fn begin_anew(&mut self, writer: &Connection) {
        if !self.is_to_begin_anew() {
            return;
        }
        self.is_nearly_over.store(false, Ordering::Release);
        self.is_asked = false;
        if self.pages >= LOG_PAGES {
            self.due = self.pages + AGAIN;
            let _ = checkpoint(writer);
        }
    }
}

fn note(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    GROWN.set(u32::try_from(pages).unwrap_or(0));
    Ok(())
}

fn bring_over(conn: &Connection, asked: &Receiver<()>, done: &AtomicBool) {
    while asked.recv().is_ok() {
        let _ = checkpoint(conn);
        done.store(true, Ordering::Release);
    }
}

/// Brings over what no reader needs in the log any more, without waiting for anyone. What fails is tried again when the log has grown.
fn checkpoint(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

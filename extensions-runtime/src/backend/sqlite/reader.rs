//! The thread that reads, so that an operator's look never waits for a write.

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{busy, error};
use crate::queue::QueueError;

type Look = Box<dyn FnOnce(&Connection) + Send>;

/// Hands looks to the thread.
#[derive(Debug)]
pub(super) struct Reader {
    calls: Sender<Look>,
}

impl Reader {
    pub(super) fn start(conn: Connection, patience: Duration) -> std::io::Result<Self> {
        let (calls, inbox) = channel::<Look>();
        thread::Builder::new().name("extensions-sqlite-read".to_owned()).spawn(move || {
            for call in inbox {
                busy::give_up_at(Instant::now() + patience);
                call(&conn);
            }
        })?;
        Ok(Self { calls })
    }

    /// Queues the call at once, in a transaction of its own.
    pub(super) fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, QueueError>> {
        let (reply, answer) = oneshot::channel();
        let _ = self.calls.send(Box::new(move |conn| {
            let read = conn.unchecked_transaction().and_then(|snapshot| step(&snapshot));
            let _ = reply.send(read.map_err(|error| error::map(&error, operation)));
        }));
        answer
    }
}

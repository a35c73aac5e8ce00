//! The one thread that writes: it runs all waiting calls in one transaction and answers each after the commit.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::signal::Signal;
use super::store::{Store, Tx};
use super::{busy, error};
use crate::queue::QueueError;

/// How many calls share a transaction at most.
const GROUP: usize = 256;

/// How often the thread looks for a next call before it sleeps, which costs both sides a wake-up.
const SPINS: u32 = 2000;

/// Hands calls to the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    calls: Sender<Box<dyn Call>>,
}

/// A call that is to be made; it may be made again if its group's transaction fails.
trait Call: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, done: Result<(), &rusqlite::Error>);
    fn since(&self) -> Instant;
}

struct Pending<T, F> {
    operation: &'static str,
    since: Instant,
    step: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, QueueError>>,
}

impl<T, F> Call for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.value = Some((self.step)(tx)?);
        Ok(())
    }

    fn answer(mut self: Box<Self>, done: Result<(), &rusqlite::Error>) {
        let value = match done {
            Ok(()) => self.value.take().ok_or_else(|| error::gone(self.operation)),
            Err(error) => Err(error::map(error, self.operation)),
        };
        let _ = self.reply.send(value);
    }

    fn since(&self) -> Instant {
        self.since
    }
}

impl Writer {
    pub(super) fn start(store: Store, signal: Arc<Signal>, patience: Duration) -> std::io::Result<Self> {
        let (calls, inbox) = channel();
        let mut thread = WriterThread { store, signal, patience, inbox };
        thread::Builder::new().name("extensions-sqlite-write".to_owned()).spawn(move || thread.serve())?;
        Ok(Self { calls })
    }

    /// Queues the call at once; its answer comes after the commit.
    pub(super) fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, QueueError>> {
        let (reply, answer) = oneshot::channel();
        let call = Pending { operation, since: Instant::now(), step, value: None, reply };
        let _ = self.calls.send(Box::new(call));
        answer
    }
}

struct WriterThread {
    store: Store,
    signal: Arc<Signal>,
    patience: Duration,
    inbox: Receiver<Box<dyn Call>>,
}

impl WriterThread {
    fn serve(&mut self) {
        let mut group = Vec::new();
        while let Some(first) = self.next() {
            group.push(first);
            group.extend(self.inbox.try_iter().take(GROUP - 1));
            self.run(&mut group);
        }
    }

    fn next(&self) -> Option<Box<dyn Call>> {
        for _ in 0..SPINS {
            match self.inbox.try_recv() {
                Ok(call) => return Some(call),
                Err(TryRecvError::Empty) => std::hint::spin_loop(),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        self.inbox.recv().ok()
    }

    /// Runs the calls together; if that fails, each alone, so that each learns its own outcome.
    fn run(&mut self, group: &mut Vec<Box<dyn Call>>) {
        match self.attempt(group) {
            Ok(()) => group.drain(..).for_each(|call| call.answer(Ok(()))),
            Err(Failure::Begin(error)) => group.drain(..).for_each(|call| call.answer(Err(&error))),
            Err(Failure::Inside(error)) if group.len() == 1 => {
                group.drain(..).for_each(|call| call.answer(Err(&error)));
            }
            Err(Failure::Inside(_)) => {
                for call in group.drain(..) {
                    let mut alone = vec![call];
                    let done = self.attempt(&mut alone);
                    let done = done.as_ref().map(|()| ()).map_err(Failure::cause);
                    alone.into_iter().for_each(|call| call.answer(done));
                }
            }
        }
    }

    fn attempt(&mut self, group: &mut [Box<dyn Call>]) -> Result<(), Failure> {
        if let Some(oldest) = group.first() {
            busy::give_up_at(oldest.since() + self.patience);
        }
        let mut tx = self.store.begin().map_err(Failure::Begin)?;
        for call in group {
            if let Err(error) = call.run(&mut tx) {
                tx.roll_back();
                return Err(Failure::Inside(error));
            }
        }
        let changes = tx.commit().map_err(Failure::Inside)?;
        self.signal.publish(changes);
        Ok(())
    }
}

enum Failure {
    Begin(rusqlite::Error),
    Inside(rusqlite::Error),
}

impl Failure {
    const fn cause(&self) -> &rusqlite::Error {
        match self {
            Self::Begin(error) | Self::Inside(error) => error,
        }
    }
}

/// The thread that reads, so that an operator's look never waits for a write.
#[derive(Debug)]
pub(super) struct Reader {
    calls: Sender<Box<dyn FnOnce(&Connection) + Send>>,
}

impl Reader {
    pub(super) fn start(conn: Connection, patience: Duration) -> std::io::Result<Self> {
        let (calls, inbox) = channel::<Box<dyn FnOnce(&Connection) + Send>>();
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

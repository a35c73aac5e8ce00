//! The one thread that writes: it runs all waiting calls in one transaction and answers each after the commit.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::Log;
use super::signal::Signal;
use super::store::{Store, Tx};
use super::{busy, error, place::Place};
use crate::queue::QueueError;

/// How many calls share a transaction at most.
const GROUP: usize = 256;

/// How long either side looks for the other before it sleeps: waking a thread takes longer than a small commit.
const SPIN: Duration = Duration::from_micros(60);

/// Hands calls to the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    calls: Sender<Box<dyn Call>>,
    traffic: Arc<Traffic>,
}

/// What decides whether it is worth while to wait awake.
#[derive(Debug, Default)]
struct Traffic {
    in_flight: AtomicUsize,
    last_commit_micros: AtomicU64,
    one_core: bool,
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Reply<T> {
    operation: &'static str,
    answer: oneshot::Receiver<Result<T, QueueError>>,
    traffic: Arc<Traffic>,
    spun: bool,
}

impl<T> Reply<T> {
    /// Waits awake for a short time, if this is the only call and commits are fast.
    fn spin(&mut self) -> Option<Result<T, QueueError>> {
        let slow = self.traffic.last_commit_micros.load(Ordering::Relaxed) > SPIN.as_micros() as u64;
        if slow || self.traffic.one_core {
            return None;
        }
        let start = Instant::now();
        while self.traffic.in_flight.load(Ordering::Relaxed) <= 1 && start.elapsed() < SPIN {
            for _ in 0..8 {
                if let Ok(answer) = self.answer.try_recv() {
                    return Some(answer);
                }
                std::hint::spin_loop();
            }
        }
        None
    }
}

impl<T> Future for Reply<T> {
    type Output = Result<T, QueueError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !std::mem::replace(&mut self.spun, true)
            && let Some(answer) = self.spin()
        {
            return Poll::Ready(answer);
        }
        let operation = self.operation;
        let answer = Pin::new(&mut self.answer).poll(context);
        answer.map(|answer| answer.unwrap_or_else(|_| Err(error::gone(operation))))
    }
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
    pub(super) fn start(
        store: Store,
        log: Connection,
        place: Place,
        signal: Arc<Signal>,
        patience: Duration,
    ) -> std::io::Result<Self> {
        let (calls, inbox) = channel();
        let log = Log::tend(store.conn(), log)?;
        let one_core = thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
        let traffic = Arc::new(Traffic { one_core, ..Traffic::default() });
        let mut thread =
            WriterThread { store, log, place, signal, patience, inbox, traffic: Arc::clone(&traffic) };
        thread::Builder::new().name("extensions-sqlite-write".to_owned()).spawn(move || thread.serve())?;
        Ok(Self { calls, traffic })
    }

    /// Queues the call at once; its answer comes after the commit.
    pub(super) fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<T> {
        let (reply, answer) = oneshot::channel();
        let call = Pending { operation, since: Instant::now(), step, value: None, reply };
        self.traffic.in_flight.fetch_add(1, Ordering::Relaxed);
        let _ = self.calls.send(Box::new(call));
        Reply { operation, answer, traffic: Arc::clone(&self.traffic), spun: false }
    }
}

struct WriterThread {
    store: Store,
    log: Log,
    place: Place,
    signal: Arc<Signal>,
    patience: Duration,
    inbox: Receiver<Box<dyn Call>>,
    traffic: Arc<Traffic>,
}

impl WriterThread {
    fn serve(&mut self) {
        let mut group = Vec::new();
        while let Some(first) = self.next() {
            group.push(first);
            group.extend(self.inbox.try_iter().take(GROUP - 1));
            let start = Instant::now();
            self.run(&mut group);
            let micros = start.elapsed().as_micros() as u64;
            self.traffic.last_commit_micros.store(micros, Ordering::Relaxed);
            self.log.after_commit(self.store.conn());
        }
    }

    fn next(&self) -> Option<Box<dyn Call>> {
        let start = Instant::now();
        while !self.traffic.one_core && start.elapsed() < SPIN {
            for _ in 0..8 {
                match self.inbox.try_recv() {
                    Ok(call) => return Some(call),
                    Err(TryRecvError::Empty) => std::hint::spin_loop(),
                    Err(TryRecvError::Disconnected) => return None,
                }
            }
        }
        self.inbox.recv().ok()
    }

    /// Runs the calls together; if that fails, each alone, so that each learns its own outcome.
    fn run(&mut self, group: &mut Vec<Box<dyn Call>>) {
        match self.attempt(group) {
            Ok(()) => self.answer(group, Ok(())),
            Err(Failure::Begin(error)) => self.answer(group, Err(&error)),
            Err(Failure::Inside(error)) if group.len() == 1 => self.answer(group, Err(&error)),
            Err(Failure::Inside(_)) => {
                for call in group.drain(..) {
                    let mut alone = vec![call];
                    let done = self.attempt(&mut alone);
                    let done = done.as_ref().copied().map_err(Failure::cause);
                    self.answer(&mut alone, done);
                }
            }
        }
    }

    fn answer(&self, calls: &mut Vec<Box<dyn Call>>, done: Result<(), &rusqlite::Error>) {
        for call in calls.drain(..) {
            self.traffic.in_flight.fetch_sub(1, Ordering::Relaxed);
            call.answer(done);
        }
    }

    fn attempt(&mut self, group: &mut [Box<dyn Call>]) -> Result<(), Failure> {
        if let Some(oldest) = group.first() {
            busy::give_up_at(oldest.since() + self.patience);
        }
        self.place.check().map_err(Failure::Begin)?;
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

type Look = Box<dyn FnOnce(&Connection) + Send>;

/// The thread that reads, so that an operator's look never waits for a write.
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

//! Writing: the waiting calls are made together, in one transaction, and each is answered after its commit.
//!
//! A thread makes them. The few calls that come alone and are over at once are made where they come from instead: to hand them to another
//! thread and back takes longer than such a commit.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::call::{Answer, Call, Kind, pending};
use super::checkpoint::Log;
use super::place::Place;
use super::signal::Signal;
use super::store::{Store, Tx};
use super::{Synchronous, busy};
use crate::job::QueueName;

/// How many calls share a transaction at most.
const GROUP: usize = 256;
/// How many calls are still few.
const FEW: usize = 4;
/// How many jobs a call is about that is over at once.
const FEW_JOBS: usize = 32;
/// After how many calls with no other beside them a caller no longer lets others come first, which costs some 8 µs in a runtime of several
/// threads; one of so many still does.
const LONELY: u32 = 8;
const TRY_COMPANY: u32 = 16;
/// A commit that takes longer may wait for the disk: no caller's thread is kept for that.
const QUICK: Duration = Duration::from_micros(250);
/// How long the thread looks for more calls before it sleeps: waking it takes longer than a small commit.
const SPIN: Duration = Duration::from_micros(60);

/// Takes calls.
#[derive(Debug)]
pub(super) struct Writer(Arc<Shared>);

struct Shared {
    inbox: Mutex<Inbox>,
    /// How many calls have no answer yet.
    open: AtomicUsize,
    last_commit_micros: AtomicU64,
    /// How many callers, one after the other, had no other beside them.
    lonely: AtomicU32,
    hand: Mutex<Hand>,
    signal: Arc<Signal>,
    thread: OnceLock<Thread>,
    /// Whether the thread has something to do.
    is_rung: AtomicBool,
    is_closed: AtomicBool,
    one_core: bool,
    patience: Duration,
    /// Whether a commit waits for the disk.
    syncs: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("open", &self.open).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Inbox {
    calls: VecDeque<Box<dyn Call>>,
    /// Whether nobody makes calls any more.
    is_over: bool,
}

impl Inbox {
    fn take(&mut self, most: usize) -> Vec<Box<dyn Call>> {
        let size = self.calls.len().min(most);
        self.calls.drain(..size).collect()
    }
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Reply<T> {
    answer: Answer<T>,
    shared: Arc<Shared>,
    whose: Whose,
}

/// Who makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The thread.
    Threads,
    /// Its caller, who lets others come first.
    CallersSoon,
    /// Its caller, unless others have come.
    Callers,
}

impl<T> Future for Reply<T> {
    type Output = <Answer<T> as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.whose {
            Whose::CallersSoon => {
                self.whose = Whose::Callers;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Whose::Callers => {
                self.whose = Whose::Threads;
                self.shared.note_company();
                self.shared.make_calls_here();
            }
            Whose::Threads => {}
        }
        Pin::new(&mut self.answer).poll(context)
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if self.whose != Whose::Threads {
            self.shared.ring();
        }
    }
}

impl Writer {
    pub(super) fn start(
        store: Store,
        log: Connection,
        place: Place,
        signal: Arc<Signal>,
        (synchronous, patience): (Synchronous, Duration),
    ) -> std::io::Result<Self> {
        let log = Log::tend(store.conn(), log)?;
        let hand = Hand { store, log, place, synchronous, set_to: synchronous };
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            open: AtomicUsize::new(0),
            last_commit_micros: AtomicU64::new(0),
            lonely: AtomicU32::new(0),
            hand: Mutex::new(hand),
            signal,
            thread: OnceLock::new(),
            is_rung: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            one_core: thread::available_parallelism().is_ok_and(|cores| cores.get() == 1),
            patience,
            syncs: synchronous != Synchronous::Normal,
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new().name("extensions-sqlite-write".to_owned());
        let thread = thread.spawn(move || own.serve())?;
        let _ = shared.thread.set(thread.thread().clone());
        Ok(Self(shared))
    }

    /// Queues the call at once; its answer comes after the commit.
    pub(super) fn call<T: Send + 'static>(
        &self,
        kind: impl Into<Kind>,
        step: impl FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<T> {
        let kind = kind.into();
        let (call, answer) = pending(kind, step);
        let others = self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.add(call);
        let is_over_at_once =
            kind.jobs.is_some_and(|jobs| jobs <= FEW_JOBS) && !(kind.is_synced && self.0.syncs);
        let whose = if is_over_at_once && others < FEW && self.0.is_quick() {
            if self.0.is_lonely() { Whose::Callers } else { Whose::CallersSoon }
        } else {
            self.0.ring();
            Whose::Threads
        };
        Reply { answer, shared: Arc::clone(&self.0), whose }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::SeqCst);
        self.0.ring();
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, call: Box<dyn Call>) {
        let mut inbox = self.inbox();
        if !inbox.is_over {
            inbox.calls.push_back(call);
        }
    }

    /// Whether it would be in vain to let others come first, as far as the last calls tell. Now and then it is tried.
    fn is_lonely(&self) -> bool {
        let lonely = self.lonely.load(Ordering::Relaxed);
        lonely >= LONELY && !lonely.is_multiple_of(TRY_COMPANY)
    }

    /// Takes note whether others have calls open, too.
    fn note_company(&self) {
        if self.open.load(Ordering::Relaxed) > 1 {
            self.lonely.store(0, Ordering::Relaxed);
        } else {
            self.lonely.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_quick(&self) -> bool {
        self.last_commit_micros.load(Ordering::Relaxed) <= QUICK.as_micros() as u64
    }

    fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Makes the waiting calls on this thread if they are few and nobody else writes; else the other thread does.
    fn make_calls_here(&self) {
        if self.open.load(Ordering::Relaxed) > FEW || self.is_rung.load(Ordering::Relaxed) {
            return self.ring();
        }
        let Ok(mut hand) = self.hand.try_lock() else { return self.ring() };
        let mut group = self.inbox().take(FEW);
        if group.is_empty() {
            return;
        }
        busy::give_up_at(Instant::now());
        let made = self.attempt(&mut hand, &mut group);
        let is_threads_turn = hand.log.is_to_begin_anew() || made.is_err();
        // Whoever hears of the change may want to write.
        drop(hand);
        match made {
            Ok(changes) => self.note_made(group, changes),
            Err(_) => {
                let mut inbox = self.inbox();
                group.into_iter().rev().for_each(|call| inbox.calls.push_front(call));
            }
        }
        if is_threads_turn {
            self.ring();
        }
    }

    /// The thread.
    fn serve(&self) {
        let _over = Over(self);
        while self.wait() {
            let Ok(mut hand) = self.hand.lock() else { return };
            loop {
                hand.begin_log_anew();
                let group = self.inbox().take(GROUP);
                let Some(oldest) = group.first() else { break };
                busy::give_up_at(oldest.since() + self.patience);
                self.make(&mut hand, group);
            }
        }
    }

    /// Waits until there is something to do; false at the end of all.
    fn wait(&self) -> bool {
        let start = Instant::now();
        while !self.one_core && !self.is_rung.load(Ordering::Relaxed) && start.elapsed() < SPIN {
            std::hint::spin_loop();
        }
        loop {
            let is_closed = self.is_closed.load(Ordering::SeqCst);
            if self.is_rung.swap(false, Ordering::SeqCst) {
                return true;
            }
            if is_closed {
                return false;
            }
            thread::park();
        }
    }

    /// Makes the calls together; if that fails, each alone, so that each learns its own outcome.
    fn make(&self, hand: &mut Hand, mut group: Vec<Box<dyn Call>>) {
        match self.attempt(hand, &mut group) {
            Ok(changes) => self.note_made(group, changes),
            Err(Failure::Inside(_)) if group.len() > 1 => {
                group.into_iter().for_each(|call| self.make(hand, vec![call]));
            }
            Err(Failure::Begin(error) | Failure::Inside(error)) => self.answer(group, Err(&error)),
        }
    }

    fn attempt(&self, hand: &mut Hand, group: &mut [Box<dyn Call>]) -> Result<Changes, Failure> {
        let start = Instant::now();
        let made = hand.attempt(group);
        if hand.set_to == Synchronous::Normal {
            self.last_commit_micros.store(start.elapsed().as_micros() as u64, Ordering::Relaxed);
        }
        made
    }

    fn note_made(&self, calls: Vec<Box<dyn Call>>, changes: Changes) {
        self.signal.publish(changes);
        self.answer(calls, Ok(()));
    }

    fn answer(&self, calls: Vec<Box<dyn Call>>, made: Result<(), &rusqlite::Error>) {
        self.open.fetch_sub(calls.len(), Ordering::Relaxed);
        calls.into_iter().for_each(|call| call.answer(made));
    }
}

/// Lets every caller know that nobody makes calls any more.
struct Over<'a>(&'a Shared);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let mut inbox = self.0.inbox();
        inbox.is_over = true;
        inbox.calls.clear();
    }
}

/// What one thread at a time writes with.
struct Hand {
    store: Store,
    log: Log,
    place: Place,
    /// What a commit promises, and what the next one would.
    synchronous: Synchronous,
    set_to: Synchronous,
}

/// The queues that changed, and the numbers of their changes.
type Changes = Vec<(QueueName, u64)>;

enum Failure {
    Begin(rusqlite::Error),
    Inside(rusqlite::Error),
}

impl Hand {
    /// Makes the calls in one transaction.
    fn attempt(&mut self, group: &mut [Box<dyn Call>]) -> Result<Changes, Failure> {
        self.place.check().map_err(Failure::Begin)?;
        self.set_synchronous(group.iter().any(|call| call.is_synced())).map_err(Failure::Begin)?;
        let mut tx = self.store.begin().map_err(Failure::Begin)?;
        for call in group {
            if let Err(error) = call.run(&mut tx) {
                tx.roll_back();
                return Err(Failure::Inside(error));
            }
        }
        let changes = tx.commit().map_err(Failure::Inside)?;
        self.log.note_commit();
        Ok(changes)
    }

    fn set_synchronous(&mut self, synced: bool) -> rusqlite::Result<()> {
        let wanted = if synced { self.synchronous } else { Synchronous::Normal };
        if self.set_to != wanted {
            self.store.conn().pragma_update(None, "synchronous", wanted.as_str())?;
            self.set_to = wanted;
        }
        Ok(())
    }

    fn begin_log_anew(&mut self) {
        self.log.begin_anew(self.store.conn());
    }
}

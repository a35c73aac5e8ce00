//! Signals: the first ends the workers in order, the second ends the process at once.
//!
//! They are heard on a thread of their own, so that handlers which block every thread of the runtime keep no signal from being
//! heard. The thread stays when the workers are gone, since what a signal does by itself cannot be brought back: it then ends the
//! process as it would have without us.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::telemetry::names::event;
use tokio::sync::Notify;

static STATE: Mutex<State> = Mutex::new(State { heard: false, working: 0, ending: false });
static SIGNALLED: Notify = Notify::const_new();

struct State {
    /// Whether the thread listens.
    heard: bool,
    /// How many workers end at a signal.
    working: usize,
    /// Whether a signal has come since the first of them started.
    ending: bool,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A worker that ends at a signal, until this is dropped.
#[derive(Debug)]
pub(super) struct Signals(());

impl Signals {
    /// Listens for SIGTERM, SIGINT and SIGHUP, or Ctrl-C where there are no signals. While any worker does, a second one ends the
    /// process at once, with 128 plus the signal's number.
    ///
    /// # Errors
    ///
    /// Where they cannot be listened for.
    pub(super) fn listen() -> std::io::Result<Self> {
        let mut state = state();
        if !state.heard {
            system::listen()?;
            state.heard = true;
        }
        state.working += 1;
        Ok(Self(()))
    }

    /// Ends at the first signal.
    pub(super) async fn first(&self) {
        loop {
            let signalled = SIGNALLED.notified();
            tokio::pin!(signalled);
            signalled.as_mut().enable();
            if state().ending {
                return;
            }
            signalled.await;
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let mut state = state();
        state.working -= 1;
        state.ending &= state.working > 0;
    }
}

fn hear(name: &'static str, number: i32) {
    let mut state = state();
    if state.working == 0 || state.ending {
        std::process::exit(128 + number);
    }
    state.ending = true;
    drop(state);
    tracing::info!(name: event::SHUTTING_DOWN, signal = name, "shutting down; a second signal ends at once");
    SIGNALLED.notify_waiters();
}

mod system {
    use std::io;
    use std::sync::mpsc;
    use std::thread;

    /// Starts the thread, and returns once it listens.
    pub(super) fn listen() -> io::Result<()> {
        let (ready, started) = mpsc::channel();
        thread::Builder::new().name("extensions-signals".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(hear_all(&ready)),
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        started.recv().map_err(io::Error::other)?
    }

    #[cfg(unix)]
    async fn hear_all(ready: &mpsc::Sender<io::Result<()>>) {
        use tokio::signal::unix::{Signal, SignalKind, signal};
        let open = || -> io::Result<[Signal; 3]> {
            Ok([
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::hangup())?,
            ])
        };
        let [mut term, mut int, mut hup] = match open() {
            Ok(signals) => signals,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let _ = ready.send(Ok(()));
        loop {
            tokio::select! {
                _ = term.recv() => super::hear("SIGTERM", 15),
                _ = int.recv() => super::hear("SIGINT", 2),
                _ = hup.recv() => super::hear("SIGHUP", 1),
            }
        }
    }

    #[cfg(not(unix))]
    async fn hear_all(ready: &mpsc::Sender<io::Result<()>>) {
        let _ = ready.send(Ok(()));
        while tokio::signal::ctrl_c().await.is_ok() {
            super::hear("Ctrl-C", 2);
        }
    }
}

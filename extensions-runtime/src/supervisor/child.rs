//! A process: started, heard, told, killed, and buried.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::message::{self, STDIN, ToProcess, ToSupervisor, VARIABLE, Welcome};
use super::notify;
use super::plan::ProcessId;
use crate::telemetry::names::event;

/// How long what a process said last is waited for after its end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

/// What happens to a process.
#[derive(Debug)]
pub(super) enum Happening {
    Said(ToSupervisor),
    /// The last that is heard of it.
    Ended(io::Result<ExitStatus>),
}

/// Where it is told what happens to processes.
pub(super) type Happenings = UnboundedSender<(ProcessId, Happening)>;

/// A process that runs.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: u32,
    orders: UnboundedSender<ToProcess>,
    signals: UnboundedSender<Force>,
}

/// What is done to a process that does not listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    Terminate,
    Kill,
}

/// Starts a process of a pool. What happens to it is told under `id`.
///
/// # Errors
///
/// Of the system; then nothing happens to it.
pub(super) fn spawn(
    program: &Program,
    pool: &str,
    config: Option<&Path>,
    welcome: Welcome,
    id: ProcessId,
    happenings: Happenings,
) -> io::Result<Child> {
    let (ours, theirs) = Pair::pair()?;
    ours.set_nonblocking(true)?;
    let (read, write) = UnixStream::from_std(ours)?.into_split();
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .args(["work", "--pool", pool])
        .env(VARIABLE, STDIN)
        .envs(config.map(|path| ("EXTENSIONS_CONFIG", path)))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        // Ctrl-C at a terminal goes to a whole group: only the supervisor is to hear it, and drains in its own way.
        .process_group(0);
    for variable in notify::VARIABLES {
        command.env_remove(variable);
    }
    let mut process = command.spawn()?;
    let pid = process.id().unwrap_or_default();
    let (orders, inbox) = unbounded_channel();
    // There is room for it in the socket: nobody waits.
    let _ = orders.send(ToProcess::Welcome(welcome));
    tokio::spawn(tell(write, inbox));
    let hearing = tokio::spawn(hear(read, id, happenings.clone()));
    let (signals, mut forced) = unbounded_channel();
    tokio::spawn(async move {
        let ended = loop {
            tokio::select! {
                ended = process.wait() => break ended,
                Some(force) = forced.recv() => apply(&mut process, force),
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, hearing).await;
        let _ = happenings.send((id, Happening::Ended(ended)));
    });
    Ok(Child { pid, orders, signals })
}

/// It is not buried yet, so that its number is its own.
fn apply(process: &mut tokio::process::Child, force: Force) {
    let pid = process.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
    let done = match (force, pid) {
        (Force::Terminate, Some(pid)) => {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(io::Error::from)
        }
        (Force::Kill, Some(_)) => process.start_kill(),
        (_, None) => Ok(()),
    };
    if let Err(error) = done {
        tracing::warn!(name: event::PROCESS_UNSIGNALLED, %error, ?force, "a process cannot be signalled");
    }
}

async fn tell(mut to: OwnedWriteHalf, mut inbox: UnboundedReceiver<ToProcess>) {
    while let Some(order) = inbox.recv().await {
        if message::write(&mut to, &order).await.is_err() {
            // It has ended, which is told elsewhere, or closed its standard input: it hears nothing any more.
            return;
        }
    }
}

async fn hear(from: OwnedReadHalf, id: ProcessId, happenings: Happenings) {
    let mut from = BufReader::new(from);
    while let Some(said) = message::read(&mut from).await {
        if happenings.send((id, Happening::Said(said))).is_err() {
            return;
        }
    }
}

impl Child {
    pub(super) fn tell(&self, order: ToProcess) {
        let _ = self.orders.send(order);
    }

    pub(super) fn force(&self, force: Force) {
        let _ = self.signals.send(force);
    }

    pub(super) fn orders(&self) -> UnboundedSender<ToProcess> {
        self.orders.clone()
    }
}

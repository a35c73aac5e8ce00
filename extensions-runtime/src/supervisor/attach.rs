//! The other end of the socket: a worker in a process that a supervisor started.
//!
//! It is served on a thread of its own, so that handlers which block every thread of the runtime neither silence the process nor keep it
//! from noticing that its supervisor is gone.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::message::{self, STDIN, ToProcess, ToSupervisor, VARIABLE, Welcome};
use crate::telemetry::Prometheus;
use crate::telemetry::names::event;
use crate::worker::{Control, WorkerBuilder};

/// How often a status is said.
const TELL: Duration = Duration::from_secs(1);
/// How often a worker that is not ready is looked at, so that it is known at once when it is.
const LOOK: Duration = Duration::from_millis(50);
/// How long the supervisor's first line is waited for. It was written before the process ran.
const WELCOME: Duration = Duration::from_secs(10);
/// How long a message may take. The socket of a supervisor that is frozen, and reads nothing, is full in minutes.
const SAY: Duration = Duration::from_secs(1);
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The exit code of a process that did not end in time after its supervisor was gone, which can no longer kill it.
pub const ORPHAN_EXIT: i32 = 71;

/// The supervisor of this process, on its standard input.
///
/// Its orders reach the worker that was [tied](Self::tie) to it; when it is gone, the worker drains and ends. Dropped, it says goodbye.
#[derive(Debug)]
pub struct Attached {
    control: Control,
    slots: Option<usize>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Finds the supervisor that started this process; none where `EXTENSIONS_SUPERVISOR` is not set.
///
/// To be called once, before anything else reads the standard input: that is the supervisor's socket, and `/dev/null` from here on, so that
/// programs which handlers start cannot read from it.
///
/// # Errors
///
/// Where `EXTENSIONS_SUPERVISOR` is set and the standard input is no supervisor's socket, as in a program that a supervised worker
/// started; and those of the system.
pub fn attach() -> io::Result<Option<Attached>> {
    match std::env::var_os(VARIABLE) {
        None => Ok(None),
        Some(place) if place == STDIN => take_stdin().and_then(start).map(Some),
        Some(place) => Err(no_supervisor(format!("it is {place:?}"))),
    }
}

fn no_supervisor(why: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!(
        "{VARIABLE} is set, but the standard input is no supervisor's ({why}); \
         a worker that no supervisor is to watch is started without this variable"
    ))
}

fn take_stdin() -> io::Result<Socket> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::net::sockopt::socket_type(&socket).map_err(no_supervisor)?;
    let nothing = OwnedFd::from(std::fs::File::open("/dev/null")?);
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(socket.into())
}

fn start(socket: Socket) -> io::Result<Attached> {
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (read, write) = {
        let _runtime = runtime.enter();
        UnixStream::from_std(socket)?.into_split()
    };
    let mut read = BufReader::new(read);
    let control = Control::new();
    let (end, ended) = oneshot::channel();
    let (welcomed, welcome) = std::sync::mpsc::channel();
    let line = Line { write, control: control.clone(), prometheus: Prometheus::install().ok() };
    let thread = std::thread::Builder::new().name("extensions-supervised".into()).spawn(move || {
        runtime.block_on(async {
            let first = timeout(WELCOME, message::read(&mut read)).await.ok().flatten();
            let Some(ToProcess::Welcome(welcome)) = first else { return };
            if welcomed.send(welcome.clone()).is_ok() {
                serve(line, read, &welcome, ended).await;
            }
        });
    })?;
    let welcome = welcome.recv().map_err(|_| no_supervisor("it says nothing"))?;
    Ok(Attached { control, slots: welcome.slots, end: Some(end), thread: Some(thread) })
}

impl Attached {
    /// Puts a worker under the supervisor: its control, and its slots where the supervisor chooses them.
    pub fn tie(&self, worker: WorkerBuilder) -> WorkerBuilder {
        let worker = worker.control(&self.control);
        match self.slots {
            Some(slots) => worker.concurrency(slots),
            None => worker,
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It takes `FAREWELL` at most.
            let _ = thread.join();
        }
    }
}

struct Line {
    write: OwnedWriteHalf,
    control: Control,
    prometheus: Option<Prometheus>,
}

impl Line {
    /// That nobody hears it shows in the reading. One that was said in part is passed over there, with the one after it.
    async fn say(&mut self, message: ToSupervisor) {
        let _ = timeout(SAY, message::write(&mut self.write, &message)).await;
    }

    async fn say_status(&mut self) {
        let status = ToSupervisor::Status(Box::new(self.control.status()));
        self.say(status).await;
    }

    /// Where the application has another recorder, there is nothing to say: its metrics are its own affair.
    async fn say_metrics(&mut self) {
        let text = self.prometheus.as_ref().map(Prometheus::render).unwrap_or_default();
        self.say(ToSupervisor::Metrics(text)).await;
    }

    async fn obey(&mut self, order: ToProcess) {
        match order {
            ToProcess::Slots(slots) => self.control.set_concurrency(slots),
            ToProcess::Drain => {
                tracing::info!(name: event::ASKED_TO_DRAIN, "the supervisor asks for the end: draining");
                self.control.stop();
            }
            ToProcess::Metrics => self.say_metrics().await,
            ToProcess::Welcome(_) => {}
        }
    }
}

/// Serves the line until the worker has ended.
async fn serve(
    mut line: Line,
    mut read: BufReader<impl AsyncRead + Unpin + Send + 'static>,
    welcome: &Welcome,
    mut ended: oneshot::Receiver<()>,
) {
    line.say(ToSupervisor::Hello { version: env!("CARGO_PKG_VERSION").to_owned() }).await;
    let (heard, mut orders) = unbounded_channel();
    // A task of its own, since a message that was read in part cannot be given up. Its end is the supervisor's.
    tokio::spawn(async move {
        while let Some(order) = message::read(&mut read).await {
            if heard.send(order).is_err() {
                return;
            }
        }
    });
    let mut said = None;
    loop {
        let ready = line.control.status().ready;
        if said.is_none_or(|(was_ready, at): (bool, Instant)| was_ready != ready || at.elapsed() >= TELL) {
            line.say_status().await;
            said = Some((ready, Instant::now()));
        }
        tokio::select! {
            _ = &mut ended => break,
            order = orders.recv() => match order {
                Some(order) => line.obey(order).await,
                None => {
                    line.control.stop();
                    return outlive(welcome.stop_timeout, ended).await;
                }
            },
            () = sleep(if ready { TELL } else { LOOK }) => {}
        }
    }
    let farewell = async {
        line.say_status().await;
        line.say_metrics().await;
    };
    let _ = timeout(FAREWELL, farewell).await;
}

/// The supervisor is gone: nobody is left to end this process but itself.
async fn outlive(stop_timeout: Duration, ended: oneshot::Receiver<()>) {
    tracing::warn!(name: event::SUPERVISOR_GONE, "the supervisor is gone: draining, and ending");
    if timeout(stop_timeout, ended).await.is_err() {
        tracing::error!(name: event::ORPHAN_ENDS,
            ?stop_timeout,
            exit_code = ORPHAN_EXIT,
            "not drained in time after the supervisor's end"
        );
        std::process::exit(ORPHAN_EXIT);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;
    use tokio::net::UnixStream;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::{Line, Welcome, serve};
    use crate::time::secs;
    use crate::worker::Control;

    #[tokio::test(start_paused = true)]
    async fn a_supervisor_that_is_frozen_keeps_no_process_from_its_end() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (read, write) = ours.into_split();
        write.writable().await.unwrap();
        while write.try_write(&[b' '; 512]).is_ok() {}
        let line = Line { write, control: Control::new(), prometheus: None };
        let welcome = Welcome { stop_timeout: secs(60), slots: None };
        let (_, ended) = oneshot::channel();
        timeout(secs(60), serve(line, BufReader::new(read), &welcome, ended)).await.expect("it ends");
    }
}

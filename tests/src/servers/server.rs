//! A server's life: start, kill, freeze, restart, end.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::program::Program;
use super::watchdog::Watchdog;
use crate::kit::until;
use crate::os;

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Where its port is looked for: below the ports that systems give to those who connect, or a restarted server might find its own
/// taken by a client.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// A server of this test's own, in a temporary folder on a free port of 127.0.0.1. It ends with this value, or with the process.
///
/// Everything in it panics with what went wrong, as a test does.
#[derive(Debug)]
pub struct Server {
    program: Box<dyn Program>,
    folder: TempDir,
    port: u16,
    running: Option<Running>,
    places: AtomicU64,
}

/// A started process, and who ends it where this process cannot.
#[derive(Debug)]
struct Running {
    child: Child,
    pid: Pid,
    _watchdog: Watchdog,
}

impl Server {
    /// Starts a program in a fresh folder, and waits until it answers.
    pub(super) async fn start(program: Box<dyn Program>) -> Self {
        let folder = tempfile::Builder::new().prefix("extensions-server-").tempdir();
        let folder = folder.expect("a temporary folder can be made");
        program.prepare(folder.path());
        let mut server = Self { program, folder, port: 0, running: None, places: AtomicU64::new(0) };
        for _ in 0..5 {
            server.port = free_port();
            if server.run().await {
                return server;
            }
        }
        panic!("{} does not start:\n{}", server.program.name(), server.log())
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of what everyone shares in it. With a password.
    #[must_use]
    pub fn url(&self) -> String {
        self.program.url(self.port)
    }

    /// The URL of a place in it that nobody else has: a schema, a prefix. With a password.
    #[must_use]
    pub fn fresh_url(&self) -> String {
        self.fresh_url_at(self.port)
    }

    /// The same for a client that comes through another port, such as a proxy's.
    #[must_use]
    pub fn fresh_url_at(&self, port: u16) -> String {
        let number = self.places.fetch_add(1, Ordering::Relaxed);
        self.program.make_place(self.port, number);
        self.program.fresh_url(port, number)
    }

    /// Kills all of it, as the OOM killer would.
    ///
    /// # Panics
    ///
    /// If it does not run, or does not die.
    pub async fn kill(&mut self) {
        let mut running = self.running.take().expect("the server runs until it is killed");
        // Its children first stand still with it, so that it makes no new ones.
        let all = freeze_all(running.pid).await;
        for pid in &all {
            let _ = kill_process(*pid, Signal::KILL);
        }
        running.child.wait().expect("a child can be waited for");
        until("the server's processes to end", async || !all.iter().any(|pid| os::lives(*pid))).await;
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), with the same data on the same port, and waits until it
    /// answers.
    ///
    /// # Panics
    ///
    /// If it runs, or does not start.
    pub async fn restart(&mut self) {
        assert!(self.running.is_none(), "{} runs", self.program.name());
        assert!(self.run().await, "{} does not start again:\n{}", self.program.name(), self.log());
    }

    /// Stops all of its processes, without ending them.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub async fn freeze(&self) {
        freeze_all(self.running().pid).await;
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn thaw(&self) {
        thaw_all(self.running().pid);
    }

    /// Ends it, in order but at once: what it has confirmed is there after [`restart`](Self::restart).
    pub async fn stop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        running.ask_to_end(self.program.signal_to_end());
        let ended = async {
            while running.child.try_wait().is_ok_and(|status| status.is_none()) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, ended).await.is_err() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the server runs")
    }

    /// Whether it answers after its start; where it does not, it has ended.
    async fn run(&mut self) -> bool {
        let (pid, mut child) = self.spawn();
        let watchdog = Watchdog::over(pid, self.program.signal_to_end(), self.folder.path());
        let _watchdog = watchdog.expect("`sh` starts");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if child.try_wait().expect("a child can be looked at").is_some() {
                return false;
            }
            if self.program.is_ready(self.port) {
                self.running = Some(Running { child, pid, _watchdog });
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    fn spawn(&self) -> (Pid, Child) {
        let log = File::options().append(true).create(true).open(self.log_path());
        let log = log.expect("the server's log can be written");
        let mut command = self.program.command(self.folder.path(), self.port);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        // A group of its own: what ends the test at a terminal leaves the end of the server to its watchdog.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{} : {error}", self.program.name()));
        (os::pid(child.id()).expect("a child has a number"), child)
    }
}

impl Running {
    fn ask_to_end(&self, signal: Signal) {
        thaw_all(self.pid);
        let _ = kill_process(self.pid, signal);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        running.ask_to_end(self.program.signal_to_end());
        let deadline = Instant::now() + Duration::from_secs(10);
        while running.child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        let _ = running.child.kill();
        let _ = running.child.wait();
    }
}

/// Stops a process and then its children; all of them.
async fn freeze_all(parent: Pid) -> Vec<Pid> {
    os::freeze(parent).await.expect("the server runs");
    let children = os::children(parent).expect("the processes can be listed");
    for child in &children {
        // It may have ended meanwhile, which is as still as it gets.
        let _ = os::freeze(*child).await;
    }
    [vec![parent], children].concat()
}

fn thaw_all(parent: Pid) {
    for pid in os::children(parent).unwrap_or_default() {
        let _ = kill_process(pid, Signal::CONT);
    }
    let _ = kill_process(parent, Signal::CONT);
}

/// A port on which nobody listens now.
fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut tries = std::iter::repeat_with(|| fastrand::u16(PORTS)).take(1000);
    tries.find(free).expect("one of the ports is free")
}

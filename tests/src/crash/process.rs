//! A process under test: started, told, killed, frozen and thawed by the harness.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{FakeClock, Moment, Orders};
use crate::os;

/// A running subject. It is killed when this is dropped, and ends by itself when the harness is gone.
#[derive(Debug)]
pub struct Subject {
    name: String,
    log: PathBuf,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    pid: Pid,
}

impl Subject {
    /// Starts the program with its orders, these variables, and the wall clock that it goes by; what it logs goes to a file beside its ledger.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(
        program: &Path,
        orders: &Orders,
        variables: &[(&str, String)],
        clock: Option<&FakeClock>,
    ) -> io::Result<Self> {
        let log = orders.ledger.with_extension("log");
        let mut child = Command::new(program)
            .arg("subject")
            .arg(serde_json::to_string(orders)?)
            .envs(variables.iter().map(|(name, value)| (*name, value)))
            .envs(clock.iter().flat_map(|clock| clock.environment()))
            // To find the lines of a panic takes longer than most handlers here.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()?;
        let gone = || io::Error::other("the subject is gone");
        let pid = child.id().and_then(os::pid).ok_or_else(gone)?;
        let input = child.stdin.take().ok_or_else(gone)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(gone)?).lines();
        Ok(Self { name: orders.process.clone(), log, child, input, output, pid })
    }

    /// Its number.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Its name in ledgers and faults.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// If there is no such process any more.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        kill_process(self.pid, signal).map_err(Into::into)
    }

    /// Kills it and waits until it is gone; from when on it was being killed.
    ///
    /// # Errors
    ///
    /// If it had ended before.
    pub async fn kill(&mut self) -> io::Result<Moment> {
        let from = Moment::now();
        self.signal(Signal::KILL)?;
        self.child.wait().await?;
        Ok(from)
    }

    /// Freezes it, and waits until every one of its threads stands still; from when on it was being frozen.
    ///
    /// # Errors
    ///
    /// If there is no such process any more.
    pub async fn freeze(&self) -> io::Result<Moment> {
        let from = Moment::now();
        os::freeze(self.pid).await?;
        Ok(from)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// If there is no such process any more.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits until it is gone by itself, without having been asked to.
    pub async fn gone(&mut self) {
        let _ = self.child.wait().await;
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// If it has not in time.
    pub async fn ended(&mut self, within: Duration) -> io::Result<ExitStatus> {
        tokio::time::timeout(within, self.child.wait()).await.map_err(io::Error::from)?
    }

    /// Whether it still runs.
    ///
    /// # Errors
    ///
    /// Of the system.
    pub fn lives(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub async fn say(&mut self, line: &str) -> io::Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        self.input.flush().await
    }

    /// Reads a line of its standard output.
    ///
    /// # Errors
    ///
    /// If it says nothing in time.
    pub async fn hear(&mut self, within: Duration) -> io::Result<String> {
        let line = tokio::time::timeout(within, self.output.next_line()).await.map_err(io::Error::from)??;
        line.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

//! Pools of worker processes, kept alive: started, replaced when they end, rolled, scaled, and ended in order.
//!
//! ```no_run
//! # use extensions_runtime::{BoxError, config::Config, supervisor::Supervisor};
//! # async fn example() -> Result<(), BoxError> {
//! let report = Supervisor::new(Config::load()?).run().await?;
//! std::process::exit(report.exit_code.into());
//! # }
//! ```
//!
//! What is to be done is decided in `plan`, `restart` and `scale`, which know neither processes nor clocks. `run` is the loop, `pool` carries
//! its plans out, `child` is a process, `attach` the other end of its socket. `board` is what is shown outside.

mod attach;
mod board;
mod child;
mod message;
mod notify;
mod plan;
mod pool;
mod restart;
mod run;
mod scale;
mod store;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

pub use self::attach::{Attached, ORPHAN_EXIT, attach};
use self::run::Runner;
use crate::config::Config;
use crate::queue::QueueBackend;

/// A supervisor that is about to run.
///
/// It starts the processes of each pool of its configuration: this program, or `[supervisor].command`, with the arguments
/// `work --pool NAME`. Each of them calls [`attach`], as the console's `work` does.
#[must_use = "a supervisor starts its processes once `.run().await` is called"]
pub struct Supervisor {
    config: Config,
    queue: Option<Arc<dyn QueueBackend>>,
    queue_url: Option<String>,
}

/// What a supervisor did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SupervisorReport {
    /// The code to end with: the highest of the processes that were told to end, 0 if all did so in order; for one that a signal ended, and
    /// after a second signal to the supervisor, 128 and the signal's number.
    pub exit_code: u8,
    /// How many processes were started.
    pub started: u64,
    /// How many of them took the place of one that had ended by itself.
    pub restarts: u64,
}

/// Why a supervisor cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The configuration has no pool.
    #[error(
        "there is nothing to supervise: the configuration has no pool; write a table `[worker.default]` with `queues = [\"default\"]`"
    )]
    NoPools,
    /// Its endpoints cannot be served.
    #[error(
        "nothing can be served at {address}: {error}; set `supervisor.listen` to another address, or to \"none\""
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// Signals cannot be listened for.
    #[error("signals cannot be listened for: {0}")]
    Signals(io::Error),
    /// Its own program cannot be found, or the place that it was started in.
    #[error("the program that is to work cannot be found: {0}; set `supervisor.command`")]
    Program(io::Error),
}

impl Supervisor {
    /// A supervisor of the pools of a configuration. Its file is read again at SIGHUP.
    pub fn new(config: Config) -> Self {
        Self { config, queue: None, queue_url: None }
    }

    /// The queue to look at for scaling and metrics; without it, that of the configuration, opened when it is needed first.
    pub fn queue(mut self, queue: Arc<dyn QueueBackend>) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Another queue than that of the configuration. The processes are told by an argument, `--queue-url`.
    pub fn queue_url(mut self, url: impl Into<String>) -> Self {
        self.queue_url = Some(url.into());
        self
    }

    /// Supervises until SIGTERM or SIGINT. Then all processes drain, each in at most `[supervisor].stop_timeout`, after which it is killed; a
    /// second signal kills all of them at once. SIGHUP reads the configuration's file again and replaces all processes one after the other,
    /// each new one ready before its predecessor drains; a file with mistakes changes nothing.
    ///
    /// Signals stay taken when it has ended: end the process then.
    ///
    /// # Errors
    ///
    /// [`SupervisorError`], before any process is started. Later nothing is an error: what cannot be started is tried again, ever more
    /// rarely.
    ///
    /// # Cancel safety
    ///
    /// Dropped, its processes take it for dead: they drain and end by themselves.
    pub async fn run(self) -> Result<SupervisorReport, SupervisorError> {
        Ok(Runner::new(self).await?.run().await)
    }
}

/// Without what is in its URL.
impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("config", &self.config).finish_non_exhaustive()
    }
}

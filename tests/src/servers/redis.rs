//! Redis and Valkey.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::program::{PASSWORD, Program, find, missing};
use super::server::Server;

/// A Redis server, or one of Valkey, which takes the same arguments.
#[derive(Debug)]
pub struct Redis {
    name: &'static str,
    program: PathBuf,
    persistence: Persistence,
}

/// What a server writes to its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Persistence {
    /// Nothing: all is gone with the process.
    None,
    /// The append-only file, on the disk within a second.
    Everysec,
    /// The append-only file, on the disk before a write is answered.
    #[default]
    Always,
}

impl Redis {
    /// Starts a Redis server.
    ///
    /// # Panics
    ///
    /// If Redis is not installed or does not start.
    pub async fn start(persistence: Persistence) -> Server {
        let program = find("redis-server", &[]).unwrap_or_else(|| missing("redis-server", "redis-server"));
        Server::start(Box::new(Self { name: "redis", program, persistence })).await
    }

    /// Starts a Valkey server; none where Valkey is not installed, as no package of Debian 12 has it.
    ///
    /// # Panics
    ///
    /// If it is installed and does not start.
    pub async fn valkey(persistence: Persistence) -> Option<Server> {
        let program = find("valkey-server", &[])?;
        Some(Server::start(Box::new(Self { name: "valkey", program, persistence })).await)
    }

    /// Whether Valkey is installed.
    #[must_use]
    pub fn has_valkey() -> bool {
        find("valkey-server", &[]).is_some()
    }
}

/// What a server answers to a line; nothing within a second counts as no answer.
fn ask(port: u16, lines: &str) -> std::io::Result<String> {
    let second = Some(Duration::from_secs(1));
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(second)?;
    stream.set_write_timeout(second)?;
    stream.write_all(lines.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Program for Redis {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&self, _folder: &Path) {}

    fn command(&self, folder: &Path, port: u16) -> Command {
        let (append, sync) = match self.persistence {
            Persistence::None => ("no", "no"),
            Persistence::Everysec => ("yes", "everysec"),
            Persistence::Always => ("yes", "always"),
        };
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]).arg("--dir").arg(folder);
        command.args(["--save", "", "--appendonly", append, "--appendfsync", sync]);
        command.args(["--maxmemory-policy", "noeviction", "--requirepass", PASSWORD]);
        command
    }

    fn is_ready(&self, port: u16) -> bool {
        ask(port, &format!("AUTH {PASSWORD}\r\nPING\r\nQUIT\r\n"))
            .is_ok_and(|answer| answer.contains("+PONG"))
    }

    fn url(&self, port: u16) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{port}")
    }

    fn fresh_url(&self, port: u16, number: u64) -> String {
        format!("{}?prefix=place-{number}", self.url(port))
    }

    fn signal_to_end(&self) -> Signal {
        Signal::KILL
    }
}

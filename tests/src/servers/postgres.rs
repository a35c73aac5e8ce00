//! PostgreSQL.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::program::{PASSWORD, Program, find, missing};
use super::server::Server;

/// A PostgreSQL server with a fresh cluster: `fsync` is on, and whoever connects from this machine is trusted.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    /// Whom the server runs as, where this process is root, as whom it refuses to run.
    user: Option<u32>,
}

/// Small enough for many at once, with room for the connections of many processes. Everything that makes a commit durable stays as it is.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=32MB",
    "dynamic_shared_memory_type=mmap",
    "log_min_messages=warning",
];

impl Postgres {
    /// Starts a server with a fresh cluster.
    ///
    /// # Panics
    ///
    /// If PostgreSQL is not installed or does not start.
    pub async fn start() -> Server {
        let programs = programs().unwrap_or_else(|| missing("postgres", "postgresql"));
        let user = rustix::process::geteuid().is_root().then(unprivileged);
        Server::start(Box::new(Self { programs, user })).await
    }

    fn run(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        // Where this process works, that user may not even look.
        command.current_dir("/");
        if let Some(user) = self.user {
            command.uid(user);
        }
        command
    }
}

/// Where `initdb` and `postgres` are, the newest first. Debian keeps them out of `PATH`.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|entry| entry.path()).collect();
    versions.sort_by_key(|path| path.file_name()?.to_str()?.parse::<u32>().ok());
    let folders: Vec<_> = versions.iter().rev().map(|version| version.join("bin")).collect();
    let initdb = find("initdb", &folders)?.canonicalize().ok()?;
    let folder = initdb.parent()?.to_owned();
    folder.join("postgres").is_file().then_some(folder)
}

/// The number of the user `postgres`, which the package makes, or of nobody.
fn unprivileged() -> u32 {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    };
    number("postgres").or_else(|| number("nobody")).expect("there is a user besides root")
}

impl Program for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn prepare(&self, folder: &Path) {
        if let Some(user) = self.user {
            chown(folder, Some(user), None).expect("root can give its folder away");
        }
        let mut initdb = self.run("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--no-locale", "--encoding=UTF8", "--username=postgres"]);
        let made = initdb.arg(folder.join("data")).output().expect("`initdb` starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = self.run("postgres");
        command.arg("-D").arg(folder.join("data")).arg("-p").arg(port.to_string());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
    }

    fn is_ready(&self, port: u16) -> bool {
        let mut asked = Command::new(self.programs.join("pg_isready"));
        asked.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    }

    fn url(&self, port: u16) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres")
    }

    fn make_place(&self, port: u16, number: u64) {
        let mut psql = self.run("psql");
        psql.args(["-q", "-c", &format!("CREATE SCHEMA place_{number}"), &self.url(port)]);
        let made = psql.output().expect("`psql` starts");
        assert!(made.status.success(), "psql: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn fresh_url(&self, port: u16, number: u64) -> String {
        format!("{}?schema=place_{number}", self.url(port))
    }

    fn signal_to_end(&self) -> Signal {
        Signal::QUIT
    }
}

//! The program `office` as a process, and transcripts of what it says.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tests::servers::{Persistence, Postgres, Redis, Server};
use tests::transcript::{said, squeezed};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

/// No command takes this long.
const DEADLINE: Duration = Duration::from_secs(60);

/// An office with a store of its own.
pub(crate) struct Office {
    pub(crate) url: String,
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

impl Office {
    /// With a queue that nobody else has, in a file.
    pub(crate) fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/jobs.db", folder.path().display());
        Self { url, folder, variables: Vec::new() }
    }

    pub(crate) async fn on_postgres() -> Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        let url = SERVER.get_or_init(Postgres::start).await.fresh_url();
        Self { url, ..Self::on_sqlite() }
    }

    pub(crate) async fn on_redis() -> Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        let url = SERVER.get_or_init(|| Redis::start(Persistence::Always)).await.fresh_url();
        Self { url, ..Self::on_sqlite() }
    }

    /// With its store made.
    pub(crate) async fn made(self) -> Self {
        let output = self.run("migrate").await;
        assert!(output.status.success(), "{output:?}");
        self
    }

    /// One whose store cannot be there.
    pub(crate) fn without_store(mut self) -> Self {
        self.url = format!("sqlite://{}/no/such/folder/jobs.db", self.folder.path().display());
        self
    }

    pub(crate) fn with_variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_office"));
        command.args(words(line)).current_dir(self.folder.path()).kill_on_drop(true);
        command.env("EXTENSIONS_QUEUE_URL", &self.url).env_remove("EXTENSIONS_ENV");
        command.envs(self.variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(&self, line: &str) -> Child {
        self.command(line).spawn().unwrap()
    }

    pub(crate) async fn run(&self, line: &str) -> Output {
        finish(self.start(line)).await
    }

    /// Runs a command and compares all it says with a transcript: `<id>`, `<time>` and `<age>` stand for what differs from run to run,
    /// `!` begins what is said beside the answer, and how many spaces there are does not matter.
    pub(crate) async fn says(&self, code: i32, line: &str, transcript: &str) {
        let output = self.run(line).await;
        let said = said(&output);
        assert_eq!(
            (output.status.code(), squeezed(&said)),
            (Some(code), squeezed(transcript)),
            "office {line}\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }

    /// The same of a command that is done.
    pub(crate) async fn done(&self, line: &str, transcript: &str) {
        self.says(0, line, transcript).await;
    }

    /// Fires an order.
    pub(crate) async fn order(&self, id: u64) {
        let fired = self.json(&format!("test OrderPlaced --with-data '{{\"id\":{id}}}'")).await;
        assert_eq!(fired["success"], true, "{fired}");
    }

    /// Runs all jobs that there are.
    pub(crate) async fn work(&self) -> Value {
        self.json("work --stop-when-empty").await
    }

    /// The one JSON document that a command answers with.
    pub(crate) async fn json(&self, line: &str) -> Value {
        let output = self.run(&format!("{line} --json")).await;
        assert!(output.status.success(), "{line}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{line}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The ids of the failed jobs.
    pub(crate) async fn failed(&self) -> Vec<String> {
        let failed = self.json("failed list").await;
        let jobs = failed["jobs"].as_array().unwrap().iter();
        jobs.map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) async fn finish(child: Child) -> Output {
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    output.expect("the command ends within a minute").unwrap()
}

/// The words of a command line; single quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

//! Examples as real processes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// No example takes this long.
const DEADLINE: Duration = Duration::from_secs(60);

/// The examples' programs by name, built as these tests were.
fn programs() -> &'static BTreeMap<String, PathBuf> {
    static PROGRAMS: OnceLock<Option<BTreeMap<String, PathBuf>>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| {
        // The whole workspace, as the test command does, so that features are the same and little is left to build.
        let mut build =
            std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        build.args([
            "build",
            "--workspace",
            "--examples",
            "--features",
            "examples/axum,examples/opentelemetry,examples/sea-orm",
            "--quiet",
            "--message-format=json-render-diagnostics",
        ]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let built = build.stderr(Stdio::inherit()).output().unwrap();
        let messages = String::from_utf8(built.stdout).ok().filter(|_| built.status.success())?;
        let artifacts = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let programs =
            artifacts.filter(|artifact| artifact["target"]["kind"][0] == "example").map(|artifact| {
                let name = artifact["target"]["name"].as_str().unwrap();
                (name.to_owned(), artifact["executable"].as_str().unwrap().into())
            });
        Some(programs.collect())
    });
    programs.as_ref().expect("the examples build")
}

/// A run of an example.
#[derive(Debug)]
pub(crate) struct Example {
    command: Command,
}

impl Example {
    pub(crate) fn new(name: &str) -> Self {
        let mut command = Command::new(&programs()[name]);
        command.env_remove("EXTENSIONS_QUEUE_URL").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command }
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// `webhooks` with a queue and an archive that other processes can share.
    pub(crate) fn webhooks(folder: &Path, role: &str) -> Self {
        Self::webhooks_on(&examples::sqlite_url(&folder.join("queue.db")), folder, role)
    }

    /// The same with any queue.
    pub(crate) fn webhooks_on(queue: &str, folder: &Path, role: &str) -> Self {
        Self::new("webhooks")
            .args(["--json", "--role", role, "--queue", queue, "--archive"])
            .args([folder.join("archive.db")])
    }

    pub(crate) fn start(mut self) -> Child {
        self.command.spawn().unwrap()
    }

    pub(crate) async fn run(self) -> Output {
        finish(self.start()).await
    }

    /// The one JSON object that a successful run prints.
    pub(crate) async fn report(self) -> Value {
        report(&self.run().await)
    }

    /// As [`run`](Self::run), with something on standard input.
    pub(crate) async fn run_with(mut self, input: &[u8]) -> Output {
        self.command.stdin(Stdio::piped());
        let mut child = self.start();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input).await.unwrap();
        drop(stdin);
        finish(child).await
    }
}

pub(crate) async fn finish(child: Child) -> Output {
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    output.expect("the example ends within a minute").unwrap()
}

/// The one JSON object that a successful run prints.
pub(crate) fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    let stdout = std::str::from_utf8(&output.stdout).unwrap();
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let report: Value = serde_json::from_str(stdout).unwrap();
    assert!(report.is_object(), "{stdout}");
    report
}

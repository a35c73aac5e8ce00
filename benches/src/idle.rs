//! Case `idle`: what a supervisor and its worker take of a machine on which nothing is to be done.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use extensions::BoxError;
use extensions::queue::{QueueBackend, connect};

use crate::report::Row;
use crate::rounds::Figures;
use crate::stores::Stores;

/// The share of a core, in percent, and the resident set, in MiB, that meet the goal.
const GOALS: (f64, f64) = (0.5, 12.0);
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The clock ticks of a second, in which Linux counts.
const TICKS: f64 = 100.0;

/// The program that rests, beside this one.
fn program() -> Result<PathBuf, BoxError> {
    Ok(std::env::current_exe()?.with_file_name("at-rest"))
}

/// Builds that program; where one will do that is there, only if there is none.
///
/// # Errors
///
/// If it does not build.
pub fn build(as_it_is: bool) -> Result<(), BoxError> {
    let program = program()?;
    if as_it_is && program.is_file() {
        return Ok(());
    }
    let target = program.ancestors().nth(2).ok_or("a target folder")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--package", "benches", "--bin", "at-rest"]);
    cargo.args((!cfg!(debug_assertions)).then_some("--release")).arg("--target-dir").arg(target);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    if cargo.status()?.success() { Ok(()) } else { Err("`at-rest` does not build".into()) }
}

/// The rows of one backend: what is taken in a time of rest, after the time in which what a start brings with it ends.
///
/// # Errors
///
/// If a process does not start, or the system does not say what it takes.
pub async fn idle(stores: &Stores, settles: Duration, rest: Duration) -> Result<Vec<Row>, BoxError> {
    let (url, folder) = (stores.fresh_url(), tempfile::tempdir()?);
    let supervisor = start(folder.path(), &url)?;
    let queue = connect(&url).await?;
    let worker = worker_of(&*queue).await?;
    drop(queue);
    tokio::time::sleep(settles).await;
    let processes = [("worker", worker), ("supervisor", supervisor.0.id())];
    let (started, before) = (Instant::now(), processes.map(|(_, process)| ticks(process)));
    tokio::time::sleep(rest).await;
    let mut rows = Vec::new();
    for ((name, process), before) in processes.into_iter().zip(before) {
        let share = (ticks(process)? - before?) / TICKS / started.elapsed().as_secs_f64() * 100.0;
        let row = |what: &str, figure, goal, unit| {
            Row::new(format!("idle, {name}, {what}"), &Figures::of(&[figure]), unit)
                .on(stores.setting())
                .below(goal)
        };
        rows.push(row("CPU", share, GOALS.0, "% of a core"));
        rows.push(row("memory", resident(process)?, GOALS.1, "MiB"));
    }
    Ok(rows)
}

/// A process that goes with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, url: &str) -> Result<Running, BoxError> {
    let program = program()?;
    let config = folder.join("extensions.toml");
    let command = toml_text(&[&program.display().to_string(), "work"]);
    std::fs::write(
        &config,
        format!(
            "[supervisor]\nlisten = \"127.0.0.1:0\"\ncommand = [{command}]\n[worker.default]\nqueues = [\"default\"]\n"
        ),
    )?;
    let mut command = Command::new(&program);
    command.arg("supervise").arg(&config).arg(url);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    child.map(Running).map_err(|error| format!("{}: {error}", program.display()).into())
}

fn toml_text(words: &[&str]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

/// The process of the one worker, once it beats.
async fn worker_of(queue: &dyn QueueBackend) -> Result<u32, BoxError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(worker) = queue.workers().await?.first() {
            return Ok(worker.pid);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("no worker came up".into())
}

/// The processor time that a process has had, in ticks.
fn ticks(process: u32) -> Result<f64, BoxError> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in parentheses, may hold spaces.
    let (_, fields) = stat.rsplit_once(')').ok_or("a line of fields")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |at: usize| fields.get(at).ok_or("a field").map(|field| field.parse::<f64>());
    Ok(field(11)?? + field(12)??)
}

/// The resident set of a process, in MiB.
fn resident(process: u32) -> Result<f64, BoxError> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("a resident set")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

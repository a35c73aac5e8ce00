//! A subject: one side of a case, in a process of its own that ends with its figures in a line of JSON.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use extensions::BoxError;
use serde::{Deserialize, Serialize};

/// What a subject measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Per second, or nanoseconds each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// How many that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The middle one of the latencies, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    /// What 99 of 100 latencies do not exceed, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// The largest resident set, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_mib: Option<f64>,
    /// How many jobs did not come in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}

impl Answer {
    /// So many of something since then.
    #[must_use]
    pub fn rate(count: u64, since: Instant) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let value = count as f64 / since.elapsed().as_secs_f64();
        Self { value: Some(value), count: Some(count), peak_mib: peak_mib(), ..Self::default() }
    }

    /// The percentiles of so many latencies.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub fn latencies(mut all: Vec<Duration>) -> Result<Self, BoxError> {
        all.sort_unstable();
        let at = |percent: usize| {
            let nth = (all.len() * percent).div_ceil(100).saturating_sub(1);
            all.get(nth).map(|latency| latency.as_secs_f64() * 1e3)
        };
        if all.is_empty() {
            return Err("nothing arrived".into());
        }
        Ok(Self { p50: at(50), p99: at(99), ..Self::default() })
    }
}

/// The largest resident set that this process had, where the system tells.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// How a subject is started.
#[derive(Debug, Clone)]
pub struct Subject {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Subject {
    /// A program and its arguments.
    #[must_use]
    pub fn new(program: &Path, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { program: program.to_owned(), arguments }
    }

    /// This program, in the part of a subject.
    ///
    /// # Errors
    ///
    /// If the system does not say where this program is.
    pub fn own(role: &str, arguments: &[&str]) -> Result<Self, BoxError> {
        let arguments: Vec<&str> = ["--subject", role].iter().chain(arguments).copied().collect();
        Ok(Self::new(&std::env::current_exe()?, &arguments))
    }

    /// The same with one more argument and its value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.arguments.extend([format!("--{name}"), value.to_string()]);
        self
    }

    fn start(&self) -> Result<std::process::Child, BoxError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| format!("{}: {error}", self.program.display()).into())
    }

    fn answer(&self, child: std::process::Child) -> Result<Answer, BoxError> {
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let last = said.lines().last().unwrap_or_default();
        if output.status.success()
            && let Ok(answer) = serde_json::from_str::<Answer>(last)
            && answer.lost.is_none_or(|lost| lost == 0)
        {
            return Ok(answer);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        Err(format!("{name} {}: {}: {last}{complaint}", self.arguments.join(" "), output.status).into())
    }

    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// If it does not start, fails, or says nothing.
    pub fn run(&self) -> Result<Answer, BoxError> {
        self.answer(self.start()?)
    }

    /// Runs two of it at once.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_twice_at_once(&self) -> Result<[Answer; 2], BoxError> {
        let (one, other) = (self.start()?, self.start()?);
        // Both come to their ends, whatever becomes of one.
        let (one, other) = (self.answer(one), self.answer(other));
        Ok([one?, other?])
    }
}

/// The arguments of a subject, as its process reads them.
#[derive(Debug, Default)]
pub struct Arguments {
    /// What it does.
    pub step: String,
    /// The store.
    pub url: String,
    /// How many.
    pub jobs: u64,
    /// Whether finished jobs are kept.
    pub keep: bool,
    /// Whether nothing is tuned.
    pub defaults: bool,
    /// Whether each commit reaches the disk.
    pub full: bool,
}

impl Arguments {
    /// Reads `STEP --url URL --jobs N …`.
    ///
    /// # Errors
    ///
    /// If an argument is unknown or has no value.
    pub fn read(arguments: &[String]) -> Result<Self, BoxError> {
        use lexopt::prelude::{Long, Value, ValueExt};
        let mut read = Self::default();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(step) => read.step = step.string()?,
                Long("url") => read.url = parser.value()?.string()?,
                Long("jobs") => read.jobs = parser.value()?.parse()?,
                Long("keep") => read.keep = parser.value()? == "yes",
                Long("defaults") => read.defaults = parser.value()? == "yes",
                Long("durability") => read.full = parser.value()? == "full",
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(read)
    }
}

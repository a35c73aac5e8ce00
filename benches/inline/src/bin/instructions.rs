//! Counts the instructions of one fire with `valgrind`, and holds them against the recorded ones: unlike times they are nearly the same on
//! every machine of one architecture.
//!
//! `cargo run --release -p inline-path --bin instructions [-- --record]`

use std::path::Path as File;
use std::process::{Command, ExitCode, Stdio};

use extensions::BoxError;
use inline_path::{Path, subject};

/// What is counted, by name.
const CASES: [(&str, Path, u64); 10] = [
    ("inline 0", Path::Sync, 0),
    ("inline 1", Path::Sync, 1),
    ("inline 4", Path::Sync, 4),
    ("inline 16", Path::Sync, 16),
    ("inline 1 await", Path::Await, 1),
    ("inline 4 await", Path::Await, 4),
    ("inline 16 await", Path::Await, 16),
    ("awaited 1", Path::Awaited, 1),
    ("awaited 4", Path::Awaited, 4),
    ("awaited 16", Path::Awaited, 16),
];

/// How often a case runs: what starting takes is the same in both, and goes with the difference.
const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

/// By how much a count may differ from the recorded one, in percent: compilers and allocators differ a little.
const BOUND: f64 = 10.0;

#[allow(clippy::print_stdout)]
fn main() -> Result<ExitCode, BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", case, runs] => {
            run(case, runs.parse()?)?;
            Ok(ExitCode::SUCCESS)
        }
        ["--record"] => {
            let lines = CASES.iter().map(|(case, ..)| Ok(format!("{case}: {:.1}\n", count(case)?)));
            std::fs::write(recorded(), lines.collect::<Result<String, BoxError>>()?)?;
            Ok(ExitCode::SUCCESS)
        }
        [] => compare(),
        _ => Err("nothing, or `--record`".into()),
    }
}

fn recorded() -> std::path::PathBuf {
    File::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt")
}

fn run(case: &str, runs: u64) -> Result<(), BoxError> {
    let (_, path, k) = CASES.into_iter().find(|(name, ..)| *name == case).ok_or("a case")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(subject(path, k))?(runs);
    Ok(())
}

/// The instructions of one fire.
fn count(case: &str) -> Result<f64, BoxError> {
    let (few, many) = (collected(case, FEW)?, collected(case, MANY)?);
    #[allow(clippy::cast_precision_loss)]
    Ok((many - few) as f64 / (MANY - FEW) as f64)
}

fn collected(case: &str, runs: u64) -> Result<u64, BoxError> {
    let out = tempfile::NamedTempFile::new()?;
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.path().display()));
    valgrind.arg(std::env::current_exe()?).args(["run", case, &runs.to_string()]).stdin(Stdio::null());
    let hint = "valgrind counts the instructions; as root: apt-get install valgrind";
    let output = valgrind.output().map_err(|error| format!("{error}: {hint}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    match line {
        Some((_, count)) if output.status.success() => Ok(count.trim().parse()?),
        _ => Err(format!("{case}: {}: {said}", output.status).into()),
    }
}

#[allow(clippy::print_stdout)]
fn compare() -> Result<ExitCode, BoxError> {
    let file = std::fs::read_to_string(recorded())?;
    let mut all_within = true;
    for (case, ..) in CASES {
        let line = file.lines().find_map(|line| line.strip_prefix(case)?.strip_prefix(": "));
        let before: f64 =
            line.ok_or_else(|| format!("`{case}` is not recorded; run with `--record`"))?.parse()?;
        let now = count(case)?;
        let change = (now / before - 1.0) * 100.0;
        let within = change.abs() <= BOUND;
        all_within &= within;
        let verdict = if within { "ok" } else { "OUT OF BOUNDS" };
        println!("{case:<16} {now:>8.1} instructions, recorded {before:>8.1}, {change:>+6.1} %: {verdict}");
    }
    if !all_within {
        println!(
            "more than {BOUND} % from what `benches/inline/instructions.txt` has; if that is meant, run with `--record`"
        );
    }
    Ok(if all_within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! Measures the framework beside the thinnest code that does the same and beside its peers, and holds the ratios against the goals.
//!
//! `cargo run --release -p benches --bin compare -- [--only CASE,…] [--backend NAME,…] [--rounds N] [--quick] [--no-peers] [--json]`

use std::time::{Duration, Instant};

use benches::queue::{Bench, CASES, Size};
use benches::report::{Machine, Report, Row};
use benches::stores::{BACKENDS, SETTINGS, Setting, Stores};
use benches::subject::{Answer, Arguments};
use benches::{compile, depth, idle, inline, limits, ours, peers};
use extensions::BoxError;

const HELP: &str = "\
compare: measures the framework beside the thinnest code that does the same, and beside its peers

  --only CASE,…     inline, awaited, fire 1, fire 64, fan-out, bulk, drain, latency, depth, idle, compile (default: all)
  --backend NAME,…  inline, sqlite, postgres, redis (default: all); `compile` belongs to inline
  --rounds N        interleaved rounds, at least 5 (default: 11 for inline and depth, else 5)
  --quick           within two minutes: one round (inline: five) with a fiftieth of the work, each backend at its default durability; no compile
  --no-peers        leaves the peers out; else they are built first, which takes minutes the first time (with --quick: as they are)
  --json            one JSON object instead of a table
";

struct Options {
    only: Vec<String>,
    backends: Vec<String>,
    rounds: Option<usize>,
    quick: bool,
    peers: bool,
    json: bool,
}

impl Options {
    fn wants(&self, case: &str, backend: &str) -> bool {
        let within =
            |chosen: &[String], name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
        within(&self.only, case) && within(&self.backends, backend)
    }
}

/// The cases without a queue, and those that look at a store of many jobs or of none.
const OTHERS: [&str; 5] = ["inline", "awaited", "depth", "idle", "compile"];

fn options() -> Result<Option<Options>, BoxError> {
    use lexopt::prelude::{Long, Short, ValueExt};
    let mut options =
        Options { only: vec![], backends: vec![], rounds: None, quick: false, peers: true, json: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("only") => {
                let known: Vec<_> = CASES.into_iter().chain(OTHERS).collect();
                options.only = list(&parser.value()?.string()?, &known)?;
            }
            Long("backend") => {
                let known: Vec<_> = ["inline"].into_iter().chain(BACKENDS).collect();
                options.backends = list(&parser.value()?.string()?, &known)?;
            }
            Long("rounds") => options.rounds = Some(parser.value()?.parse::<usize>()?.max(5)),
            Long("quick") => options.quick = true,
            Long("no-peers") => options.peers = false,
            Long("json") => options.json = true,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

fn list(text: &str, known: &[&str]) -> Result<Vec<String>, BoxError> {
    let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("`{name}` is not known here; write one of {}", known.join(", ")).into()),
        None => Ok(names),
    }
}

/// What was measured, and what could not be.
#[derive(Default)]
struct Measured {
    rows: Vec<Row>,
    failed: Vec<String>,
}

impl Measured {
    /// Says on standard error that the case is through, as all of them take an hour; one that fails does not end the others.
    async fn add(
        &mut self,
        case: &str,
        setting: Option<Setting>,
        rows: impl Future<Output = Result<Vec<Row>, BoxError>>,
    ) {
        let on = setting.map_or_else(String::new, |on| format!(", {}, {}", on.backend, on.durability));
        let start = Instant::now();
        match rows.await {
            Ok(rows) => {
                eprintln!("{case}{on}: {:.0} s", start.elapsed().as_secs_f64());
                self.rows.extend(rows);
            }
            Err(error) => {
                eprintln!("{case}{on} failed: {error}");
                self.failed.push(format!("{case}{on}"));
            }
        }
    }
}

async fn measure(options: &Options) -> Measured {
    let mut measured = Measured::default();
    let (runs, inline_rounds) =
        if options.quick { (100_000, 5) } else { (4_000_000, options.rounds.unwrap_or(11)) };
    if options.wants("inline", "inline") {
        measured.add("inline", None, inline::inline(inline_rounds, runs, options.peers)).await;
    }
    if options.wants("awaited", "inline") {
        measured.add("awaited", None, inline::awaited(inline_rounds, runs)).await;
    }
    for setting in SETTINGS {
        if setting.strict && options.quick {
            continue;
        }
        let wants = |case: &str| options.wants(case, setting.backend);
        let cases: Vec<_> = CASES.into_iter().filter(|case| wants(case)).collect();
        let (idle, depth) = (wants("idle") && !setting.strict, wants("depth") && !setting.strict);
        if cases.is_empty() && !idle && !depth {
            continue;
        }
        // A server that does not start panics.
        let started = tokio::spawn(Stores::start(setting)).await;
        let stores = match started.unwrap_or_else(|panic| Err(panic.into())) {
            Ok(stores) => stores,
            Err(error) => {
                eprintln!("{}, {} failed: {error}", setting.backend, setting.durability);
                measured.failed.push(format!("{}, {}", setting.backend, setting.durability));
                continue;
            }
        };
        let rounds = if options.quick { 1 } else { options.rounds.unwrap_or(5) };
        let size = Size { rounds, share: if options.quick { 50 } else { 1 } };
        let bench = Bench::new(&stores, size, options.peers);
        for case in cases {
            measured.add(case, Some(setting), bench.case(case)).await;
        }
        if idle {
            let (settles, rest) = if options.quick { (1, 2) } else { (5, 30) };
            let [settles, rest] = [settles, rest].map(Duration::from_secs);
            measured.add("idle", Some(setting), idle::idle(&stores, settles, rest)).await;
        }
        if depth {
            let rounds = options.rounds.unwrap_or(11);
            let (most, rounds, share) = if options.quick { (20_000, 1, 50) } else { (1_000_000, rounds, 1) };
            measured.add("depth", Some(setting), depth::depth(&stores, rounds, most, share)).await;
        }
    }
    if options.wants("compile", "inline") && !options.quick {
        let rounds = options.rounds.unwrap_or(5);
        measured.add("compile", None, async { compile::compile(rounds) }).await;
    }
    measured
}

/// The part of this process where it was started by another of its kind.
async fn subject(role: &str, rest: &[String]) -> Result<Answer, BoxError> {
    match role {
        "ours" => ours::subject(&Arguments::read(rest)?).await,
        "limit" => limits::subject(&Arguments::read(rest)?).await,
        role => Err(format!("`{role}` is no subject").into()),
    }
}

#[allow(clippy::print_stdout)]
fn main() -> Result<(), BoxError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, role, rest @ ..] = &arguments[..]
        && flag == "--subject"
    {
        // In a task, as the code of a program is: one in `block_on` would have to be woken on a thread of its own for every answer.
        let (role, rest) = (role.clone(), rest.to_vec());
        let subject = runtime.spawn(async move { subject(&role, &rest).await });
        println!("{}", serde_json::to_string(&runtime.block_on(subject)??)?);
        return Ok(());
    }
    let Some(options) = options()? else {
        print!("{HELP}");
        return Ok(());
    };
    if options.peers && !options.quick {
        peers::build()?;
    }
    idle::build(options.quick)?;
    let is_json = options.json;
    let measured = runtime.spawn(async move { measure(&options).await });
    let Measured { rows, failed } = runtime.block_on(measured)?;
    let report = Report { machine: Machine::this(), results: rows };
    if is_json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not measured: {}", failed.join("; ")).into()) }
}

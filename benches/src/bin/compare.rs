//! Measures the framework beside the thinnest code that does the same, and holds the ratios against the goals.
//!
//! `cargo run --release -p benches --bin compare -- [--only CASE,…] [--backend NAME,…] [--rounds N] [--quick] [--json]`

use std::time::Duration;

use benches::report::{Machine, Report, Row};
use benches::stores::{BACKENDS, Stores};
use benches::{depth, idle, inline};
use extensions::BoxError;

const HELP: &str = "\
compare: measures the framework beside the thinnest code that does the same

  --only CASE,…     inline, awaited, depth, idle (default: all)
  --backend NAME,…  inline, sqlite, postgres, redis (default: all)
  --rounds N        interleaved rounds, at least 5 (default 11)
  --quick           fewer runs in each round; depth with a tenth of the jobs, idle for 5 s
  --json            one JSON object instead of a table
";

struct Options {
    only: Vec<String>,
    backends: Vec<String>,
    rounds: Option<usize>,
    quick: bool,
    json: bool,
}

impl Options {
    fn wants(&self, case: &str, backend: &str) -> bool {
        let within =
            |chosen: &[String], name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
        within(&self.only, case) && within(&self.backends, backend)
    }
}

fn options() -> Result<Option<Options>, BoxError> {
    use lexopt::prelude::{Long, Short, ValueExt};
    let mut options = Options { only: vec![], backends: vec![], rounds: None, quick: false, json: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("only") => {
                options.only = list(&parser.value()?.string()?, &["inline", "awaited", "depth", "idle"])?
            }
            Long("backend") => {
                let known: Vec<_> = ["inline"].into_iter().chain(BACKENDS).collect();
                options.backends = list(&parser.value()?.string()?, &known)?;
            }
            Long("rounds") => options.rounds = Some(parser.value()?.parse::<usize>()?.max(5)),
            Long("quick") => options.quick = true,
            Long("json") => options.json = true,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

fn list(text: &str, known: &[&str]) -> Result<Vec<String>, BoxError> {
    let names: Vec<_> = text.split(',').map(str::to_owned).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("`{name}` is not known here; write one of {}", known.join(", ")).into()),
        None => Ok(names),
    }
}

async fn measure(options: &Options) -> Result<Vec<Row>, BoxError> {
    let (runs, most, rest) = if options.quick { (400_000, 100_000, 5) } else { (4_000_000, 1_000_000, 30) };
    let rest = Duration::from_secs(rest);
    let mut rows = Vec::new();
    if options.wants("inline", "inline") {
        rows.extend(inline::inline(options.rounds.unwrap_or(11), runs).await?);
    }
    if options.wants("awaited", "inline") {
        rows.extend(inline::awaited_ready(options.rounds.unwrap_or(11), runs).await?);
    }
    for backend in BACKENDS {
        let (depth, idle) = (options.wants("depth", backend), options.wants("idle", backend));
        if !depth && !idle {
            continue;
        }
        let stores = Stores::start(backend).await?;
        if idle {
            rows.extend(idle::idle(&stores, rest).await?);
        }
        if depth {
            rows.extend(depth::depth(&stores, options.rounds.unwrap_or(11), most).await?);
        }
    }
    Ok(rows)
}

#[allow(clippy::print_stdout)]
fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [subject, role, rest @ ..] = &arguments[..]
        && subject == "--subject"
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(idle::subject(role, rest));
    }
    let Some(options) = options()? else {
        print!("{HELP}");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let results = runtime.block_on(measure(&options))?;
    let report = Report { machine: Machine::this(), results };
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(())
}

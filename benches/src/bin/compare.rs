//! Measures the framework beside the thinnest code that does the same, and holds the ratios against the goals.
//!
//! `cargo run --release -p benches --bin compare -- [--only CASE,…] [--backend inline] [--rounds N] [--quick] [--json]`

use benches::inline;
use benches::report::{Machine, Report, Row};
use extensions::BoxError;

const HELP: &str = "\
compare: measures the framework beside the thinnest code that does the same

  --only CASE,…     inline, awaited (default: all)
  --backend NAME,…  inline (default: all)
  --rounds N        interleaved rounds, at least 5 (default 11)
  --quick           fewer runs in each round
  --json            one JSON object instead of a table
";

struct Options {
    only: Vec<String>,
    backends: Vec<String>,
    rounds: usize,
    runs: u64,
    json: bool,
}

fn options() -> Result<Option<Options>, BoxError> {
    use lexopt::prelude::{Long, Short, ValueExt};
    let mut options = Options { only: vec![], backends: vec![], rounds: 11, runs: 4_000_000, json: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("only") => options.only = list(&parser.value()?.string()?, &["inline", "awaited"])?,
            Long("backend") => options.backends = list(&parser.value()?.string()?, &["inline"])?,
            Long("rounds") => options.rounds = parser.value()?.parse::<usize>()?.max(5),
            Long("quick") => options.runs = 400_000,
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
    let wants = |case: &str| options.only.is_empty() || options.only.iter().any(|only| only == case);
    let mut rows = Vec::new();
    if wants("inline") {
        rows.extend(inline::inline(options.rounds, options.runs).await?);
    }
    if wants("awaited") {
        rows.extend(inline::awaited_ready(options.rounds, options.runs).await?);
    }
    Ok(rows)
}

#[allow(clippy::print_stdout)]
fn main() -> Result<(), BoxError> {
    let Some(options) = options()? else {
        print!("{HELP}");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let results = runtime.block_on(measure(&options))?;
    let report = Report { machine: Machine::this(), results };
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(())
}

//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use extensions::BoxError;
use lexopt::prelude::*;

const USAGE: &str = "\
webhooks [OPTIONS] PATH|-

  PATH             deliveries, one JSON object a line; - for standard input
  --role ROLE      all (fire and work), produce (fire), work (work until nothing is left)
  --queue URL      the queue, such as sqlite://jobs.db ($EXTENSIONS_QUEUE_URL, or a temporary one)
  --archive FILE   the SQLite file that the handlers write (a temporary one)
  --wait SECONDS   with --role work: how long to wait for a first job (0)
  --concurrency N  with --role work: how many jobs to run at once (64)
  --fail-rate F    the share of first attempts to let fail, from 0 to 1 (0)
  --handler-ms N   how long each async handler takes, in milliseconds (0)
  --seed N         which first attempts fail (0)
  --json           print one JSON object";

pub(crate) struct Args {
    pub(crate) role: Role,
    pub(crate) queue: Option<String>,
    pub(crate) archive: Option<PathBuf>,
    pub(crate) wait: Option<Duration>,
    pub(crate) concurrency: usize,
    pub(crate) fail_rate: f64,
    pub(crate) handler_time: Duration,
    pub(crate) seed: u64,
    pub(crate) json: bool,
}

/// What this process does.
pub(crate) enum Role {
    All(Input),
    Produce(Input),
    Work,
}

pub(crate) enum Input {
    Stdin,
    File(PathBuf),
}

impl Args {
    /// `None` where only help was asked for.
    pub(crate) fn parse() -> Result<Option<Self>, BoxError> {
        let mut role = "all".to_owned();
        let mut input = None;
        let mut args = Self {
            role: Role::Work,
            queue: std::env::var("EXTENSIONS_QUEUE_URL").ok().filter(|url| !url.is_empty()),
            archive: None,
            wait: None,
            concurrency: 64,
            fail_rate: 0.0,
            handler_time: Duration::ZERO,
            seed: 0,
            json: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("role") => role = parser.value()?.parse()?,
                Long("queue") => args.queue = Some(parser.value()?.parse()?),
                Long("archive") => args.archive = Some(parser.value()?.into()),
                Long("wait") => args.wait = Some(parser.value()?.parse_with(seconds)?),
                Long("concurrency") => args.concurrency = parser.value()?.parse()?,
                Long("fail-rate") => args.fail_rate = parser.value()?.parse_with(share)?,
                Long("handler-ms") => args.handler_time = Duration::from_millis(parser.value()?.parse()?),
                Long("seed") => args.seed = parser.value()?.parse()?,
                Long("json") => args.json = true,
                Long("help") | Short('h') => return examples::help(USAGE),
                Value(path) if input.is_none() => {
                    input = Some(if path == "-" { Input::Stdin } else { Input::File(path.into()) });
                }
                _ => return Err(arg.unexpected().into()),
            }
        }
        args.role = match (role.as_str(), input) {
            ("all", Some(input)) => Role::All(input),
            ("produce", Some(input)) => Role::Produce(input),
            ("work", _) => Role::Work,
            ("all" | "produce", None) => return Err(wrong("PATH is missing; - reads standard input")),
            _ => return Err(wrong("--role is all, produce or work")),
        };
        if args.queue.is_none() && !matches!(args.role, Role::All(_)) {
            return Err(wrong("--queue is missing: processes share a queue that they both name"));
        }
        Ok(Some(args))
    }
}

fn seconds(text: &str) -> Result<Duration, BoxError> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}

fn share(text: &str) -> Result<f64, BoxError> {
    Some(text.parse()?).filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "not from 0 to 1".into())
}

fn wrong(message: &str) -> BoxError {
    lexopt::Error::from(message).into()
}

//! The command line.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use examples::value;
use extensions::BoxError;
use lexopt::prelude::*;

const USAGE: &str = "\
webhooks [OPTIONS] PATH|-

  PATH             deliveries, one JSON object a line; - for standard input
  --role ROLE      all (fire and work), produce (fire), work (work until nothing is left)
  --queue URL      the queue: sqlite://jobs.db; with the features of that name also postgres://user@host/db and
                   redis://host ($EXTENSIONS_QUEUE_URL, or a temporary file)
  --archive FILE   the SQLite file that the handlers write (a temporary one, gone when the process ends)
  --wait SECONDS   with --role work: how long to wait for a first job (0)
  --concurrency N  with --role work: how many jobs to run at once (64)
  --lease SECONDS  with --role work: after how much silence others take up what this worker held (30)
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
    pub(crate) lease: Duration,
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
        let mut only_for_work = None;
        let mut args = Self {
            role: Role::Work,
            queue: std::env::var("EXTENSIONS_QUEUE_URL").ok().filter(|url| !url.is_empty()),
            archive: None,
            wait: None,
            concurrency: 64,
            lease: Duration::from_secs(30),
            fail_rate: 0.0,
            handler_time: Duration::ZERO,
            seed: 0,
            json: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("role") => role = parser.value()?.string()?,
                Long("queue") => args.queue = Some(parser.value()?.string()?),
                Long("archive") => args.archive = Some(parser.value()?.into()),
                Long("wait") => {
                    args.wait = Some(value(&mut parser, "--wait", seconds)?);
                    only_for_work = Some("--wait");
                }
                Long("concurrency") => {
                    args.concurrency = value(&mut parser, "--concurrency", str::parse::<NonZeroUsize>)?.get();
                    only_for_work = Some("--concurrency");
                }
                Long("lease") => {
                    args.lease = value(&mut parser, "--lease", seconds)?;
                    only_for_work = Some("--lease");
                }
                Long("fail-rate") => args.fail_rate = value(&mut parser, "--fail-rate", share)?,
                Long("handler-ms") => {
                    args.handler_time =
                        Duration::from_millis(value(&mut parser, "--handler-ms", str::parse)?);
                }
                Long("seed") => args.seed = value(&mut parser, "--seed", str::parse)?,
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
            ("work", None) => Role::Work,
            ("work", Some(input)) => {
                eprintln!("note: --role work reads no deliveries; {input} is not looked at");
                Role::Work
            }
            ("all" | "produce", None) => return Err(wrong("PATH is missing; - reads standard input")),
            _ => return Err(wrong(&format!("--role {role}: it is all, produce or work"))),
        };
        if let (Some(option), Role::All(_) | Role::Produce(_)) = (only_for_work, &args.role) {
            eprintln!("note: {option} is for --role work");
        }
        match (&args.role, args.queue.as_deref()) {
            (Role::Produce(_) | Role::Work, None) => {
                return Err(wrong("--queue is missing: processes share a queue that they both name"));
            }
            (Role::Produce(_) | Role::Work, Some(url)) if url.starts_with("memory:") => {
                return Err(wrong("--queue memory: is seen by one process only; --role all can use it"));
            }
            _ => {}
        }
        if matches!(args.role, Role::Work) && args.archive.is_none() {
            eprintln!("warning: without --archive, what is archived here is gone when this process ends");
        }
        Ok(Some(args))
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
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

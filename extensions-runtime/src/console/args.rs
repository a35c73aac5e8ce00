//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::job::{JobId, JobState, QueueName};
use crate::operator::{HandlerFilter, Selection, parse_duration, parse_size};

/// See and steer points, handlers, jobs, queues and workers.
#[derive(Debug, Parser)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// See and steer the jobs, queues and workers of a store. What needs the code of handlers is in the application's own console.
#[derive(Debug, Parser)]
#[command(after_help = EXIT_CODES, version)]
pub(super) struct StoreCli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: OfStore,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 what was named is not there, 4 the store is missing or cannot be reached, \
5 done for some jobs only, 6 not confirmed.";

#[derive(Debug, Args)]
pub(super) struct Global {
    /// Answer with one JSON document, for programs
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// The queue, such as sqlite://jobs.db [default: the application's, else EXTENSIONS_QUEUE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(super) queue_url: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    Code(OfCode),
    #[command(flatten)]
    Store(OfStore),
}

/// What needs the code of handlers.
#[derive(Debug, Subcommand)]
pub(super) enum OfCode {
    /// List points and their handlers
    List(ListArgs),
    /// Show a point and its handlers with every option
    Inspect {
        /// The point's name, its type, or the path of its type
        point: String,
    },
    /// Show what a fire of a point would do, and run nothing
    Plan(DataArgs),
    /// Fire a point, as the application would
    Test {
        #[command(flatten)]
        data: DataArgs,
        /// Only show what the fire would do, as `plan` does
        #[arg(long)]
        dry_run: bool,
    },
    /// Run queued jobs, until SIGTERM or Ctrl-C
    Work(WorkArgs),
    /// Keep the pools of the configuration alive, [worker.NAME]: start, replace, roll (SIGHUP), scale and end processes that work
    #[cfg(unix)]
    Supervise,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only this point: its name or type; `*` and `?` stand for others
    #[arg(long)]
    point: Option<String>,
    /// Only handlers of this name
    #[arg(long)]
    handler: Option<String>,
    /// Only handlers with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only handlers of this group
    #[arg(long)]
    group: Option<String>,
    /// Only points without handlers
    #[arg(long, conflicts_with_all = ["handler", "tag", "group"])]
    pub(super) unused: bool,
}

impl ListArgs {
    pub(super) fn filter(&self) -> HandlerFilter {
        HandlerFilter {
            point: self.point.clone(),
            handler: self.handler.clone(),
            tag: self.tag.clone(),
            group: self.group.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct DataArgs {
    /// The point's name, its type, or the path of its type
    pub(super) point: String,
    /// The point's fields as JSON, or `-` for standard input
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub(super) with_data: String,
}

#[derive(Debug, Args)]
pub(super) struct WorkArgs {
    /// The queues, the most urgent first (payments,default), or with weights (payments=6,default=1) [default: those of all handlers]
    #[arg(long, value_delimiter = ',', value_name = "QUEUES")]
    pub(super) queue: Vec<QueueArg>,
    /// How many jobs run at once [default: 64]
    #[arg(long, value_name = "SLOTS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) concurrency: Option<u32>,
    /// The most jobs to claim ahead of free slots [default: 500]
    #[arg(long, value_name = "JOBS")]
    pub(super) prefetch: Option<usize>,
    /// How long a claim holds without a heartbeat [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) lease: Option<Duration>,
    /// How long running jobs may go on at shut-down [default: 25s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) grace: Option<Duration>,
    /// The most jobs of single queues at once (payments=2)
    #[arg(long, value_delimiter = ',', value_name = "QUEUES")]
    pub(super) queue_concurrency: Vec<QueueArg>,
    /// As this pool of the configuration, [worker.NAME]; other options win
    // Any key of a table is a name, `-x` too, and the supervisor hands it on as it is.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(super) pool: Option<String>,
    /// Serve /live, /ready and /metrics over HTTP at this address (127.0.0.1:9464)
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(super) listen: Option<SocketAddr>,
    /// End after this many jobs
    #[arg(long, value_name = "JOBS")]
    pub(super) max_jobs: Option<u64>,
    /// End after this long
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) max_time: Option<Duration>,
    /// End when the process has more memory than this (512MiB)
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    pub(super) max_memory: Option<u64>,
    /// Run one job, or none where there is none, and end
    #[arg(long, conflicts_with_all = ["concurrency", "prefetch", "max_jobs", "stop_when_empty", "stop_when_drained"])]
    pub(super) once: bool,
    /// End when nothing is available; for workers that cron starts
    #[arg(long, conflicts_with = "stop_when_drained")]
    pub(super) stop_when_empty: bool,
    /// End when nothing is left at all: nothing available, scheduled, retryable or running
    #[arg(long)]
    pub(super) stop_when_drained: bool,
}

/// A queue of a worker, perhaps with its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueArg {
    pub(super) name: String,
    pub(super) weight: Option<u32>,
}

impl std::str::FromStr for QueueArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, weight) = match text.split_once('=') {
            None => (text, None),
            Some((name, weight)) => {
                let number = weight.parse().ok().filter(|weight| *weight > 0);
                let number =
                    number.ok_or_else(|| format!("`{weight}` is no number above 0; write `{name}=2`"))?;
                (name, Some(number))
            }
        };
        Ok(Self { name: queue_name(name)?, weight })
    }
}

fn queue_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 200 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a queue's name has 1 to 200 bytes and no spaces".to_owned());
    }
    Ok(text.to_owned())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address with its port, such as 127.0.0.1:9464".to_owned())
}

/// How long stores keep what was done (Q43).
const HISTORY: Duration = Duration::from_secs(48 * 3600);

fn period(text: &str) -> Result<Duration, String> {
    let period = parse_duration(text)?;
    if period > HISTORY {
        Err("what was done is kept for 48h; ask for that or less".to_owned())
    } else {
        Ok(period)
    }
}

fn job_id(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|_| {
        "an id has 32 digits, such as 01a201b5-86f5-71f6-b21a-42f2f634834f; `jobs list` shows them".to_owned()
    })
}

fn queue(text: &str) -> Result<QueueName, String> {
    queue_name(text).map(Into::into)
}

/// What needs a store only.
#[derive(Debug, Subcommand)]
pub(super) enum OfStore {
    /// Show the figures of all queues, and what was done in a period
    Stats {
        /// What was done in this time, of at most 48h, by queue and handler
        #[arg(long, value_name = "TIME", value_parser = period)]
        period: Option<Duration>,
    },
    /// See and treat jobs that are dead or quarantined
    #[command(subcommand)]
    Failed(Failed),
    /// See and treat jobs in any state
    #[command(subcommand)]
    Jobs(Jobs),
    /// See, pause, resume, clear and watch queues
    #[command(subcommand)]
    Queue(Queue),
    /// List the live workers
    Workers,
    /// Create the store, or bring it to this release's schema
    Migrate {
        /// Print the steps instead
        #[arg(long)]
        print: bool,
    },
    /// Look for what is wrong with the store, its queues and its workers
    Doctor,
    /// See what is configured
    #[command(subcommand)]
    Config(Configured),
    /// Print a script that completes command lines, for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Configured {
    /// Show every value with its origin, passwords masked
    Show,
}

#[derive(Debug, Subcommand)]
pub(super) enum Failed {
    /// List them
    List(FindArgs),
    /// Show one with its payload and errors
    Show {
        /// The job's id
        #[arg(value_parser = job_id)]
        id: JobId,
    },
    /// Make them available again, from attempt 1
    Retry(WhichArgs),
    /// Delete their records
    Forget {
        #[command(flatten)]
        which: WhichArgs,
        #[command(flatten)]
        sure: Sure,
    },
    /// Delete the records of all of them
    Flush {
        #[command(flatten)]
        sure: Sure,
    },
    /// Delete the records of those that failed long ago
    Prune {
        /// How long ago at least
        #[arg(long, value_name = "AGE", default_value = "14d", value_parser = parse_duration)]
        older_than: Duration,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Jobs {
    /// List jobs
    List(FindArgs),
    /// Show one with its payload and errors
    Show {
        /// The job's id
        #[arg(value_parser = job_id)]
        id: JobId,
    },
    /// Say why a job does not run
    Explain {
        /// The job's id
        #[arg(value_parser = job_id)]
        id: JobId,
    },
    /// Cancel jobs: those that wait at once, running ones through their workers
    Cancel {
        #[command(flatten)]
        which: WhichArgs,
        /// Why; it is kept with the jobs
        #[arg(long, value_name = "TEXT", default_value = "cancelled by an operator")]
        reason: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Make jobs available at once: dead, quarantined and cancelled ones from attempt 1, waiting ones before their time
    Retry(WhichArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum Queue {
    /// Show the figures of all queues
    List,
    /// Stop all claims from queues, for every worker, until they are resumed
    Pause(QueueNames),
    /// End the pause of queues
    Resume(QueueNames),
    /// Delete all jobs of a queue that wait
    Clear {
        /// The queue
        #[arg(value_parser = queue)]
        name: QueueName,
        #[command(flatten)]
        sure: Sure,
    },
    /// Watch the queues until Ctrl-C
    Monitor {
        /// Only these queues
        #[arg(value_parser = queue)]
        names: Vec<QueueName>,
        /// How often to look
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
        interval: Duration,
        /// End after so many looks
        #[arg(long, value_name = "LOOKS")]
        count: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(super) struct QueueNames {
    /// The queues
    #[arg(required = true, value_parser = queue)]
    pub(super) names: Vec<QueueName>,
}

#[derive(Debug, Args)]
pub(super) struct Sure {
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
}

/// What jobs have in common.
#[derive(Debug, Args)]
pub(super) struct Conditions {
    /// Of this handler: its name, or `point/handler`
    #[arg(long)]
    handler: Option<String>,
    /// In this queue
    #[arg(long, value_parser = queue)]
    queue: Option<QueueName>,
    /// With this text in the last error or the reason of the cancellation
    // Every error has the empty text in it, which is what comes of a variable that is not set.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    error: Option<String>,
    /// In their state for at least this long
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// In any of these states
    #[arg(long, value_delimiter = ',', value_name = "STATES")]
    state: Vec<JobState>,
}

impl Conditions {
    /// The jobs that fulfil them in any of `states`.
    ///
    /// # Errors
    ///
    /// Where a state is asked for that is none of them.
    fn selection(&self, states: &[JobState]) -> Result<Selection, String> {
        if let Some(other) = self.state.iter().find(|state| !states.contains(state)) {
            let names: Vec<_> = states.iter().map(|state| state.as_str()).collect();
            return Err(format!("`--state {other}` cannot be here; write one of {}", names.join(", ")));
        }
        let states = if self.state.is_empty() { states } else { &self.state };
        Ok(Selection {
            handler: self.handler.clone(),
            queue: self.queue.clone(),
            error: self.error.clone(),
            older_than: self.older_than,
            ..Selection::in_states(states)
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct FindArgs {
    #[command(flatten)]
    conditions: Conditions,
    /// At most this many
    #[arg(long, value_name = "JOBS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: u32,
    /// The oldest first, not the newest
    #[arg(long)]
    oldest: bool,
}

impl FindArgs {
    pub(super) fn selection(&self, states: &[JobState]) -> Result<Selection, String> {
        Ok(Selection { newest: !self.oldest, ..self.conditions.selection(states)? })
    }
}

#[derive(Debug, Args)]
pub(super) struct WhichArgs {
    /// Ids of jobs
    #[arg(value_parser = job_id, conflicts_with_all = ["handler", "queue", "error", "older_than", "state", "all"])]
    ids: Vec<JobId>,
    #[command(flatten)]
    conditions: Conditions,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Only count them
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl WhichArgs {
    /// # Errors
    ///
    /// Where it is not said which jobs are meant.
    pub(super) fn selection(&self, states: &[JobState]) -> Result<Selection, String> {
        let selection = Selection { ids: self.ids.clone(), ..self.conditions.selection(states)? };
        if !self.all && !selection.is_narrow() && self.conditions.state.is_empty() {
            return Err("say which jobs: ids, or `--handler`, `--queue`, `--error`, `--older-than`, `--state`, or `--all`".to_owned());
        }
        Ok(selection)
    }
}

//! `work`.

use super::super::args::{QueueArg, WorkArgs};
use super::super::outcome::{Done, Failure, Outcome};
use super::Session;
use super::watch::watch;
use crate::config::{Config, Pool};
use crate::worker::{Control, StopReason, WorkerBuilder, WorkerReport};

pub(super) async fn work(args: WorkArgs, session: Session<'_>) -> Done {
    let Session { app, url, screen, .. } = session;
    let order = Order::of(&args.queue)?;
    #[cfg(unix)]
    let attached = crate::supervisor::attach().map_err(|error| Failure::usage(error.to_string()))?;
    let extensions = app.instance(url.as_deref(), |builder| builder).await?;
    if extensions.settings().sync.is_some() {
        return Err(Failure::usage(
            "the queue is `sync:`, which runs jobs in place: there is nothing to work on",
        ));
    }
    let mut worker = extensions.worker();
    if let Some(name) = &args.pool {
        worker = worker.pool(pool(extensions.config(), name)?);
    }
    let worker = configured(order.apply(worker), &args, limits(&args.queue_concurrency)?);
    #[cfg(unix)]
    if let Some(attached) = &attached {
        if args.listen.is_some() {
            return Err(Failure::usage(
                "a worker under a supervisor is shown by that (`supervisor.listen`); leave out `--listen`",
            ));
        }
        // What it did is the supervisor's to tell.
        attached.tie(worker).run().await?;
        return Ok(Outcome::Done);
    }
    let control = Control::new();
    let _served = match args.listen {
        Some(address) => Some(watch(address, &control, extensions.queue(), screen).await?),
        None => None,
    };
    let report = worker.control(&control).run().await?;
    if screen.is_json() {
        screen.json(&report)?;
    } else {
        screen.line(summary(&report))?;
    }
    Ok(Outcome::Done)
}

enum Order {
    OfHandlers,
    Strict(Vec<String>),
    Weights(Vec<(String, u32)>),
}

impl Order {
    fn of(queues: &[QueueArg]) -> Result<Self, Failure> {
        let weights: Vec<_> =
            queues.iter().filter_map(|queue| Some((queue.name.clone(), queue.weight?))).collect();
        match (queues.len(), weights.len()) {
            (0, _) => Ok(Self::OfHandlers),
            (_, 0) => Ok(Self::Strict(queues.iter().map(|queue| queue.name.clone()).collect())),
            (all, with) if all == with => Ok(Self::Weights(weights)),
            _ => Err(Failure::usage(
                "`--queue` has weights for some queues only; write `a,b` for a strict order, or `a=6,b=1` for weights",
            )),
        }
    }

    fn apply(self, worker: WorkerBuilder) -> WorkerBuilder {
        match self {
            Self::OfHandlers => worker,
            Self::Strict(queues) => worker.queues(queues),
            Self::Weights(weights) => worker.weights(weights),
        }
    }
}

fn pool<'a>(config: &'a Config, name: &str) -> Result<&'a Pool, Failure> {
    config.pools().get(name).ok_or_else(|| {
        let names: Vec<_> = config.pools().keys().map(|name| format!("`{name}`")).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Failure::not_found(format!(
            "there is no pool `{name}` in the configuration ([worker.{name}]); there is {there}"
        ))
    })
}

fn set<T>(
    worker: WorkerBuilder,
    value: Option<T>,
    how: impl FnOnce(WorkerBuilder, T) -> WorkerBuilder,
) -> WorkerBuilder {
    match value {
        Some(value) => how(worker, value),
        None => worker,
    }
}

fn limits(queues: &[QueueArg]) -> Result<Vec<(String, usize)>, Failure> {
    let limit = |queue: &QueueArg| {
        let jobs = queue.weight.and_then(|jobs| usize::try_from(jobs).ok());
        let missing = || {
            Failure::usage(format!(
                "`--queue-concurrency` has no number for `{0}`; write `{0}=2`",
                queue.name
            ))
        };
        Ok((queue.name.clone(), jobs.ok_or_else(missing)?))
    };
    queues.iter().map(limit).collect()
}

fn configured(worker: WorkerBuilder, args: &WorkArgs, limits: Vec<(String, usize)>) -> WorkerBuilder {
    let slots = args.concurrency.map(|slots| usize::try_from(slots).unwrap_or(usize::MAX));
    let worker = set(worker.queue_concurrency(limits), slots, WorkerBuilder::concurrency);
    let worker = set(worker, args.prefetch, WorkerBuilder::prefetch);
    let worker = set(worker, args.lease, WorkerBuilder::lease);
    let worker = set(worker, args.grace, WorkerBuilder::grace);
    let worker = set(worker, args.max_jobs, WorkerBuilder::max_jobs);
    let worker = set(worker, args.max_time, WorkerBuilder::max_time);
    let worker = set(worker, args.max_memory, WorkerBuilder::max_memory);
    let worker = set(worker, args.once.then_some(()), |worker, ()| worker.once());
    let worker = set(worker, args.stop_when_empty.then_some(()), |worker, ()| worker.stop_when_empty());
    set(worker, args.stop_when_drained.then_some(()), |worker, ()| worker.stop_when_drained())
}

fn summary(report: &WorkerReport) -> String {
    let counts = [
        (report.completed, "completed"),
        (report.retried, "to be tried again"),
        (report.dead, "dead"),
        (report.cancelled, "cancelled"),
        (report.snoozed, "put off"),
        (report.released, "given back"),
        (report.lost, "lost"),
    ];
    let counts: Vec<_> = counts
        .into_iter()
        .filter(|(count, what)| *count > 0 || *what == "completed")
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let why = match report.stopped {
        StopReason::Asked => "asked to",
        StopReason::Empty => "nothing left to do",
        StopReason::MaxJobs => "--max-jobs reached",
        StopReason::MaxTime => "--max-time reached",
        StopReason::MaxMemory => "--max-memory reached",
    };
    format!("ended ({why}): {}", counts.join(", "))
}

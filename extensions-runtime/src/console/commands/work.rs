//! `work`.

use super::super::args::{QueueArg, WorkArgs};
use super::super::outcome::{Done, Failure, Outcome};
use super::Session;
use crate::worker::{StopReason, WorkerBuilder, WorkerReport};

pub(super) async fn work(args: WorkArgs, session: Session<'_>) -> Done {
    let Session { app, url, screen, .. } = session;
    let order = Order::of(&args.queue)?;
    let extensions = app.instance(url.as_deref(), |builder| builder).await?;
    let worker = configured(order.apply(extensions.worker()), &args);
    let report = worker.run().await?;
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

fn configured(mut worker: WorkerBuilder, args: &WorkArgs) -> WorkerBuilder {
    if let Some(slots) = args.concurrency {
        worker = worker.concurrency(usize::try_from(slots).unwrap_or(usize::MAX));
    }
    if let Some(jobs) = args.prefetch {
        worker = worker.prefetch(jobs);
    }
    if let Some(lease) = args.lease {
        worker = worker.lease(lease);
    }
    if let Some(grace) = args.grace {
        worker = worker.grace(grace);
    }
    if let Some(jobs) = args.max_jobs {
        worker = worker.max_jobs(jobs);
    }
    if let Some(time) = args.max_time {
        worker = worker.max_time(time);
    }
    if args.stop_when_empty {
        worker = worker.stop_when_empty();
    }
    if args.stop_when_drained {
        worker = worker.stop_when_drained();
    }
    worker
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
    };
    format!("ended ({why}): {}", counts.join(", "))
}

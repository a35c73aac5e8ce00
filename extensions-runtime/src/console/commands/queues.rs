//! `stats`, `queue`, `workers`.

use std::time::Duration;

use serde_json::json;

use super::super::args::Queue;
use super::super::outcome::{Done, Failure, Outcome};
use super::super::screen::{Column, Line, Screen, Style, Table};
use super::report;
use crate::job::{JobState, QueueName};
use crate::operator::{Period, QueueView, WAITING, WorkerView, clear, period, short};
use crate::queue::QueueBackend;
use crate::time::{Clock, SystemClock};

pub(super) async fn run(command: Queue, queue: &dyn QueueBackend, screen: &Screen) -> Done {
    match command {
        Queue::List => stats(None, queue, screen).await,
        Queue::Pause(names) => pause(names.names, queue, screen).await,
        Queue::Resume(names) => resume(names.names, queue, screen).await,
        Queue::Clear { name, sure } => {
            screen.confirm(
                &format!("This deletes every waiting job of the queue `{name}`. Go on?"),
                sure.yes,
            )?;
            let (cancelled, forgotten) = clear(queue, &name, queue.now().await?).await;
            report::cleared(cancelled, forgotten, screen)
        }
        Queue::Monitor { names, interval, count } => monitor(&names, interval, count, queue, screen).await,
    }
}

async fn views(queue: &dyn QueueBackend) -> Result<Vec<QueueView>, Failure> {
    let mut views: Vec<QueueView> = queue.stats().await?.into_iter().map(Into::into).collect();
    views.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(views)
}

pub(super) async fn stats(since: Option<Duration>, queue: &dyn QueueBackend, screen: &Screen) -> Done {
    let views = views(queue).await?;
    let history = match since {
        Some(since) => Some(period(queue, since).await?),
        None => None,
    };
    if screen.is_json() {
        let mut document = json!({ "store": queue.describe(), "queues": views });
        if let Some((history, since)) = history.zip(since) {
            document["period"] = json!({ "seconds": since.as_secs_f64(), "handlers": history });
        }
        screen.json(&document)?;
        return Ok(Outcome::Done);
    }
    if views.is_empty() {
        screen.line(format!("{}: nothing is queued here", queue.describe()))?;
    } else {
        screen.table(table(&views))?;
    }
    for view in views.iter().filter(|view| view.unserved) {
        screen.line(Line::styled(Style::Bad, unserved(view)))?;
    }
    if let Some((history, since)) = history.zip(since) {
        screen.line("")?;
        screen.line(Line::styled(Style::Bold, format!("The last {}", short(since))))?;
        screen.table(table_of_period(&history))?;
    }
    Ok(Outcome::Done)
}

fn table_of_period(history: &[Period]) -> Table {
    let mut table = Table::new([
        Column::long("QUEUE"),
        Column::long("HANDLER"),
        Column::number("STARTED"),
        Column::number("COMPLETED"),
        Column::number("FAILED"),
        Column::number("RETRIED"),
        Column::number("DEAD"),
        Column::number("CANCELLED"),
        Column::number("MEAN RUN"),
        Column::number("LONGEST"),
        Column::number("MEAN WAIT"),
    ]);
    let span = |seconds: f64| short(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    for of_handler in history {
        let counts = [
            of_handler.started,
            of_handler.completed,
            of_handler.failed,
            of_handler.retried,
            of_handler.dead,
            of_handler.cancelled,
        ];
        let times = [of_handler.mean_run_time, Some(of_handler.longest), of_handler.mean_wait];
        let names = [of_handler.queue.to_string(), of_handler.handler.to_string()];
        let times = times.map(|time| time.map_or_else(|| "-".to_owned(), span));
        table.row(names.into_iter().chain(counts.map(|count| count.to_string())).chain(times));
    }
    table
}

fn unserved(view: &QueueView) -> String {
    format!("no live worker serves `{}`, where jobs wait", view.queue)
}

fn table(views: &[QueueView]) -> Table {
    let mut table = Table::new([
        Column::long("QUEUE"),
        Column::number("WAITING"),
        Column::number("LATER"),
        Column::number("RUNNING"),
        Column::number("UNROUTABLE"),
        Column::number("DEAD"),
        Column::number("COMPLETED"),
        Column::number("CANCELLED"),
        Column::number("OLDEST"),
        Column::number("WORKERS"),
        Column::text(""),
    ]);
    for view in views {
        let count = |states: &[JobState], style| {
            let count = view.count(states);
            Line::styled(if count == 0 { Style::Dim } else { style }, count.to_string())
        };
        table.row([
            Line::styled(Style::Bold, view.queue.as_str()),
            count(&[JobState::Available], Style::Plain),
            count(&[JobState::Scheduled, JobState::Retryable], Style::Plain),
            count(&[JobState::Running], Style::Good),
            count(&[JobState::Unroutable], Style::Warning),
            count(&[JobState::Dead, JobState::Quarantined], Style::Bad),
            count(&[JobState::Completed], Style::Plain),
            count(&[JobState::Cancelled], Style::Plain),
            view.oldest_wait.map_or_else(|| Line::styled(Style::Dim, "-"), |wait| short(wait).into()),
            if view.unserved {
                Line::styled(Style::Bad, view.workers.to_string())
            } else {
                view.workers.to_string().into()
            },
            if view.paused { Line::styled(Style::Warning, "paused") } else { "".into() },
        ]);
    }
    table
}

/// Those of the names that no job and no worker ever had; a typing error, perhaps.
async fn unknown(names: &[QueueName], queue: &dyn QueueBackend) -> Result<Vec<QueueName>, Failure> {
    let known = views(queue).await?;
    let is_known = |name: &QueueName| known.iter().any(|view| view.queue == *name);
    Ok(names.iter().filter(|name| !is_known(name)).cloned().collect())
}

async fn pause(names: Vec<QueueName>, queue: &dyn QueueBackend, screen: &Screen) -> Done {
    let unknown = unknown(&names, queue).await?;
    for name in &names {
        queue.pause(name.clone()).await?;
    }
    if screen.is_json() {
        screen.json(&json!({ "paused": names, "unknown": unknown }))?;
        return Ok(Outcome::Done);
    }
    for name in &names {
        screen.line(format!(
            "paused `{name}`: running jobs go on, no new one starts until `queue resume {name}`"
        ))?;
    }
    note_unknown(&unknown, screen);
    Ok(Outcome::Done)
}

async fn resume(names: Vec<QueueName>, queue: &dyn QueueBackend, screen: &Screen) -> Done {
    let unknown = unknown(&names, queue).await?;
    for name in &names {
        queue.resume(name.clone()).await?;
    }
    if screen.is_json() {
        screen.json(&json!({ "resumed": names, "unknown": unknown }))?;
        return Ok(Outcome::Done);
    }
    for name in &names {
        screen.line(format!("resumed `{name}`"))?;
    }
    note_unknown(&unknown, screen);
    Ok(Outcome::Done)
}

fn note_unknown(unknown: &[QueueName], screen: &Screen) {
    for name in unknown {
        screen.note(&format!("note: no job and no worker has used a queue `{name}` so far"));
    }
}

async fn monitor(
    names: &[QueueName],
    interval: Duration,
    count: Option<u64>,
    queue: &dyn QueueBackend,
    screen: &Screen,
) -> Done {
    let interval = interval.max(Duration::from_millis(50));
    note_unknown(&unknown(names, queue).await?, screen);
    let mut looks = 0;
    let end = tokio::signal::ctrl_c();
    tokio::pin!(end);
    while count.is_none_or(|count| looks < count) {
        if looks > 0 {
            tokio::select! {
                _ = &mut end => break,
                () = tokio::time::sleep(interval) => {}
            }
        }
        tokio::select! {
            biased;
            _ = &mut end => break,
            looked = look(names, looks, queue, screen) => looked?,
        }
        looks += 1;
    }
    Ok(Outcome::Done)
}

/// One look. A store that cannot be reached for a while does not end a monitor that has seen it.
async fn look(
    names: &[QueueName],
    looks: u64,
    queue: &dyn QueueBackend,
    screen: &Screen,
) -> Result<(), Failure> {
    let at = SystemClock.now();
    let views: Vec<_> = match views(queue).await {
        Ok(views) => {
            views.into_iter().filter(|view| names.is_empty() || names.contains(&view.queue)).collect()
        }
        Err(failure) if looks > 0 && failure.outcome == Outcome::NoStore => {
            screen.note(&format!("{at}  {}", failure.message.unwrap_or_default()));
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    if screen.is_json() {
        return screen.json(&json!({ "at": at.to_string(), "queues": views }));
    }
    if screen.is_live() {
        let head =
            Line::styled(Style::Bold, queue.describe()).and(Style::Dim, format!("  {at}  Ctrl-C ends"));
        return screen.redraw(&head, table(&views));
    }
    views.iter().try_for_each(|view| screen.line(appended(&at.to_string(), view)))
}

fn appended(at: &str, view: &QueueView) -> String {
    let waiting = view.count(&[JobState::Available]);
    let later = view.count(WAITING) - waiting;
    let mut line = format!(
        "{at}  {}  waiting {waiting}  later {later}  running {}  dead {}  workers {}",
        view.queue,
        view.count(&[JobState::Running]),
        view.count(&[JobState::Dead, JobState::Quarantined]),
        view.workers
    );
    if let Some(wait) = view.oldest_wait {
        line.push_str(&format!("  oldest {}", short(wait)));
    }
    if view.paused {
        line.push_str("  paused");
    }
    if view.unserved {
        line.push_str("  unserved");
    }
    line
}

pub(super) async fn workers(queue: &dyn QueueBackend, screen: &Screen) -> Done {
    let mut views: Vec<WorkerView> = queue.workers().await?.into_iter().map(Into::into).collect();
    // The oldest first, which process numbers do not say: they begin anew.
    views.sort_by(|a, b| (&a.host, a.started, a.id).cmp(&(&b.host, b.started, b.id)));
    if screen.is_json() {
        screen.json(&json!({ "workers": views }))?;
        return Ok(Outcome::Done);
    }
    if views.is_empty() {
        screen.line("no worker is alive")?;
        return Ok(Outcome::Done);
    }
    let now = queue.now().await?;
    let mut table = Table::new([
        Column::text("ID"),
        Column::long("HOST"),
        Column::number("PID"),
        Column::text("VERSION"),
        Column::number("BUSY"),
        Column::number("SLOTS"),
        Column::number("UP"),
        Column::number("LAST BEAT"),
        Column::long("QUEUES"),
    ]);
    for view in &views {
        let queues: Vec<_> = view.queues.iter().map(QueueName::as_str).collect();
        table.row([
            view.id.to_string(),
            view.host.clone(),
            view.pid.to_string(),
            view.version.clone(),
            view.busy.to_string(),
            view.slots.to_string(),
            short(now.since(view.started)),
            format!("{} ago", short(now.since(view.beat))),
            queues.join(","),
        ]);
    }
    screen.table(table)?;
    Ok(Outcome::Done)
}

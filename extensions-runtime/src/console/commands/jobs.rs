//! `jobs`, and what `failed` has in common with it.

use serde_json::json;

use super::super::args::Jobs;
use super::super::outcome::{Done, Failure, Outcome};
use super::super::screen::{Column, Line, Screen, Style, Table};
use super::report;
use crate::job::{JobId, JobState};
use crate::operator::{Act, Bulk, JobLine, JobView, Pages, PayloadView, Selection, WAITING, short};
use crate::queue::{QueueBackend, QueueErrorKind, Reason, explain};
use crate::time::Timestamp;

/// The states of jobs that can be made available by hand.
const RETRYABLE: &[JobState] =
    &[JobState::Dead, JobState::Quarantined, JobState::Cancelled, JobState::Scheduled, JobState::Retryable];

pub(super) async fn run(command: Jobs, queue: &dyn QueueBackend, screen: &Screen) -> Done {
    match command {
        Jobs::List(args) => {
            let selection = args.selection(&JobState::ALL).map_err(Failure::usage)?;
            list(&selection, args.limit, queue, screen).await
        }
        Jobs::Show { id } => show(id, &JobState::ALL, queue, screen).await,
        Jobs::Explain { id } => why(id, queue, screen).await,
        Jobs::Retry(which) => {
            let selection = which.selection(RETRYABLE).map_err(Failure::usage)?;
            treat(&selection, Act::Retry, which.dry_run, queue, screen).await
        }
        Jobs::Cancel { which, reason, sure } => {
            let unfinished = [WAITING, &[JobState::Running]].concat();
            let selection = which.selection(&unfinished).map_err(Failure::usage)?;
            // Who names a job means it; a filter may take in more than one thinks.
            if selection.ids.is_empty() && !which.dry_run {
                screen.confirm("This cancels every job that matches. Go on?", sure.yes)?;
            }
            treat(&selection, Act::Cancel(reason), which.dry_run, queue, screen).await
        }
    }
}

async fn treat(
    selection: &Selection,
    act: Act,
    dry_run: bool,
    queue: &dyn QueueBackend,
    screen: &Screen,
) -> Done {
    let act = if dry_run { Act::Look } else { act };
    let bulk = Bulk::run(queue, selection, &act, queue.now().await?).await;
    report::bulk(bulk, &act, screen)
}

pub(super) async fn list(
    selection: &Selection,
    limit: u32,
    queue: &dyn QueueBackend,
    screen: &Screen,
) -> Done {
    let (now, limit) = (queue.now().await?, usize::try_from(limit).unwrap_or(usize::MAX));
    // One more than is shown says whether there are more.
    let mut found = Pages::new(queue, selection, now).first(limit.saturating_add(1)).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let lines: Vec<JobLine> = found.into_iter().map(Into::into).collect();
    if screen.is_json() {
        screen.json(&json!({ "jobs": lines, "more": more }))?;
        return Ok(Outcome::Done);
    }
    if lines.is_empty() {
        screen.line("no job matches")?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new([
        Column::text("ID"),
        Column::text("STATE"),
        Column::number("SINCE"),
        Column::long("QUEUE"),
        Column::long("HANDLER"),
        Column::number("ATTEMPT"),
        Column::long("ERROR"),
    ]);
    for line in &lines {
        table.row([
            line.id.to_string().into(),
            Line::styled(style(line.state), line.state.as_str()),
            format!("{} ago", short(now.since(line.entered))).into(),
            line.queue.as_str().into(),
            line.handler.as_str().into(),
            format!("{} of {}", line.attempt, line.max_attempts).into(),
            Line::from(line.error.as_deref().and_then(|error| error.lines().next()).unwrap_or_default()),
        ]);
    }
    screen.table(table)?;
    if more {
        screen.note(&format!("the first {limit}; there are more (`--limit`)"));
    }
    Ok(Outcome::Done)
}

const fn style(state: JobState) -> Style {
    match state {
        JobState::Running | JobState::Completed => Style::Good,
        JobState::Dead | JobState::Quarantined => Style::Bad,
        JobState::Retryable | JobState::Unroutable => Style::Warning,
        JobState::Cancelled => Style::Dim,
        JobState::Scheduled | JobState::Available => Style::Plain,
    }
}

pub(super) async fn show(id: JobId, states: &[JobState], queue: &dyn QueueBackend, screen: &Screen) -> Done {
    let found = queue.get(vec![id]).await?.pop().flatten();
    let job = found.ok_or_else(|| Failure::not_found(format!("there is no job {id}")))?;
    if !states.contains(&job.state) {
        let state = job.state;
        return Err(Failure::not_found(format!(
            "job {id} has not failed: it is {state}; `jobs show` shows it"
        )));
    }
    let view = JobView::from(job);
    if screen.is_json() {
        screen.json(&view)?;
    } else {
        people(&view, queue.now().await?, screen)?;
    }
    Ok(Outcome::Done)
}

async fn why(id: JobId, queue: &dyn QueueBackend, screen: &Screen) -> Done {
    let explanation = explain(queue, id).await.map_err(|error| match error.kind() {
        QueueErrorKind::NotFound => Failure::not_found(error.context()),
        _ => error.into(),
    })?;
    let text = explanation.to_string();
    if screen.is_json() {
        let reasons: Vec<_> = explanation.reasons.iter().map(plain_reason).collect();
        screen.json(&json!({ "job": JobLine::from(explanation.job), "reasons": reasons, "text": text }))?;
    } else {
        screen.block(0, &text)?;
    }
    Ok(Outcome::Done)
}

/// A reason with its times as in every other answer: time stamps as dates, durations as seconds.
fn plain_reason(reason: &Reason) -> serde_json::Value {
    let mut value = json!(reason);
    match reason {
        Reason::Ended { at, .. } => value["at"] = json!(at.map(|at| at.to_string())),
        Reason::Running { lasts, .. } => value["lasts"] = json!(lasts.as_secs_f64()),
        Reason::NotDue { due_in } => value["due_in"] = json!(due_in.as_secs_f64()),
        _ => {}
    }
    value
}

fn people(job: &JobView, now: Timestamp, screen: &Screen) -> Result<(), Failure> {
    let since = Line::styled(style(job.state), job.state.as_str())
        .and(Style::Plain, format!(" for {}", short(now.since(job.since))));
    let mut fields: Vec<(&'static str, Line)> = vec![
        ("id", job.id.to_string().into()),
        ("state", since),
        ("handler", job.handler.as_str().into()),
        ("queue", format!("{}, priority {}", job.queue, job.priority).into()),
        ("attempt", format!("{} of {}", job.attempt, job.max_attempts).into()),
        ("queued", job.enqueued_at.as_str().into()),
    ];
    if WAITING.contains(&job.state) {
        let wait = job.due.since(now);
        let due = if wait.is_zero() { String::new() } else { format!(", in {}", short(wait)) };
        fields.push(("runs", format!("{}{due}", job.run_at).into()));
    }
    let optional = [
        ("lost", (job.lost_count > 0).then(|| format!("{} times with its worker", job.lost_count))),
        ("reason", job.reason.clone()),
        ("worker", job.worker.map(|worker| worker.to_string())),
        (
            "progress",
            job.progress
                .as_ref()
                .map(|progress| format!("{:.0} % {}", progress.fraction * 100.0, progress.note)),
        ),
        ("unique key", job.unique.as_ref().map(ToString::to_string)),
        ("owes", job.owes_on_failure.then(|| "its on_failure is still to be called".to_owned())),
        ("tags", (!job.meta.tags.is_empty()).then(|| job.meta.tags.join(", "))),
        ("tenant", job.meta.tenant.clone()),
        ("user", job.meta.user.clone()),
        ("request", job.meta.request.clone()),
        ("parent job", job.meta.parent.map(|parent| parent.to_string())),
        ("trace", job.meta.traceparent.clone()),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?.into()))));
    fields.extend(job.entered.iter().map(|(state, at)| (state.as_str(), format!("since {at}").into())));
    screen.fields(fields)?;
    for error in &job.errors {
        let took =
            error.took.map(|took| format!(" after {}", short(std::time::Duration::from_secs_f64(took))));
        let head =
            format!("attempt {} {}{}, {}", error.attempt, error.kind, took.unwrap_or_default(), error.at);
        screen.line(Line::styled(Style::Bad, head))?;
        screen.block(2, &error.message)?;
    }
    payload(&format!("payload (version {})", job.point_version), &job.payload, screen)?;
    job.result.as_ref().map_or(Ok(()), |result| payload("result", result, screen))
}

fn payload(name: &str, payload: &PayloadView, screen: &Screen) -> Result<(), Failure> {
    screen.line(Line::styled(Style::Bold, name).and(Style::Dim, format!(", {} bytes", payload.bytes)))?;
    let pretty = payload.json.as_ref().and_then(|json| serde_json::to_string_pretty(json).ok());
    screen.block(2, pretty.as_deref().or(payload.text.as_deref()).unwrap_or_default())
}

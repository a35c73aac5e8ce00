//! What became of an action on many jobs, for people and programs.

use serde_json::json;

use super::super::outcome::{Done, Failure, Outcome};
use super::super::screen::{Line, Screen, Style};
use crate::operator::{Act, Bulk};

/// In the past tense: what was done to jobs.
const fn done(act: &Act) -> &'static str {
    match act {
        Act::Look => "matched",
        Act::Retry => "made available",
        Act::Cancel(_) => "cancelled",
        Act::Forget => "deleted",
    }
}

pub(super) fn bulk(bulk: Bulk, act: &Act, screen: &Screen) -> Done {
    if screen.is_json() {
        screen.json(&bulk)?;
    } else {
        people(&bulk, act, screen)?;
    }
    end(bulk)
}

/// How the action ended as a whole.
fn end(bulk: Bulk) -> Done {
    let treated = bulk.done + bulk.requested;
    if let Some(error) = bulk.stopped {
        let failure = Failure::from(error);
        let outcome = if treated > 0 { Outcome::Partly } else { failure.outcome };
        return Err(Failure { outcome, ..failure });
    }
    Ok(match (treated, &bulk.trouble[..]) {
        (_, []) => Outcome::Done,
        (0, trouble) if trouble.iter().all(|trouble| trouble.missing) => Outcome::NotFound,
        (0, _) => Outcome::Failed,
        _ => Outcome::Partly,
    })
}

fn people(bulk: &Bulk, act: &Act, screen: &Screen) -> Result<(), Failure> {
    if bulk.matched == 0 && bulk.stopped.is_none() {
        return screen.line("no job matches");
    }
    screen.line(format!("{} {}", jobs(bulk.done), done(act)))?;
    if bulk.requested > 0 {
        screen.line(format!("{} running: their workers were asked", jobs(bulk.requested)))?;
    }
    for (handler, count) in &bulk.handlers {
        screen.line(Line::styled(Style::Dim, format!("  {count:>6}  {handler}")))?;
    }
    for trouble in &bulk.trouble {
        let ids: Vec<_> = trouble.first.iter().map(ToString::to_string).collect();
        let more = if trouble.count > ids.len() as u64 { ", …" } else { "" };
        let left = format!("{} left as they are: {}", jobs(trouble.count), trouble.what);
        screen.line(
            Line::styled(Style::Warning, left).and(Style::Dim, format!(" ({}{more})", ids.join(", "))),
        )?;
    }
    Ok(())
}

fn jobs(count: u64) -> String {
    format!("{count} {}", if count == 1 { "job" } else { "jobs" })
}

/// A queue that was cleared: its jobs were cancelled, and then deleted.
pub(super) fn cleared(cancelled: Bulk, forgotten: Bulk, screen: &Screen) -> Done {
    if screen.is_json() {
        let trouble: Vec<_> = cancelled.trouble.iter().chain(&forgotten.trouble).collect();
        screen.json(&json!({ "matched": cancelled.matched, "done": forgotten.done, "trouble": trouble }))?;
    } else if cancelled.matched == 0 {
        screen.line("no job waits there")?;
    } else {
        screen.line(format!("{} deleted", jobs(forgotten.done)))?;
        for part in [&cancelled, &forgotten] {
            for trouble in &part.trouble {
                screen.line(format!("{} left as they are: {}", jobs(trouble.count), trouble.what))?;
            }
        }
    }
    end(cancelled)?;
    end(forgotten)
}

/// What was deleted by age.
pub(super) fn pruned(count: u64, screen: &Screen) -> Done {
    if screen.is_json() {
        screen.json(&json!({ "deleted": count }))?;
    } else {
        screen.line(format!("{} deleted", jobs(count)))?;
    }
    Ok(Outcome::Done)
}

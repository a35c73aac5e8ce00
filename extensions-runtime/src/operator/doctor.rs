//! What is wrong with a store and the work in it.

use std::collections::BTreeMap;

use super::queues::QueueView;
use super::selection::{Pages, Selection};
use crate::job::JobState;
use crate::queue::{Finding, QueueBackend, QueueError};

/// How many unroutable jobs are looked at for their handlers.
const LOOKED_AT: usize = 10_000;

/// What the store says of itself, and what its queues show; the worst first.
///
/// # Errors
///
/// Those of the queue.
pub(crate) async fn examine(queue: &dyn QueueBackend) -> Result<Vec<Finding>, QueueError> {
    let mut findings = queue.check().await?;
    let views: Vec<QueueView> = queue.stats().await?.into_iter().map(Into::into).collect();
    findings.extend(views.iter().flat_map(of_queue));
    if views.iter().any(|view| view.count(&[JobState::Unroutable]) > 0) {
        findings.extend(unroutable(queue).await?);
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(findings)
}

fn of_queue(view: &QueueView) -> Vec<Finding> {
    let (name, waiting) = (&view.queue, view.count(&[JobState::Available, JobState::Unroutable]));
    let failed = view.count(&[JobState::Dead, JobState::Quarantined]);
    let mut findings = Vec::new();
    if view.unserved {
        let what = format!("jobs wait in the queue `{name}`, which no live worker serves: {waiting}");
        findings.push(Finding::problem(what, format!("start a worker that does: `work --queue {name}`")));
    }
    if view.paused {
        let what = format!("the queue `{name}` is paused; jobs that wait in it: {waiting}");
        findings.push(Finding::note(what, format!("`queue resume {name}` ends the pause")));
    }
    if failed > 0 {
        let what = format!("jobs of the queue `{name}` are dead or quarantined: {failed}");
        findings.push(Finding::note(what, format!("`failed list --queue {name}` shows them and why")));
    }
    findings
}

/// Jobs that no live worker knows, by handler.
async fn unroutable(queue: &dyn QueueBackend) -> Result<Vec<Finding>, QueueError> {
    let selection = Selection::in_states(&[JobState::Unroutable]);
    let now = queue.now().await?;
    let mut handlers: BTreeMap<String, u64> = BTreeMap::new();
    for job in Pages::new(queue, &selection, now).first(LOOKED_AT).await? {
        *handlers.entry(job.handler.to_string()).or_default() += 1;
    }
    let finding = |(handler, count)| {
        let what =
            format!("jobs wait whose handler {handler}, or its version, no live worker knows: {count}");
        Finding::problem(what, "start a worker of a release that has it, or cancel the jobs")
    };
    Ok(handlers.into_iter().map(finding).collect())
}

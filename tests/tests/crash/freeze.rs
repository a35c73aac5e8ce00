//! R6: a worker that stands still for longer than its lease.

use std::collections::BTreeSet;
use std::time::Duration;

use extensions::job::JobId;
use tests::crash::{Arena, Event, FirePlan, Ledger, Mix, Outcome, Role, RunId, Subject, Terms, WorkPlan};

use crate::Found;

const LEASE: Duration = Duration::from_secs(2);
const SLOTS: usize = 6;
/// How often a worker is frozen at most, until a handler was seen that ended before it was told that its lease is gone.
const ROUNDS: u64 = 6;

/// The runs that a worker has started and not ended.
fn open_runs(ledger: &Ledger) -> Vec<(RunId, JobId)> {
    let ended = ledger.entries.iter().filter_map(|entry| match &entry.event {
        Event::Ended { run, .. } => Some(run),
        _ => None,
    });
    let ended: BTreeSet<_> = ended.collect();
    let open = ledger.entries.iter().filter_map(|entry| match &entry.event {
        Event::Started { run, job, .. } if !ended.contains(run) => Some((run.clone(), *job)),
        _ => None,
    });
    open.collect()
}

async fn hold(arena: &mut Arena, first: u64, jobs: u64, millis: u64) {
    let mix = Mix { held: 1, ..Mix::default() };
    let mut firer =
        arena.start(Role::Fire(FirePlan { mix, handler_ms: millis, ..FirePlan::of(jobs, first) })).await;
    assert!(firer.ended(Duration::from_secs(20)).await.unwrap().success(), "{}", firer.log());
}

fn outcomes(ledger: &Ledger, runs: &[(RunId, JobId)]) -> Vec<Outcome> {
    let of = |wanted: &RunId| {
        ledger.entries.iter().find_map(|entry| match &entry.event {
            Event::Ended { run, outcome } if run == wanted => Some(*outcome),
            _ => None,
        })
    };
    runs.iter().filter_map(|(run, _)| of(run)).collect()
}

/// Freezes a busy worker until the other has all its jobs; what became of the runs that stood still.
async fn freeze(arena: &mut Arena, victim: &Subject, other: &Subject) -> Vec<Outcome> {
    arena.until("the worker is full", 30, |arena| open_runs(arena.ledger(victim)).len() >= SLOTS).await;
    let from = victim.freeze().await.unwrap();
    arena.until("the ledger is read", 5, |_| true).await;
    let frozen = open_runs(arena.ledger(victim));
    assert!(!frozen.is_empty(), "nothing ran when the worker was frozen");
    arena
        .until("the other has what the frozen one had", 30, |arena| {
            let started = |job: &JobId| {
                arena
                    .ledger(other)
                    .count(|event| matches!(event, Event::Started { job: its, .. } if its == job))
            };
            frozen.iter().all(|(_, job)| started(job) > 0)
        })
        .await;
    victim.thaw().unwrap();
    arena.fault(victim, "frozen", from).await;
    arena
        .until("the thawed handlers have ended", 30, |arena| {
            outcomes(arena.ledger(victim), &frozen).len() == frozen.len()
        })
        .await;
    outcomes(arena.ledger(victim), &frozen)
}

pub(crate) async fn a_frozen_worker_notices_that_its_leases_are_gone(mut arena: Arena) -> Found {
    let plan = WorkPlan { concurrency: SLOTS, lease: LEASE, ..WorkPlan::default() };
    let mut workers = [arena.start(Role::Work(plan.clone())).await, arena.start(Role::Work(plan)).await];
    let mut noticed = Vec::new();
    for round in 0..ROUNDS {
        // All at once, so that both workers are full.
        arena.queue().pause("held".into()).await.unwrap();
        hold(&mut arena, round * 1000, 4, 5000).await;
        hold(&mut arena, round * 1000 + 100, 16, 400).await;
        arena.queue().resume("held".into()).await.unwrap();
        noticed.extend(freeze(&mut arena, &workers[0], &workers[1]).await);
        let before = arena.ledger(&workers[0]).starts();
        hold(&mut arena, round * 1000 + 200, 12, 100).await;
        arena
            .until("the thawed worker works on", 30, |arena| arena.ledger(&workers[0]).starts() > before)
            .await;
        arena.until_drained(60).await;
        workers.swap(0, 1);
        // Whether a handler or the heartbeat is first after the thaw is up to the machine.
        if round > 0 && noticed.contains(&Outcome::Permanent) {
            break;
        }
    }
    for worker in &mut workers {
        arena.stop(worker).await;
    }
    assert!(noticed.iter().all(|outcome| *outcome != Outcome::Done), "{noticed:?}");
    assert!(noticed.contains(&Outcome::Permanent), "no stale owner tried to settle: {noticed:?}");
    assert!(
        lost(&arena) >= noticed.len() as u64,
        "{} of {} losses in the reports",
        lost(&arena),
        noticed.len()
    );
    let (_, judgement) = arena.judge(&Terms::recovery_within(LEASE + Duration::from_secs(5))).await;
    let told = noticed.iter().filter(|outcome| **outcome == Outcome::Stopped).count();
    let note = format!(
        "{} runs stood still, {told} of them told to stop, the others dropped or their settlements refused",
        noticed.len()
    );
    Found { judgement, note }
}

/// The settlements that were refused, as the workers' reports say.
fn lost(arena: &Arena) -> u64 {
    let entries = arena.ledgers().iter().flat_map(|ledger| &ledger.entries);
    let lost = entries.filter_map(|entry| match &entry.event {
        Event::Report { report } => report["lost"].as_u64(),
        _ => None,
    });
    lost.sum()
}

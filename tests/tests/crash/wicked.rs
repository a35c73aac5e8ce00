//! R7: handlers that hurt their worker.

use std::time::{Duration, Instant};

use extensions::job::{ErrorKind, JobState};
use tests::crash::{Arena, Event, FirePlan, Mix, Moment, Role, Subject, Wickedness, WorkPlan};

use crate::{Found, fire, recovery};

const LEASE: Duration = Duration::from_secs(2);

fn work() -> Role {
    Role::Work(WorkPlan { lease: LEASE, concurrency: 4, ..WorkPlan::default() })
}

fn wicked(first: u64, wicked: &[Wickedness]) -> FirePlan {
    let mix = Mix { wicked: 1, ..Mix::default() };
    FirePlan { mix, tasks: 1, wicked: wicked.to_vec(), ..FirePlan::of(wicked.len() as u64, first) }
}

pub(crate) async fn handlers_block_and_never_yield_and_the_job_goes_on_elsewhere(mut arena: Arena) -> Found {
    let mut workers = [arena.start(work()).await, arena.start(work()).await];
    fire(&mut arena, wicked(0, &[Wickedness::Blocks, Wickedness::NeverYields])).await;
    fire(&mut arena, FirePlan::of(100, 1000)).await;
    let started = Instant::now();
    arena
        .until("both jobs were tried again elsewhere", 30, |arena| {
            let second = |event: &Event| match event {
                Event::Started { handler, attempt: 2, .. } => handler.as_str() == "Wicked/harm",
                _ => false,
            };
            arena.ledgers().iter().map(|ledger| ledger.count(second)).sum::<usize>() == 2
        })
        .await;
    let again = started.elapsed();
    arena.until_drained(60).await;
    for worker in &mut workers {
        assert!(worker.lives().unwrap(), "a worker has ended\n{}", worker.log());
        arena.stop(worker).await;
    }
    let (evidence, judgement) = arena.judge(&recovery(&arena)).await;
    for record in evidence.records.iter().filter(|record| record.handler.as_str() == "Wicked/harm") {
        assert_eq!(record.state, JobState::Completed, "{record:?}");
        let kinds: Vec<_> = record.errors.iter().map(|error| error.kind).collect();
        assert_eq!(kinds, [ErrorKind::TimedOut], "{record:?}");
        assert_eq!(record.lost_count, 0, "its worker kept the lease: {record:?}");
    }
    Found { judgement, note: format!("tried again after {again:.1?}") }
}

/// Starts another worker whenever one has ended, as a supervisor does, until nothing is left to do; how often. `seen` is when it was last
/// known to live.
async fn supervise(arena: &mut Arena, worker: &mut Subject, mut seen: Moment) -> usize {
    let mut deaths = 0;
    while arena.drained_within(0).await.is_err() {
        let looked = Moment::now();
        if worker.lives().unwrap() {
            seen = looked;
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        deaths += 1;
        // Three each, and a first one that came before the start was recorded, which does not count.
        assert!(deaths <= 8, "a job that ends its worker is not quarantined\n{}", arena.logs());
        arena.fault(worker, "ended by a handler", seen).await;
        *worker = arena.start(work()).await;
        seen = Moment::now();
    }
    deaths
}

pub(crate) async fn handlers_that_end_their_process_are_quarantined_and_panics_are_errors(
    mut arena: Arena,
) -> Found {
    let mut worker = arena.start(work()).await;
    let seen = Moment::now();
    fire(&mut arena, wicked(0, &[Wickedness::Panics, Wickedness::Overflows, Wickedness::Aborts])).await;
    fire(&mut arena, FirePlan::of(60, 1000)).await;
    let deaths = supervise(&mut arena, &mut worker, seen).await;
    arena.until_drained(20).await;
    arena.stop(&mut worker).await;
    let (evidence, judgement) = arena.judge(&recovery(&arena)).await;
    let mut ends: Vec<_> = evidence
        .records
        .iter()
        .filter(|record| record.handler.as_str() == "Wicked/harm")
        .map(|record| (record.state, record.errors.last().map(|error| error.kind)))
        .collect();
    ends.sort_by_key(|(state, _)| *state);
    let lost = (JobState::Quarantined, Some(ErrorKind::Lost));
    let mut expected = vec![(JobState::Dead, Some(ErrorKind::Panicked)), lost, lost];
    expected.sort_by_key(|(state, _)| *state);
    assert_eq!(ends, expected);
    Found { judgement, note: format!("{deaths} deaths of workers") }
}

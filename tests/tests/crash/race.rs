//! R10 and R11: many claimers, and many firers of one key.

use std::sync::Arc;
use std::time::Duration;

use extensions::job::{JobState, NewJob};
use tests::crash::{Answer, Arena, ClaimPlan, Event, RacePlan, Role, WorkPlan};
use tests::kit::new_job;

use crate::{Found, recovery};

const JOBS: usize = 3000;
const LIMIT: Duration = Duration::from_secs(60);

fn job() -> NewJob {
    NewJob { queue: "orders".into(), max_attempts: 1, ..new_job("Ordered/quick", "{}") }
}

pub(crate) async fn claimers_race_and_no_job_is_claimed_twice(mut arena: Arena) -> Found {
    let jobs: Arc<[NewJob]> = (0..JOBS).map(|_| job()).collect();
    arena.note(Event::Planted { jobs: jobs.iter().map(|job| job.id).collect() }).await;
    arena.queue().push(jobs).await.unwrap();
    let mut claimers = Vec::new();
    for batch in [1, 2] {
        claimers.push(arena.start(Role::Claim(ClaimPlan { tasks: 8, batch })).await);
    }
    for claimer in &mut claimers {
        claimer.say("go").await.unwrap();
    }
    for claimer in &mut claimers {
        assert!(claimer.ended(LIMIT).await.unwrap().success(), "{}", claimer.log());
    }
    let (evidence, judgement) = arena.judge(&recovery(&arena)).await;
    assert_eq!(evidence.book.runs.len(), JOBS);
    assert!(evidence.records.iter().all(|record| record.state == JobState::Completed && record.attempt == 1));
    let shares: Vec<_> = claimers.iter().map(|claimer| arena.ledger(claimer).starts()).collect();
    assert!(shares.iter().all(|share| *share > 0), "only one process claimed: {shares:?}");
    Found { judgement, note: format!("16 claimers in 2 processes claimed {shares:?}") }
}

pub(crate) async fn firers_race_on_one_key_and_one_job_is_queued(mut arena: Arena) -> Found {
    const KEYS: usize = 40;
    let mut firers = Vec::new();
    for first in [0, 1_000_000] {
        firers.push(arena.start(Role::Race(RacePlan { tasks: 8, first })).await);
    }
    for key in 0..KEYS {
        for firer in &mut firers {
            firer.say(&format!("cold-{key}")).await.unwrap();
        }
        for firer in &mut firers {
            firer.hear(LIMIT).await.unwrap();
        }
    }
    let waiting: u64 =
        arena.queue().stats().await.unwrap().iter().map(extensions::queue::QueueStats::unfinished).sum();
    assert_eq!(waiting, KEYS as u64, "one job for each key that 16 firers fired at once");
    let mut worker = arena.start(Role::Work(WorkPlan::default())).await;
    for round in 0..KEYS {
        for firer in &mut firers {
            firer.say(&format!("hot-{}", round % 3)).await.unwrap();
        }
    }
    for _ in 0..KEYS {
        for firer in &mut firers {
            firer.hear(LIMIT).await.unwrap();
        }
    }
    arena.until_drained(60).await;
    arena.stop(&mut worker).await;
    let (evidence, judgement) = arena.judge(&recovery(&arena)).await;
    let mut duplicates = 0;
    for fire in evidence.book.fires.values() {
        let Answer::Queued { queued, duplicates: its } = &fire.answer else { panic!("{fire:?}") };
        assert_eq!(queued.len() + its.len(), 1, "{fire:?}");
        duplicates += its.len();
    }
    let fires = evidence.book.fires.len();
    assert!(evidence.records.len() > KEYS, "no key was taken again after its job had ended");
    Found { judgement, note: format!("{fires} fires by 16 firers in 2 processes, {duplicates} duplicates") }
}

//! R14: two releases of an application side by side.

use std::time::Duration;

use extensions::job::{HandlerKey, JobRecord, JobState};
use extensions::queue::JobFilter;
use tests::crash::{Arena, FirePlan, Mix, Release, Role, Subject};

use crate::{Found, recovery, work};

fn shipments(first: u64) -> Role {
    let mix = Mix { shipment: 1, ..Mix::default() };
    Role::Fire(FirePlan { mix, ..FirePlan::of(150, first) })
}

async fn ended(firer: &mut Subject) {
    let ended = firer.ended(Duration::from_secs(60)).await;
    assert!(ended.is_ok_and(|status| status.success()), "{}", firer.log());
}

async fn of_handler(arena: &Arena, name: &str) -> Vec<JobRecord> {
    let all = arena.queue().list(JobFilter { limit: 10_000, ..JobFilter::default() }).await.unwrap();
    all.into_iter().filter(|job| job.handler == HandlerKey::new("shipment", name)).collect()
}

pub(crate) async fn old_and_new_release_stand_side_by_side(mut arena: Arena) -> Found {
    let role = work(&arena);
    let mut old = arena.start_release(Release::Old, role.clone()).await;
    let mut new = arena.start_release(Release::New, role).await;
    let mut firers = [
        arena.start_release(Release::Old, shipments(0)).await,
        arena.start_release(Release::New, shipments(1000)).await,
    ];
    for firer in &mut firers {
        ended(firer).await;
    }
    arena.until_drained(30).await;
    let shares = [arena.ledger(&old).starts(), arena.ledger(&new).starts()];
    arena.stop(&mut old).await;
    arena.stop(&mut new).await;
    let (evidence, judgement) = arena.judge(&recovery(&arena)).await;
    assert_eq!(evidence.records.len(), 600);
    // Every handler looks at what it was given, so a payload of the wrong version would not complete.
    for record in &evidence.records {
        assert_eq!(record.state, JobState::Completed, "{record:?}");
    }
    assert!(shares.iter().all(|share| *share > 0), "only one release worked: {shares:?}");
    Found { judgement, note: format!("the old one ran {}, the new one {}", shares[0], shares[1]) }
}

pub(crate) async fn jobs_of_a_removed_handler_wait_for_a_worker_that_knows_it(mut arena: Arena) -> Found {
    let role = work(&arena);
    let mut new = arena.start_release(Release::New, role.clone()).await;
    let mut firer = arena.start_release(Release::Old, shipments(0)).await;
    ended(&mut firer).await;
    arena.until_drained(30).await;
    for record in of_handler(&arena, "label").await {
        assert_eq!(record.state, JobState::Unroutable, "{record:?}");
    }
    for record in of_handler(&arena, "pack").await {
        assert_eq!(record.state, JobState::Completed, "the new release reads the old payload: {record:?}");
    }
    let mut old = arena.start_release(Release::Old, role).await;
    arena
        .until("the old release has labelled everything", 30, |arena| arena.ledger(&old).starts() >= 150)
        .await;
    arena.until_drained(30).await;
    arena.stop(&mut old).await;
    arena.stop(&mut new).await;
    let (evidence, judgement) = arena.judge(&recovery(&arena)).await;
    assert!(evidence.records.iter().all(|record| record.state == JobState::Completed));
    Found { judgement, note: String::new() }
}

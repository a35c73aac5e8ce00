//! R8: the wall clocks of workers jump.

use std::time::Duration;

use tests::crash::{Arena, Engine, FirePlan, Mix, Role, Terms, WorkPlan};

use crate::{Found, fire, recovery};

const LEASE: Duration = Duration::from_secs(2);

pub(crate) async fn wall_clocks_of_workers_jump_and_leases_stay(mut arena: Arena) -> Found {
    // Where the store's clock is the machine's, what is to wait until a time of a clock that jumped waits for an hour.
    let is_machines = arena.site().engine() == Engine::Sqlite;
    let all = Mix { reindexed: 4, rendered: 2, held: 2, ..Mix::default() };
    let mix = if is_machines { all } else { Mix { ordered: 4, charged: 1, ..all } };
    let steady = arena.start(Role::Work(WorkPlan { lease: LEASE, ..WorkPlan::default() })).await;
    let clock = arena.fake_clock();
    let jumping = arena.start(Role::Work(WorkPlan { lease: LEASE, ..WorkPlan::default() })).await;
    for (round, offset) in [3600, -3600, 0].into_iter().enumerate() {
        let first = round as u64 * 1000;
        fire(&mut arena, FirePlan { mix, handler_ms: 1000, ..FirePlan::of(60, first) }).await;
        let before = arena.ledger(&jumping).starts();
        clock.jump(offset);
        fire(&mut arena, FirePlan { mix, handler_ms: 50, ..FirePlan::of(60, first + 500) }).await;
        arena
            .until("the worker whose clock jumped works on", 20, |arena| {
                arena.ledger(&jumping).starts() > before
            })
            .await;
        // Longer than a lease, so that a lease that moved with the clock would show.
        arena.until_drained(30).await;
    }
    let shares = [arena.ledger(&steady).starts(), arena.ledger(&jumping).starts()];
    for mut worker in [steady, jumping] {
        arena.stop(&mut worker).await;
    }
    let terms = Terms { clock_jumps: is_machines, ..recovery(&arena) };
    let (evidence, judgement) = arena.judge(&terms).await;
    assert_eq!(judgement.counts.repeats, 0, "no lease moved");
    assert!(evidence.records.iter().all(|record| record.lost_count == 0));
    Found { judgement, note: format!("{shares:?} runs with a steady and a jumping clock") }
}

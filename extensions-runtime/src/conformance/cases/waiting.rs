//! Q32: waiting.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::bench::{Bench, LONG, PATIENCE, SHORT, Waiting, job, queue, retry};
use super::cases;
use crate::job::NewJob;
use crate::queue::{Claimed, Settle, WaitRequest};

async fn nothing_claimed(bench: &Bench) -> Claimed {
    let claimed = bench.reserve(bench.request(10)).await;
    assert!(claimed.jobs.is_empty());
    claimed
}

/// Claims the job and ends the claim so, with a delay that is not over at the next claim, however slow the machine is. That
/// claim, and the delay.
async fn put_off(bench: &Bench, end: impl Fn(Duration) -> Settle) -> (Claimed, Duration) {
    let mut delay = SHORT;
    let mut held = bench.take().await;
    loop {
        bench.end(&held, end(delay)).await;
        let mut claimed = bench.reserve(bench.request(10)).await;
        match claimed.jobs.pop() {
            Some(again) => held = again,
            None => return (claimed, delay),
        }
        delay *= 3;
    }
}

/// Lets the wait begin, most likely; a wait that begins later must end all the same.
async fn settle_down() {
    sleep(Duration::from_millis(20)).await;
}

cases! {
    [32] => a_push_ends_a_wait(bench) {
        let wait = bench.waits_after(&nothing_claimed(&bench).await);
        settle_down().await;
        bench.pushed().await;
        wait.ended().await;
    }

    [32 7] Lease => a_push_of_a_stored_and_a_new_job_ends_a_wait(bench) {
        let stored = job();
        bench.push([stored.clone()]).await;
        bench.take().await;
        let wait = bench.waits_after(&nothing_claimed(&bench).await);
        settle_down().await;
        bench.push([stored, job()]).await;
        wait.ended().await;
    }

    [32] => a_push_between_claim_and_wait_is_not_missed(bench) {
        for _ in 0..20 {
            let claimed = nothing_claimed(&bench).await;
            bench.pushed().await;
            bench.waits_after(&claimed).ended().await;
            bench.take().await;
        }
    }

    [32] => a_push_racing_with_a_wait_is_not_missed(bench) {
        for round in 0..50_u64 {
            let wait = bench.waits_after(&nothing_claimed(&bench).await);
            for _ in 0..round % 7 {
                tokio::task::yield_now().await;
            }
            bench.pushed().await;
            wait.ended().await;
            bench.take().await;
        }
    }

    [32] => a_push_through_another_handle_ends_a_wait(bench) {
        let other = bench.fixture.reopen().await;
        for _ in 0..5 {
            let wait = bench.waits_after(&nothing_claimed(&bench).await);
            settle_down().await;
            other.push(vec![job()].into()).await.unwrap();
            wait.ended().await;
            bench.take().await;
        }
    }

    [32 28] => a_release_ends_a_wait(bench) {
        bench.pushed().await;
        let claimed = bench.take().await;
        let wait = bench.waits_after(&nothing_claimed(&bench).await);
        settle_down().await;
        bench.end(&claimed, Settle::Release).await;
        wait.ended().await;
    }

    [32 27] => a_job_that_becomes_due_is_found_by_waiting_until_then(bench) {
        bench.pushed().await;
        let (claimed, delay) = put_off(&bench, retry).await;
        let timeout = claimed.next_due.unwrap_or(LONG).min(PATIENCE);
        let wait = Waiting::on(&bench.backend, Bench::wait_request(claimed.cursor, timeout));
        bench.pass(delay).await;
        wait.ended().await;
        assert!(bench.take().await.attempt >= 2);
    }

    [32 19] Lease => a_lost_job_ends_a_wait(bench) {
        bench.pushed().await;
        bench.take_for(SHORT).await;
        let wait = bench.waits_after(&nothing_claimed(&bench).await);
        bench.lose().await;
        wait.ended().await;
    }

    [32] => a_wait_ends_with_its_time(bench) {
        let claimed = nothing_claimed(&bench).await;
        let start = Instant::now();
        let request = Bench::wait_request(claimed.cursor, Duration::from_millis(50));
        timeout(PATIENCE, bench.backend.wait(request)).await.expect("in time").unwrap();
        assert!(start.elapsed() < PATIENCE);
    }

    [32] => an_idle_wait_does_not_spin(bench) {
        let claimed = nothing_claimed(&bench).await;
        let end = Instant::now() + Duration::from_millis(300);
        let (mut rounds, mut cursor) = (0, claimed.cursor);
        while Instant::now() < end {
            bench.backend.wait(Bench::wait_request(cursor, Duration::from_millis(300))).await.unwrap();
            cursor = nothing_claimed(&bench).await.cursor;
            rounds += 1;
        }
        assert!(rounds < 30, "{rounds} rounds in 0.3 s with nothing to do");
    }

    [32] => many_waits_keep_nobody_out(bench) {
        let claimed = nothing_claimed(&bench).await;
        let waiting: Vec<_> = (0..100).map(|_| bench.waits_after(&claimed)).collect();
        settle_down().await;
        timeout(PATIENCE, bench.backend.stats()).await.expect("stats are answered").unwrap();
        timeout(PATIENCE, bench.pushed()).await.expect("a push is answered");
        for wait in waiting {
            wait.ended().await;
        }
    }

    [32] => any_of_the_queues_ends_a_wait(bench) {
        let last = NewJob { queue: "last".into(), ..job() };
        let queues = vec![queue(), last.queue.clone()];
        let request = crate::queue::ClaimRequest { queues: queues.clone(), ..bench.request(1) };
        let cursor = bench.reserve(request).await.cursor;
        let wait = Waiting::on(&bench.backend, WaitRequest { queues, cursor, timeout: LONG });
        bench.push([last]).await;
        wait.ended().await;
    }

    [32 5] => a_dropped_wait_changes_nothing(bench) {
        let claimed = nothing_claimed(&bench).await;
        for _ in 0..20 {
            let wait = bench.waits_after(&claimed);
            tokio::task::yield_now().await;
            wait.dropped();
        }
        let wait = bench.waits_after(&claimed);
        bench.pushed().await;
        wait.ended().await;
        bench.take().await;
    }
}

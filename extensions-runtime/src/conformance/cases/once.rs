//! Q41 and Q42: ids that stay taken, and ages.

use std::time::Duration;

use super::super::bench::{
    Bench, KEEP_NOTHING, LONG, SHORT, claimed_ids, complete, job, jobs, retry, start_and_drop, unique,
};
use super::cases;
use crate::job::{JobState, NewJob, Payload};
use crate::queue::{AdminOutcome, Pushed, Settle};

/// A job whose id stays taken for that long.
fn once(window: Duration) -> NewJob {
    NewJob { once: Some(window), ..job() }
}

/// Pushes the job again, which must change nothing.
async fn assert_taken(bench: &Bench, taken: &NewJob) {
    let again = NewJob { payload: Payload::from(b"again".as_slice()), ..taken.clone() };
    assert_eq!(bench.push([again]).await, [Pushed::Queued]);
    bench.assert_nothing_to_claim().await;
}

cases! {
    [41 26] Unique => an_id_stays_taken_after_its_job_was_completed_without_a_record(bench) {
        let taken = once(LONG);
        bench.push([taken.clone()]).await;
        bench.assert_claimable_then(Settle::complete(false)).await;
        assert_taken(&bench, &taken).await;
    }

    [41 29] Unique => an_id_stays_taken_after_its_job_was_cancelled_without_a_record(bench) {
        let taken = once(LONG);
        bench.push([taken.clone()]).await;
        bench.assert_claimable_then(Settle::Cancel { reason: "r".to_owned(), keep: false }).await;
        assert_taken(&bench, &taken).await;
    }

    [41 37] Unique List => an_id_stays_taken_after_its_job_was_forgotten(bench) {
        let taken = once(LONG);
        bench.push([taken.clone()]).await;
        bench.assert_claimable_then(complete()).await;
        assert_eq!(bench.backend.forget(vec![taken.id]).await.unwrap(), [AdminOutcome::Done]);
        assert_taken(&bench, &taken).await;
        assert_eq!(bench.find(taken.id).await, None);
    }

    [41 33] Unique => an_id_stays_taken_after_its_job_was_pruned(bench) {
        let taken = once(LONG);
        bench.push([taken.clone()]).await;
        bench.assert_claimable_then(complete()).await;
        bench.pass(SHORT).await;
        assert_eq!(bench.backend.maintain(KEEP_NOTHING).await.unwrap().pruned, 1);
        bench.maintain().await;
        assert_taken(&bench, &taken).await;
    }

    [41] Unique => a_taken_id_is_free_after_its_time(bench) {
        let taken = once(SHORT);
        bench.push([taken.clone()]).await;
        bench.assert_claimable_then(Settle::complete(false)).await;
        bench.pass(SHORT).await;
        assert_eq!(bench.push([taken.clone()]).await, [Pushed::Queued]);
        let again = bench.take().await;
        assert_eq!((again.id, again.attempt), (taken.id, 1));
    }

    [41 7] Unique => a_stored_job_keeps_its_id_beyond_that_time(bench) {
        let taken = once(SHORT);
        bench.push([taken.clone()]).await;
        bench.pass(SHORT).await;
        bench.maintain().await;
        bench.push([NewJob { payload: Payload::from(b"again".as_slice()), ..taken.clone() }]).await;
        let claimed = bench.claim(10).await;
        assert_eq!(claimed_ids(&claimed), [taken.id]);
        assert_eq!(claimed[0].payload, taken.payload);
    }

    [41] Unique => pushing_a_taken_id_makes_its_time_no_longer(bench) {
        let taken = once(SHORT);
        bench.push([taken.clone()]).await;
        bench.assert_claimable_then(Settle::complete(false)).await;
        bench.push([NewJob { once: Some(LONG), ..taken.clone() }]).await;
        bench.pass(SHORT).await;
        // Already there only where the time was over before the second push.
        if bench.claim(10).await.is_empty() {
            bench.push([taken.clone()]).await;
            assert_eq!(bench.take().await.id, taken.id);
        }
    }

    [41 8] Unique => a_job_that_a_key_kept_out_takes_no_id(bench) {
        let holder = unique("k");
        bench.push([holder.clone()]).await;
        let kept_out = NewJob { once: Some(LONG), ..unique("k") };
        assert_eq!(bench.push([kept_out.clone()]).await, [Pushed::Duplicate { of: holder.id }]);
        bench.assert_claimable_then(complete()).await;
        assert_eq!(bench.push([kept_out.clone()]).await, [Pushed::Queued]);
        assert_eq!(bench.take().await.id, kept_out.id);
    }

    [41 8] Unique => a_push_of_a_taken_id_takes_no_key(bench) {
        let taken = NewJob { once: Some(LONG), ..unique("k") };
        bench.push([taken.clone()]).await;
        bench.assert_claimable_then(Settle::complete(false)).await;
        assert_eq!(bench.push([taken]).await, [Pushed::Queued]);
        assert_eq!(bench.push([unique("k")]).await, [Pushed::Queued]);
    }

    [41 2] Unique => taken_and_new_ids_of_one_call_are_told_apart(bench) {
        let taken: Vec<_> = (0..5).map(|_| once(LONG)).collect();
        bench.push(taken.clone()).await;
        for claimed in bench.claim(5).await {
            bench.end(&claimed, Settle::complete(false)).await;
        }
        let new = jobs(5);
        let mixed: Vec<_> = taken.iter().zip(&new).flat_map(|(taken, new)| [taken.clone(), new.clone()]).collect();
        assert_eq!(bench.push(mixed).await, [Pushed::Queued; 10]);
        assert_eq!(claimed_ids(&bench.claim(20).await), new.iter().map(|job| job.id).collect::<Vec<_>>());
    }

    [41 1] Unique => a_taken_id_is_taken_for_every_handle(bench) {
        let other = bench.fixture.reopen().await;
        let taken = once(LONG);
        other.push(vec![taken.clone()].into()).await.unwrap();
        bench.assert_claimable_then(Settle::complete(false)).await;
        other.push(vec![taken.clone()].into()).await.unwrap();
        assert_taken(&bench, &taken).await;
    }

    [41 5] Unique => a_dropped_push_takes_its_id_with_its_job_or_not_at_all(bench) {
        for _ in 0..10 {
            let taken = once(LONG);
            drop(start_and_drop(bench.backend.push(vec![taken.clone()].into())));
            bench.push([taken.clone()]).await;
            let claimed = bench.claim(10).await;
            assert_eq!(claimed_ids(&claimed), [taken.id]);
            bench.end(&claimed[0], Settle::complete(false)).await;
        }
    }

    [41 36] Unique List => a_taken_id_is_no_job(bench) {
        let taken = once(LONG);
        bench.push([taken.clone()]).await;
        bench.assert_claimable_then(Settle::complete(false)).await;
        assert_eq!(bench.find(taken.id).await, None);
        let stats = bench.stats_of(&taken.queue).await;
        assert_eq!(JobState::ALL.iter().map(|state| stats.count(*state)).sum::<u64>(), 0);
    }

    [42] => a_claim_says_how_old_its_job_is(bench) {
        bench.pushed().await;
        let young = bench.take().await;
        assert!(young.age < LONG, "{:?}", young.age);
        bench.end(&young, Settle::Release).await;
        bench.pass(SHORT).await;
        let old = bench.take().await;
        assert!((SHORT..LONG).contains(&old.age), "{:?}", old.age);
    }

    [42 10 27] => neither_delays_nor_retries_make_a_job_younger(bench) {
        bench.push([NewJob { delay: SHORT, ..job() }]).await;
        bench.pass(SHORT).await;
        let first = bench.take().await;
        assert!(first.age >= SHORT, "{:?}", first.age);
        bench.end(&first, retry(SHORT)).await;
        bench.pass(SHORT).await;
        let second = bench.take().await;
        assert!(second.age >= SHORT * 2, "{:?}", second.age);
        assert_eq!(second.enqueued_at, first.enqueued_at);
    }

    [42 19] Lease => a_loss_makes_no_job_younger(bench) {
        bench.pushed().await;
        bench.take_for(SHORT).await;
        bench.lose().await;
        assert!(bench.take().await.age >= SHORT);
    }
}

//! Q6, Q8 and Q24 in transactions of the caller's. While one is open, the cases only read: a store may let one writer in at
//! a time.

use std::sync::Arc;

use super::super::bench::{
    Bench, LONG, SHORT, claimed_ids, complete, followed_by, ids, job, jobs, settlement, unique,
};
use super::super::{Work, WorkDone};
use super::cases;
use crate::job::{JobState, NewJob};
use crate::queue::{Extended, Pushed, Settle, Settled, Settlement};

const COMMIT: bool = true;
const ROLL_BACK: bool = false;

async fn transact(bench: &Bench, push: &[NewJob], settle: Vec<Settlement>, commit: bool) -> WorkDone {
    let work = Work { push: push.into(), settle, meanwhile: Box::pin(async {}), commit };
    bench.fixture.transact(work).await.expect("the transaction")
}

cases! {
    [6] Transactions => what_a_transaction_pushed_is_there_after_its_commit(bench) {
        let batch = jobs(3);
        let done = transact(&bench, &batch, Vec::new(), COMMIT).await;
        assert_eq!(done, WorkDone { pushed: vec![Pushed::Queued; 3], settled: Vec::new() });
        assert_eq!(claimed_ids(&bench.claim(10).await), ids(&batch));
    }

    [6 8 41] Transactions Unique => a_transaction_that_is_rolled_back_pushed_nothing(bench) {
        let batch = [job(), NewJob { once: Some(LONG), ..unique("k") }];
        let done = transact(&bench, &batch, Vec::new(), ROLL_BACK).await;
        assert_eq!(done.pushed, [Pushed::Queued; 2]);
        bench.assert_nothing_to_claim().await;
        let other = unique("k");
        assert_eq!(bench.push([other.clone()]).await, [Pushed::Queued], "nor is its key held");
        bench.assert_claimable_then(complete()).await;
        assert_eq!(bench.push(batch.clone()).await, [Pushed::Queued; 2]);
        assert_eq!(claimed_ids(&bench.claim(10).await), ids(&batch), "nor is its id taken");
    }

    [6] Transactions List => nothing_is_seen_before_the_commit(bench) {
        bench.pushed().await;
        let claimed = bench.take().await;
        let pushed = job();
        let meanwhile = Box::pin(async {
            assert_eq!(bench.find(pushed.id).await, None);
            assert_eq!(bench.state(claimed.id).await, JobState::Running);
        });
        let settle = vec![settlement(&claimed, complete())];
        let work = Work { push: Arc::from([pushed.clone()]), settle, meanwhile, commit: COMMIT };
        bench.fixture.transact(work).await.expect("the transaction");
        assert_eq!(bench.state(pushed.id).await, JobState::Available);
        assert_eq!(bench.state(claimed.id).await, JobState::Completed);
    }

    [7 8 2] Transactions Unique => a_push_in_a_transaction_is_answered_as_any_other(bench) {
        let (stored, holder) = (job(), unique("k"));
        bench.push([stored.clone(), holder.clone()]).await;
        let (first, second) = (unique("new"), unique("new"));
        let batch = [stored, unique("k"), first.clone(), second];
        let done = transact(&bench, &batch, Vec::new(), COMMIT).await;
        let duplicate = |of: &NewJob| Pushed::Duplicate { of: of.id };
        assert_eq!(done.pushed, [Pushed::Queued, duplicate(&holder), Pushed::Queued, duplicate(&first)]);
        assert_eq!(bench.claim(10).await.len(), 3);
        assert_eq!(bench.push([unique("new")]).await, [duplicate(&first)]);
    }

    [26] Transactions List => a_claim_ends_with_the_commit(bench) {
        bench.pushed().await;
        let claimed = bench.take().await;
        let done = transact(&bench, &[], vec![settlement(&claimed, complete())], COMMIT).await;
        assert_eq!(done.settled, [Settled::Done]);
        assert_eq!(bench.state(claimed.id).await, JobState::Completed);
        assert_eq!(bench.settle(&claimed, complete()).await, Settled::LeaseLost);
    }

    [24 23] Transactions => a_claim_goes_on_where_its_end_is_rolled_back(bench) {
        bench.push([unique("k")]).await;
        let claimed = bench.take().await;
        let done = transact(&bench, &[], vec![settlement(&claimed, Settle::complete(false))], ROLL_BACK).await;
        assert_eq!(done.settled, [Settled::Done]);
        assert_eq!(bench.extend(&claimed, LONG).await, Extended::Held);
        assert_eq!(bench.push([unique("k")]).await, [Pushed::Duplicate { of: claimed.id }]);
        bench.end(&claimed, complete()).await;
    }

    [24 25] Transactions Lease => a_stale_claim_ends_in_no_transaction(bench) {
        bench.push(jobs(2)).await;
        let claimed = bench.claim_for(2, SHORT).await;
        bench.extend(&claimed[1], LONG).await;
        bench.lose().await;
        let ends = claimed.iter().map(|job| settlement(job, complete())).collect();
        let done = transact(&bench, &[], ends, COMMIT).await;
        assert_eq!(done.settled, [Settled::LeaseLost, Settled::Done]);
        assert_eq!(bench.take().await.id, claimed[0].id);
    }

    [40] Transactions FollowUps => follow_ups_come_and_go_with_the_transaction(bench) {
        bench.pushed().await;
        let claimed = bench.take().await;
        let follow_ups = jobs(2);
        let end = || vec![settlement(&claimed, followed_by(&follow_ups))];
        transact(&bench, &[], end(), ROLL_BACK).await;
        bench.assert_nothing_to_claim().await;
        assert_eq!(transact(&bench, &[], end(), COMMIT).await.settled, [Settled::Done]);
        assert_eq!(claimed_ids(&bench.claim(10).await), ids(&follow_ups));
        assert_eq!(transact(&bench, &[], end(), COMMIT).await.settled, [Settled::LeaseLost]);
        bench.assert_nothing_to_claim().await;
    }

    [6 25 36] Transactions => pushes_and_ends_are_one_step(bench) {
        bench.push(jobs(2)).await;
        let claimed = bench.claim(2).await;
        let ends = || claimed.iter().map(|job| settlement(job, complete())).collect();
        let before = bench.stats_of(&claimed[0].queue).await.counts;
        transact(&bench, &jobs(3), ends(), ROLL_BACK).await;
        assert_eq!(bench.stats_of(&claimed[0].queue).await.counts, before);
        transact(&bench, &jobs(3), ends(), COMMIT).await;
        let after = bench.stats_of(&claimed[0].queue).await;
        assert_eq!((after.count(JobState::Completed), after.count(JobState::Available)), (2, 3));
    }

    [32] Transactions => a_commit_ends_a_wait(bench) {
        for _ in 0..5 {
            let claimed = bench.reserve(bench.request(10)).await;
            assert!(claimed.jobs.is_empty());
            let wait = bench.waits_after(&claimed);
            transact(&bench, &jobs(1), Vec::new(), COMMIT).await;
            wait.ended().await;
            bench.take().await;
        }
    }

    [32] Transactions => a_commit_between_claim_and_wait_is_not_missed(bench) {
        for _ in 0..5 {
            let claimed = bench.reserve(bench.request(10)).await;
            transact(&bench, &jobs(1), Vec::new(), COMMIT).await;
            bench.waits_after(&claimed).ended().await;
            bench.take().await;
        }
    }
}

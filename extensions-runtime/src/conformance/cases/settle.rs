//! Q25–Q31: how claims end.

use std::time::Duration;

use super::super::bench::{
    LONG, SHORT, bury, bury_owing, claimed_ids, complete, error, ids, job, jobs, retry, settlement, unique,
};
use super::cases;
use crate::job::{ErrorKind, JobState, LeaseToken, NewJob, Purpose};
use crate::queue::{Extended, Pushed, Settle, Settled, Settlement};

cases! {
    [25] => a_lost_settlement_keeps_no_other_back(bench) {
        bench.push(jobs(5)).await;
        let claimed = bench.claim(5).await;
        let ends = claimed.iter().enumerate().map(|(n, job)| {
            let token = if n.is_multiple_of(2) { job.token } else { LeaseToken(job.token.0 + 1_000_000) };
            Settlement { job: job.id, token, end: Settle::Release }
        });
        let settled = bench.backend.settle(ends.collect()).await.unwrap();
        use Settled::{Done, LeaseLost};
        assert_eq!(settled, [Done, LeaseLost, Done, LeaseLost, Done]);
        let again = bench.claim(10).await;
        assert_eq!(claimed_ids(&again), [claimed[0].id, claimed[2].id, claimed[4].id]);
    }

    [25 24] => a_claim_that_is_settled_twice_in_one_call_is_settled_once(bench) {
        for (first, second) in [(complete(), bury()), (Settle::complete(false), complete()), (Settle::Release, complete())] {
            bench.push(jobs(2)).await;
            let claimed = bench.claim(2).await;
            let [twice, other] = [&claimed[0], &claimed[1]];
            let ends = [(twice, first), (other, complete()), (twice, second)].map(|(job, end)| settlement(job, end));
            let settled = bench.backend.settle(ends.into()).await.unwrap();
            assert_eq!(settled, [Settled::Done, Settled::Done, Settled::LeaseLost]);
        }
        bench.assert_claimable_then(complete()).await;
        bench.assert_nothing_to_claim().await;
    }

    [25 2 27 28 29] List => one_call_ends_claims_in_every_way(bench) {
        let batch: Vec<_> = (0..14).map(|_| job()).collect();
        bench.push(batch.clone()).await;
        let claimed = bench.claim(14).await;
        let cancel = |keep| Settle::Cancel { reason: "r".to_owned(), keep };
        let snooze = |delay| Settle::Snooze { delay };
        let ways = [complete(), retry(LONG), snooze(LONG), bury(), cancel(true), Settle::Release, bury_owing()];
        let ends = claimed.iter().enumerate().map(|(n, job)| {
            let token = if n.is_multiple_of(2) { job.token } else { LeaseToken(job.token.0 ^ 0x5a5a_0000) };
            Settlement { job: job.id, token, end: ways[n / 2].clone() }
        });
        let settled = bench.backend.settle(ends.collect()).await.unwrap();
        let wanted: Vec<_> = (0..14_usize).map(|n| if n.is_multiple_of(2) { Settled::Done } else { Settled::LeaseLost }).collect();
        assert_eq!(settled, wanted);
        use JobState::{Available, Cancelled, Completed, Dead, Retryable, Running, Scheduled};
        let states = [Completed, Retryable, Scheduled, Dead, Cancelled, Available, Dead];
        for (n, job) in batch.iter().enumerate() {
            let wanted = if n.is_multiple_of(2) { states[n / 2] } else { Running };
            assert_eq!(bench.state(job.id).await, wanted, "the settlement number {n}");
        }
        for kept in claimed.iter().skip(1).step_by(2) {
            bench.end(kept, cancel(false)).await;
        }
        bench.end(&claimed[12], Settle::CallbackDone).await;
    }

    [25 24 26 10] Unique List => completions_that_stand_side_by_side_are_judged_one_by_one(bench) {
        // The third of six that were claimed together differs from the others, whose completions go together.
        const LOST: usize = 2;
        const ANOTHERS: usize = 8;
        const LOCKED: usize = 14;
        const DROPPED: usize = 20;
        const RELEASED: usize = 26;
        const TWICE: usize = 32;
        let batch: Vec<_> = (0..36).map(|n| if n == LOCKED { unique("k") } else { job() }).collect();
        bench.push(batch.clone()).await;
        let mut claimed = Vec::new();
        while claimed.len() < batch.len() {
            claimed.extend(bench.claim(6).await);
        }
        assert_eq!(claimed_ids(&claimed), ids(&batch));
        bench.end(&claimed[LOST], retry(LONG)).await;
        let end = |n: usize| settlement(&claimed[n], match n {
            RELEASED => Settle::Release,
            n => Settle::complete(n != DROPPED),
        });
        let first = settlement(&claimed[TWICE], bury());
        let mut ends: Vec<_> = [first].into_iter().chain((0..36).rev().map(end)).collect();
        ends[36 - ANOTHERS].job = batch[ANOTHERS + 1].id;
        let settled = bench.backend.settle(ends).await.unwrap();
        let answer = |n| if [LOST, ANOTHERS, TWICE].contains(&n) { Settled::LeaseLost } else { Settled::Done };
        let wanted: Vec<_> = [Settled::Done].into_iter().chain((0..36).rev().map(answer)).collect();
        assert_eq!(settled, wanted);
        for (n, job) in batch.iter().enumerate() {
            let wanted = match n {
                LOST => Some(JobState::Retryable),
                ANOTHERS => Some(JobState::Running),
                DROPPED => None,
                RELEASED => Some(JobState::Available),
                TWICE => Some(JobState::Dead),
                _ => Some(JobState::Completed),
            };
            assert_eq!(bench.find(job.id).await.map(|record| record.state), wanted, "the job number {n}");
        }
        assert_eq!(bench.push([unique("k")]).await, [Pushed::Queued]);
        bench.end(&claimed[ANOTHERS], complete()).await;
    }

    [26 31] List => a_completed_job_is_kept(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(complete()).await;
        let record = bench.record(id).await;
        assert_eq!((record.state, record.attempt, record.worker), (JobState::Completed, 1, None));
        assert!(record.entered.contains_key(&JobState::Completed) && record.errors.is_empty());
    }

    [26] List => a_completed_job_leaves_no_record_where_none_is_wanted(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(Settle::complete(false)).await;
        assert_eq!(bench.find(id).await, None);
    }

    [27 16] List => a_retry_waits_with_its_error(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(retry(LONG)).await;
        let record = bench.record(id).await;
        assert_eq!((record.state, record.attempt), (JobState::Retryable, 1));
        assert_eq!(record.errors.len(), 1);
        assert_eq!((record.errors[0].attempt, &*record.errors[0].message), (1, "again"));
        assert_eq!(record.errors[0].at, record.entered[&JobState::Retryable], "the backend's clock counts");
        assert_eq!(record.run_at.since(record.entered[&JobState::Retryable]), LONG);
        bench.assert_nothing_to_claim().await;
    }

    [27] => a_retry_comes_back_after_its_delay(bench) {
        bench.pushed().await;
        bench.assert_claimable_then(retry(SHORT)).await;
        bench.pass(SHORT).await;
        assert_eq!(bench.take().await.attempt, 2);
    }

    [28] => a_snooze_gives_the_attempt_back(bench) {
        bench.pushed().await;
        bench.assert_claimable_then(Settle::Snooze { delay: SHORT }).await;
        bench.pass(SHORT).await;
        assert_eq!(bench.take().await.attempt, 1);
    }

    [28 16] List => a_snoozed_job_is_scheduled(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(Settle::Snooze { delay: LONG }).await;
        let record = bench.record(id).await;
        assert_eq!((record.state, record.attempt, record.errors.len()), (JobState::Scheduled, 0, 0));
        bench.assert_nothing_to_claim().await;
    }

    [28 13] => a_released_job_is_available_at_once_and_in_its_old_place(bench) {
        let first = bench.pushed().await;
        let claimed = bench.take().await;
        let second = bench.pushed().await;
        bench.end(&claimed, Settle::Release).await;
        let again = bench.claim(10).await;
        assert_eq!(claimed_ids(&again), [first, second]);
        assert_eq!(again[0].attempt, 1);
    }

    [29] List => a_cancelled_job_says_why(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(Settle::Cancel { reason: "no longer wanted".to_owned(), keep: true }).await;
        let record = bench.record(id).await;
        assert_eq!((record.state, record.reason.as_deref()), (JobState::Cancelled, Some("no longer wanted")));
    }

    [29] List => a_cancelled_job_leaves_no_record_where_none_is_wanted(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(Settle::Cancel { reason: String::new(), keep: false }).await;
        assert_eq!(bench.find(id).await, None);
    }

    [29 31] List => a_dead_job_says_why(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(bury()).await;
        let record = bench.record(id).await;
        assert_eq!((record.state, record.owes_on_failure, record.worker), (JobState::Dead, false, None));
        assert_eq!(record.errors.last().map(|error| &*error.message), Some("for good"));
    }

    [30] List => end_and_debt_are_one_step(bench) {
        bench.push([unique("k")]).await;
        let claimed = bench.take().await;
        bench.end(&claimed, bury_owing()).await;
        let record = bench.record(claimed.id).await;
        assert_eq!((record.state, record.owes_on_failure, record.worker), (JobState::Dead, true, Some(bench.worker)));
        assert_eq!(bench.push([unique("k")]).await, [Pushed::Queued], "the job has ended");
    }

    [30 23] Lease => the_lease_of_a_callback_goes_on(bench) {
        bench.pushed().await;
        let claimed = bench.take_for(SHORT).await;
        bench.end(&claimed, bury_owing()).await;
        assert_eq!(bench.extend(&claimed, LONG).await, Extended::Held);
        bench.lose().await;
        bench.assert_nothing_to_claim().await;
        bench.end(&claimed, Settle::CallbackDone).await;
        assert_eq!(bench.settle(&claimed, Settle::CallbackDone).await, Settled::LeaseLost);
    }

    [30 17] Lease List => a_called_callback_is_owed_no_more(bench) {
        let id = bench.pushed().await;
        let claimed = bench.take_for(SHORT).await;
        bench.end(&claimed, bury_owing()).await;
        bench.end(&claimed, Settle::CallbackDone).await;
        bench.lose().await;
        bench.assert_nothing_to_claim().await;
        let record = bench.record(id).await;
        assert_eq!((record.state, record.owes_on_failure), (JobState::Dead, false));
    }

    [30 17] Lease => a_lost_callback_is_claimed_again(bench) {
        bench.pushed().await;
        let claimed = bench.take_for(SHORT).await;
        bench.end(&claimed, bury_owing()).await;
        bench.lose().await;
        let again = bench.take_for(SHORT).await;
        assert_eq!((again.id, again.purpose), (claimed.id, Purpose::OnFailure));
        assert_eq!(bench.settle(&claimed, Settle::CallbackDone).await, Settled::LeaseLost);
        bench.lose().await;
        assert_eq!(bench.take().await.id, claimed.id);
    }

    [30] Lease List => a_callback_lost_three_times_is_dropped(bench) {
        let id = bench.pushed().await;
        let claimed = bench.take_for(SHORT).await;
        bench.end(&claimed, bury_owing()).await;
        bench.lose().await;
        for _ in 0..2 {
            bench.take_for(SHORT).await;
            bench.lose().await;
        }
        bench.assert_nothing_to_claim().await;
        let record = bench.record(id).await;
        assert_eq!((record.state, record.owes_on_failure), (JobState::Dead, false));
        let noted = record.errors.last().expect("it is noted");
        assert_eq!(noted.kind, ErrorKind::Lost);
        assert!(noted.message.contains("on_failure"), "{}", noted.message);
    }

    [30 24] => an_attempt_and_a_callback_end_each_in_their_own_way(bench) {
        bench.push([NewJob { on_failure: true, ..job() }]).await;
        let claimed = bench.take().await;
        assert_eq!(bench.settle(&claimed, Settle::CallbackDone).await, Settled::LeaseLost);
        bench.end(&claimed, bury_owing()).await;
        assert_eq!(bench.settle(&claimed, complete()).await, Settled::LeaseLost);
        assert_eq!(bench.settle(&claimed, retry(Duration::ZERO)).await, Settled::LeaseLost);
        bench.end(&claimed, Settle::Release).await;
        assert_eq!(bench.take().await.purpose, Purpose::OnFailure);
    }

    [31] List => each_state_has_its_last_time(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(retry(SHORT)).await;
        bench.pass(SHORT).await;
        bench.assert_claimable_then(complete()).await;
        let record = bench.record(id).await;
        let at = |state| record.entered.get(&state).copied().unwrap_or_else(|| panic!("no time of {state}"));
        assert!(at(JobState::Retryable).since(record.enqueued_at) < LONG);
        assert!(at(JobState::Running) >= at(JobState::Retryable).saturating_add(SHORT), "the last run counts");
        assert!(at(JobState::Available) > at(JobState::Retryable));
        assert!(at(JobState::Completed) >= at(JobState::Running));
        assert!(!record.entered.contains_key(&JobState::Dead));
    }

    [31 27] List => the_last_twenty_errors_are_kept(bench) {
        let id = bench.pushed().await;
        for attempt in 1..=23 {
            let claimed = bench.take().await;
            assert_eq!(claimed.attempt, attempt);
            let end = Settle::Retry { delay: Duration::ZERO, error: error(attempt, &format!("e{attempt}")) };
            bench.end(&claimed, end).await;
        }
        let record = bench.record(id).await;
        let attempts: Vec<_> = record.errors.iter().map(|error| error.attempt).collect();
        assert_eq!(attempts, (4..=23).collect::<Vec<_>>());
        assert_eq!(record.errors[19].message, "e23");
    }
}

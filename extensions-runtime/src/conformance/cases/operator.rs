//! Q37–Q39: the operator's calls, and garbage.

use std::time::Duration;

use super::super::Part;
use super::super::bench::{
    Bench, LONG, SHORT, bury, bury_owing, claimed_ids, complete, handler, job, jobs, queue, retry, unique,
};
use super::cases;
use crate::job::{JobId, JobState, NewJob, Payload, UniqueKey};
use crate::queue::{AdminOutcome, Extended, JobFilter, Pushed, Settle};

async fn retry_by_hand(bench: &Bench, id: JobId) -> AdminOutcome {
    bench.backend.retry(vec![id]).await.unwrap()[0]
}

async fn cancel_by_hand(bench: &Bench, id: JobId) -> AdminOutcome {
    bench.backend.cancel(vec![id], "by hand".to_owned()).await.unwrap()[0]
}

async fn forget_by_hand(bench: &Bench, id: JobId) -> AdminOutcome {
    bench.backend.forget(vec![id]).await.unwrap()[0]
}

/// Asks for the cancellation of a running job that then ends so; it must be cancelled.
async fn assert_cancelled_after(bench: &Bench, end: Settle) {
    let id = bench.pushed().await;
    let claimed = bench.take().await;
    assert_eq!(cancel_by_hand(bench, id).await, AdminOutcome::Requested);
    bench.end(&claimed, end).await;
    let record = bench.record(id).await;
    assert_eq!((record.state, record.reason.as_deref()), (JobState::Cancelled, Some("by hand")));
    bench.assert_nothing_to_claim().await;
}

fn garbage() -> Vec<u8> {
    (0..=255).rev().chain([0, 159, 146, 150, b'{', b'"']).collect()
}

cases! {
    [37] List => a_dead_job_starts_over_by_hand(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(retry(Duration::ZERO)).await;
        bench.assert_claimable_then(bury()).await;
        assert_eq!(retry_by_hand(&bench, id).await, AdminOutcome::Done);
        let record = bench.record(id).await;
        assert_eq!((record.state, record.attempt, record.errors.len()), (JobState::Available, 0, 2));
        assert_eq!(bench.take().await.attempt, 1);
    }

    [37 22] List Lease => a_quarantined_job_starts_over_by_hand(bench) {
        bench.push([NewJob { on_failure: true, ..job() }]).await;
        for _ in 0..4 {
            bench.take_for(SHORT).await;
            bench.lose().await;
        }
        let found = bench.backend.list(JobFilter { states: vec![JobState::Quarantined], ..JobFilter::default() }).await.unwrap();
        assert_eq!(retry_by_hand(&bench, found[0].id).await, AdminOutcome::Done);
        bench.pass(Duration::from_millis(2)).await;
        bench.pushed().await;
        let claimed = bench.claim(10).await;
        assert_eq!(claimed.len(), 2, "it is an ordinary job again");
        assert_eq!((claimed[0].id, claimed[0].lost_count, claimed[0].purpose), (found[0].id, 0, crate::job::Purpose::Attempt));
    }

    [37] List => a_waiting_job_is_made_available_by_hand(bench) {
        let scheduled = NewJob { delay: LONG, ..job() };
        bench.push([scheduled.clone()]).await;
        assert_eq!(retry_by_hand(&bench, scheduled.id).await, AdminOutcome::Done);
        bench.assert_claimable_then(retry(LONG)).await;
        assert_eq!(retry_by_hand(&bench, scheduled.id).await, AdminOutcome::Done);
        assert_eq!(bench.take().await.attempt, 2);
    }

    [37] List => what_cannot_be_retried_is_left_as_it_is(bench) {
        let (waiting, done) = (job(), job());
        bench.push([NewJob { priority: 0, ..done.clone() }]).await;
        bench.assert_claimable_then(complete()).await;
        bench.push([waiting.clone()]).await;
        let asked = vec![waiting.id, done.id, JobId::new()];
        let wrong = [AdminOutcome::WrongState(JobState::Available), AdminOutcome::WrongState(JobState::Completed), AdminOutcome::NotFound];
        assert_eq!(bench.backend.retry(asked).await.unwrap(), wrong);
        assert_eq!(bench.take().await.attempt, 1);
    }

    [37 9] List Unique => a_retry_takes_the_key_again(bench) {
        let first = unique("k");
        bench.push([first.clone()]).await;
        bench.assert_claimable_then(bury()).await;
        assert_eq!(retry_by_hand(&bench, first.id).await, AdminOutcome::Done);
        assert_eq!(bench.push([unique("k")]).await, [Pushed::Duplicate { of: first.id }]);
    }

    [37 9] List Unique => a_retry_takes_no_key_that_another_holds(bench) {
        let (first, second) = (unique("k"), unique("k"));
        bench.push([first.clone()]).await;
        bench.assert_claimable_then(bury()).await;
        bench.push([second.clone()]).await;
        assert_eq!(retry_by_hand(&bench, first.id).await, AdminOutcome::Duplicate(second.id));
        assert_eq!(bench.state(first.id).await, JobState::Dead);
        assert_eq!(bench.record(first.id).await.unique, Some(UniqueKey::from("k")));
    }

    [37 9] List Unique => a_job_that_a_key_kept_dead_can_be_retried_once_the_key_is_free(bench) {
        let (first, second) = (unique("k"), unique("k"));
        bench.push([first.clone()]).await;
        bench.assert_claimable_then(bury()).await;
        bench.push([second]).await;
        assert!(matches!(retry_by_hand(&bench, first.id).await, AdminOutcome::Duplicate(_)));
        bench.assert_claimable_then(complete()).await;
        assert_eq!(retry_by_hand(&bench, first.id).await, AdminOutcome::Done);
        assert_eq!(bench.take().await.id, first.id);
    }

    [37 9] List Unique => of_two_dead_jobs_under_one_key_one_is_retried(bench) {
        let (first, second) = (unique("k"), unique("k"));
        for dead in [&first, &second] {
            bench.push([dead.clone()]).await;
            bench.assert_claimable_then(bury()).await;
        }
        let outcomes = bench.backend.retry(vec![first.id, second.id]).await.unwrap();
        assert_eq!(outcomes, [AdminOutcome::Done, AdminOutcome::Duplicate(first.id)]);
        assert_eq!(claimed_ids(&bench.claim(10).await), [first.id]);
    }

    [37 2] List => an_id_twice_in_one_call_is_treated_once(bench) {
        let id = bench.pushed().await;
        bench.assert_claimable_then(bury()).await;
        let retried = bench.backend.retry(vec![id, id]).await.unwrap();
        assert_eq!(retried, [AdminOutcome::Done, AdminOutcome::WrongState(JobState::Available)]);
        let cancelled = bench.backend.cancel(vec![id, id], String::new()).await.unwrap();
        assert_eq!(cancelled, [AdminOutcome::Done, AdminOutcome::WrongState(JobState::Cancelled)]);
        let forgotten = bench.backend.forget(vec![id, id]).await.unwrap();
        assert_eq!(forgotten, [AdminOutcome::Done, AdminOutcome::NotFound]);
    }

    [37 16] List => a_waiting_job_is_cancelled_at_once(bench) {
        let batch = [job(), NewJob { delay: LONG, ..job() }];
        bench.push(batch.clone()).await;
        for waiting in &batch {
            assert_eq!(cancel_by_hand(&bench, waiting.id).await, AdminOutcome::Done);
            let record = bench.record(waiting.id).await;
            assert_eq!((record.state, record.reason.as_deref()), (JobState::Cancelled, Some("by hand")));
        }
        assert_eq!(cancel_by_hand(&bench, batch[0].id).await, AdminOutcome::WrongState(JobState::Cancelled));
        bench.assert_nothing_to_claim().await;
    }

    [37 9] List Unique => cancelling_a_waiting_job_frees_its_key(bench) {
        let first = unique("k");
        bench.push([first.clone()]).await;
        cancel_by_hand(&bench, first.id).await;
        assert_eq!(bench.push([unique("k")]).await, [Pushed::Queued]);
    }

    [37 24] List => a_running_job_is_only_asked_to_end(bench) {
        let id = bench.pushed().await;
        let claimed = bench.take().await;
        assert_eq!(cancel_by_hand(&bench, id).await, AdminOutcome::Requested);
        assert_eq!(bench.state(id).await, JobState::Running);
        assert_eq!(bench.extend(&claimed, LONG).await, Extended::CancelRequested);
        bench.end(&claimed, complete()).await;
        assert_eq!(bench.state(id).await, JobState::Completed, "it was done before it heard of it");
    }

    [37] List => an_asked_cancellation_outlives_a_retry(bench) {
        assert_cancelled_after(&bench, retry(Duration::ZERO)).await;
    }

    [37] List => an_asked_cancellation_outlives_a_snooze_and_a_release(bench) {
        assert_cancelled_after(&bench, Settle::Snooze { delay: Duration::ZERO }).await;
        assert_cancelled_after(&bench, Settle::Release).await;
    }

    [37 19] List Lease => an_asked_cancellation_outlives_the_worker(bench) {
        let id = bench.pushed().await;
        bench.take_for(SHORT).await;
        cancel_by_hand(&bench, id).await;
        bench.lose().await;
        assert_eq!(bench.state(id).await, JobState::Cancelled);
        bench.assert_nothing_to_claim().await;
    }

    [37] List => only_ended_jobs_are_forgotten(bench) {
        let done = bench.pushed().await;
        bench.assert_claimable_then(complete()).await;
        let waiting = bench.pushed().await;
        assert_eq!(forget_by_hand(&bench, done).await, AdminOutcome::Done);
        assert_eq!(forget_by_hand(&bench, done).await, AdminOutcome::NotFound);
        assert_eq!(forget_by_hand(&bench, waiting).await, AdminOutcome::WrongState(JobState::Available));
        assert_eq!(bench.find(done).await, None);
        let claimed = bench.take().await;
        assert_eq!(forget_by_hand(&bench, waiting).await, AdminOutcome::WrongState(JobState::Running));
        bench.end(&claimed, complete()).await;
    }

    [37 30] List => a_job_whose_callback_is_being_called_is_not_touched(bench) {
        let id = bench.pushed().await;
        let claimed = bench.take().await;
        bench.end(&claimed, bury_owing()).await;
        assert_eq!(retry_by_hand(&bench, id).await, AdminOutcome::WrongState(JobState::Dead));
        assert_eq!(forget_by_hand(&bench, id).await, AdminOutcome::WrongState(JobState::Dead));
        bench.end(&claimed, Settle::CallbackDone).await;
        assert_eq!(retry_by_hand(&bench, id).await, AdminOutcome::Done);
    }

    [37] List => a_list_is_filtered_and_paged(bench) {
        let batch = jobs(25);
        bench.push(batch.clone()).await;
        bench.push([NewJob { queue: "other".into(), ..job() }]).await;
        let mut filter = JobFilter { queue: Some(queue()), handler: Some(handler()), limit: 10, ..JobFilter::default() };
        let mut seen = Vec::new();
        loop {
            let page = bench.backend.list(filter.clone()).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 10);
            filter.after = Some(last.id);
            seen.extend(page.iter().map(|record| record.id));
        }
        let mut wanted: Vec<_> = batch.iter().map(|job| job.id).collect();
        wanted.sort();
        assert_eq!(seen, wanted);
        for state in JobState::ALL {
            let filter = JobFilter { states: vec![state], ..JobFilter::default() };
            let found = bench.backend.list(filter).await.unwrap().len();
            assert_eq!(found, if state == JobState::Available { 26 } else { 0 }, "{state}");
        }
    }

    [38] Pause => a_pause_holds_for_every_handle(bench) {
        bench.backend.pause(queue()).await.unwrap();
        let other = bench.fixture.reopen().await;
        other.push(jobs(1).into()).await.unwrap();
        assert!(other.reserve(bench.request(1)).await.unwrap().jobs.is_empty());
        assert!(other.stats().await.unwrap()[0].paused);
        other.resume(queue()).await.unwrap();
        assert_eq!(bench.claim(1).await.len(), 1);
    }

    [38 32] Pause => a_resume_wakes_workers(bench) {
        bench.backend.pause(queue()).await.unwrap();
        let id = bench.pushed().await;
        let wait = bench.waits_after(&bench.reserve(bench.request(1)).await);
        bench.backend.resume(queue()).await.unwrap();
        wait.ended().await;
        assert_eq!(bench.take().await.id, id);
    }

    [38] Pause => a_pause_holds_callbacks_back_too(bench) {
        bench.pushed().await;
        bench.assert_claimable_then(bury_owing()).await;
        bench.backend.leave(bench.worker).await.unwrap();
        bench.backend.pause(queue()).await.unwrap();
        bench.assert_nothing_to_claim().await;
        bench.backend.resume(queue()).await.unwrap();
        assert_eq!(bench.claim(10).await.len(), 1);
    }

    [38 1] Durable => what_is_stored_is_there_for_another_handle(bench) {
        let batch = jobs(3);
        bench.push(batch.clone()).await;
        let claimed = bench.take().await;
        let other = bench.fixture.reopen().await;
        let rest = other.reserve(bench.request(10)).await.unwrap().jobs;
        assert_eq!(claimed_ids(&rest), [batch[1].id, batch[2].id]);
        let end = crate::queue::Settlement { job: claimed.id, token: claimed.token, end: complete() };
        assert_eq!(other.settle(vec![end]).await.unwrap(), [crate::queue::Settled::Done]);
    }

    [39 11] => payloads_may_be_any_bytes(bench) {
        let payloads = [garbage(), Vec::new(), b"{\"half\":".to_vec(), "\u{0}".into()];
        let batch: Vec<_> = payloads.iter().map(|bytes| NewJob { payload: Payload::from(bytes.clone()), ..job() }).collect();
        bench.push(batch).await;
        let claimed = bench.claim(10).await;
        let bytes: Vec<_> = claimed.iter().map(|job| job.payload.as_bytes().to_vec()).collect();
        assert_eq!(bytes, payloads);
        for job in &claimed {
            bench.end(job, bury()).await;
        }
        bench.backend.stats().await.unwrap();
    }

    [39] List Spoil => garbage_in_one_job_harms_no_other(bench) {
        let batch = jobs(4);
        bench.push(batch.clone()).await;
        for (job, part) in batch.iter().zip([Part::Payload, Part::Meta, Part::Errors]) {
            bench.fixture.spoil(job.id, part, garbage()).await;
        }
        let asked = batch.iter().map(|job| job.id).collect();
        assert!(bench.backend.get(asked).await.unwrap().iter().all(Option::is_some));
        assert_eq!(bench.backend.list(JobFilter::default()).await.unwrap().len(), 4);
        let claimed = bench.claim(10).await;
        assert_eq!(claimed.len(), 4);
        assert_eq!(claimed[0].payload.as_bytes(), garbage());
        for claimed in &claimed {
            bench.end(claimed, retry(Duration::ZERO)).await;
        }
        for claimed in bench.claim(10).await {
            bench.end(&claimed, bury()).await;
        }
        assert_eq!(bench.record(batch[0].id).await.payload.as_bytes(), garbage(), "the bytes stay");
        assert_eq!(bench.record(batch[2].id).await.errors.last().map(|error| &*error.message), Some("for good"));
    }

    [39 30] List Spoil Lease => garbage_stops_no_upkeep(bench) {
        let batch = [NewJob { on_failure: true, ..job() }, job()];
        bench.push(batch.clone()).await;
        for claimed in bench.claim_for(2, SHORT).await {
            bench.end(&claimed, bury_owing()).await;
        }
        bench.fixture.spoil(batch[0].id, Part::Errors, garbage()).await;
        bench.fixture.spoil(batch[1].id, Part::Meta, garbage()).await;
        bench.lose().await;
        assert_eq!(bench.claim(10).await.len(), 1, "a lost callback is claimed alone");
        assert_eq!(bench.claim(10).await.len(), 1);
        assert_eq!(bench.backend.stats().await.unwrap()[0].count(JobState::Dead), 2);
    }
}

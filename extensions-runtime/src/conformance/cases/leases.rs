//! Q19–Q24: leases.

use super::super::bench::{
    Bench, LONG, SHORT, bury_owing, claimed_ids, complete, handler, job, jobs, known, unique,
};
use super::cases;
use crate::job::{ClaimedJob, ErrorKind, JobId, JobState, LeaseToken, NewJob, Progress, Purpose};
use crate::queue::{ClaimRequest, Extend, Extended, Pushed, Settle, Settled, TakeLost};

/// Claims the job and loses it, so many times.
async fn lose_times(bench: &Bench, times: usize) {
    for _ in 0..times {
        bench.take_for(SHORT).await;
        bench.lose().await;
    }
}

fn with_token(job: &ClaimedJob, token: LeaseToken) -> ClaimedJob {
    ClaimedJob { token, ..job.clone() }
}

cases! {
    [19] Lease => a_lost_claim_gives_job_and_attempt_back(bench) {
        bench.pushed().await;
        let lost = bench.take_for(SHORT).await;
        let done = bench.lose().await;
        assert_eq!((done.rescued, done.quarantined), (1, 0));
        let again = bench.take().await;
        assert_eq!((again.id, again.attempt, again.lost_count), (lost.id, 1, 0));
        assert_ne!(again.token, lost.token);
    }

    [19 24] Lease => an_ended_lease_can_be_settled_until_it_is_taken_back(bench) {
        bench.pushed().await;
        let late = bench.take_for(SHORT).await;
        bench.pass(SHORT).await;
        bench.end(&late, complete()).await;
        assert_eq!(bench.maintain().await.rescued, 0);
        bench.assert_nothing_to_claim().await;
    }

    [19] Lease => each_job_of_a_claim_has_its_own_lease(bench) {
        bench.push(jobs(3)).await;
        let claimed = bench.claim_for(3, SHORT).await;
        assert_eq!(bench.extend(&claimed[1], LONG).await, Extended::Held);
        assert_eq!(bench.lose().await.rescued, 2);
        bench.end(&claimed[1], complete()).await;
        assert_eq!(bench.settle(&claimed[0], complete()).await, Settled::LeaseLost);
    }

    [20] Lease => a_lost_job_is_claimed_alone(bench) {
        let lost = bench.pushed().await;
        bench.take_for(SHORT).await;
        bench.lose().await;
        let others = jobs(3);
        bench.push(others.clone()).await;
        let mut alone = 0;
        let mut seen = Vec::new();
        while seen.len() < 4 {
            let claimed = claimed_ids(&bench.claim(10).await);
            assert!(!claimed.is_empty(), "the others are claimable");
            if claimed.contains(&lost) {
                assert_eq!(claimed, [lost]);
                alone += 1;
            }
            seen.extend(claimed);
        }
        assert_eq!(alone, 1);
    }

    [20] Lease => only_losses_after_a_recorded_start_count(bench) {
        bench.pushed().await;
        lose_times(&bench, 1).await;
        let second = bench.take_for(SHORT).await;
        assert_eq!(second.lost_count, 0, "the first loss was before a recorded start");
        bench.lose().await;
        assert_eq!(bench.take().await.lost_count, 1);
    }

    [20 28] Lease => a_release_is_no_loss(bench) {
        bench.pushed().await;
        for _ in 0..5 {
            bench.assert_claimable_then(Settle::Release).await;
        }
        let claimed = bench.take().await;
        assert_eq!((claimed.lost_count, claimed.attempt), (0, 1));
    }

    [21 14] Lease => lost_jobs_are_claimed_only_where_they_may_be(bench) {
        let lost = bench.pushed().await;
        lose_times(&bench, 2).await;
        let other = bench.pushed().await;
        let careful = ClaimRequest { lost: TakeLost::Uncounted, ..bench.request(10) };
        assert_eq!(claimed_ids(&bench.reserve(careful).await.jobs), [other]);
        assert_eq!(claimed_ids(&bench.claim(10).await), [lost]);
    }

    [21] Lease => a_claim_without_a_free_slot_passes_lost_jobs_by(bench) {
        let lost = bench.pushed().await;
        lose_times(&bench, 1).await;
        let (first, second) = (bench.pushed().await, bench.pushed().await);
        let ahead = ClaimRequest { lost: TakeLost::None, ..bench.request(10) };
        assert_eq!(claimed_ids(&bench.reserve(ahead).await.jobs), [first, second]);
        assert_eq!(claimed_ids(&bench.claim(10).await), [lost]);
    }

    [22] Lease List => the_third_counted_loss_quarantines(bench) {
        let id = bench.pushed().await;
        lose_times(&bench, 3).await;
        assert_eq!(bench.state(id).await, JobState::Available);
        bench.take_for(SHORT).await;
        let done = bench.lose().await;
        assert_eq!((done.rescued, done.quarantined), (0, 1));
        let record = bench.record(id).await;
        assert_eq!((record.state, record.lost_count, record.owes_on_failure), (JobState::Quarantined, 3, false));
        let error = record.errors.last().expect("an error says so");
        assert_eq!(error.kind, ErrorKind::Lost);
        assert!(error.message.contains("quarantine"), "{}", error.message);
        bench.assert_nothing_to_claim().await;
    }

    [22 17] Lease => a_quarantined_job_owes_its_callback(bench) {
        bench.push([NewJob { on_failure: true, ..job() }]).await;
        lose_times(&bench, 4).await;
        let callback = bench.take().await;
        assert_eq!(callback.purpose, Purpose::OnFailure);
        assert_eq!(callback.last_error.as_ref().map(|error| error.kind), Some(ErrorKind::Lost));
        bench.end(&callback, Settle::CallbackDone).await;
        bench.assert_nothing_to_claim().await;
    }

    [23] Lease => an_extended_claim_holds_on(bench) {
        bench.pushed().await;
        let claimed = bench.take_for(SHORT).await;
        assert_eq!(bench.extend(&claimed, LONG).await, Extended::Held);
        assert_eq!(bench.lose().await.rescued, 0);
        bench.end(&claimed, complete()).await;
    }

    [23] Lease => an_extension_can_shorten_a_claim(bench) {
        bench.pushed().await;
        let claimed = bench.take_for(LONG).await;
        assert_eq!(bench.extend(&claimed, SHORT).await, Extended::Held);
        assert_eq!(bench.lose().await.rescued, 1);
    }

    [23] Lease => a_wrong_token_extends_nothing(bench) {
        bench.push(jobs(2)).await;
        let claimed = bench.claim_for(2, SHORT).await;
        let swapped = with_token(&claimed[0], claimed[1].token);
        assert_eq!(bench.extend(&swapped, LONG).await, Extended::LeaseLost);
        let strange = ClaimedJob { id: JobId::new(), ..claimed[0].clone() };
        assert_eq!(bench.extend(&strange, LONG).await, Extended::LeaseLost);
        assert_eq!(bench.lose().await.rescued, 2);
        assert_eq!(bench.extend(&claimed[0], LONG).await, Extended::LeaseLost);
    }

    [23] List => an_extension_carries_progress(bench) {
        let id = bench.pushed().await;
        let claimed = bench.take().await;
        let progress = Progress { fraction: 0.25, note: "a quarter".to_owned() };
        let extend = |progress| Extend { job: id, token: claimed.token, progress };
        bench.backend.extend(vec![extend(Some(progress.clone()))], LONG).await.unwrap();
        bench.backend.extend(vec![extend(None)], LONG).await.unwrap();
        assert_eq!(bench.record(id).await.progress, Some(progress));
    }

    [23 37] List => an_extension_hears_of_a_cancellation(bench) {
        let id = bench.pushed().await;
        let claimed = bench.take().await;
        assert_eq!(bench.extend(&claimed, LONG).await, Extended::Held);
        bench.backend.cancel(vec![id], "enough".to_owned()).await.unwrap();
        assert_eq!(bench.extend(&claimed, LONG).await, Extended::CancelRequested);
        assert_eq!(bench.extend(&claimed, LONG).await, Extended::CancelRequested);
    }

    [24] Lease => a_claim_that_was_taken_over_settles_nothing(bench) {
        bench.pushed().await;
        let stale = bench.take_for(SHORT).await;
        bench.lose().await;
        assert_eq!(bench.settle(&stale, complete()).await, Settled::LeaseLost);
        let current = bench.take().await;
        for end in [complete(), Settle::Release, bury_owing(), Settle::complete(false)] {
            assert_eq!(bench.settle(&stale, end).await, Settled::LeaseLost);
        }
        bench.end(&current, complete()).await;
    }

    [24] => another_jobs_token_settles_nothing(bench) {
        bench.push(jobs(2)).await;
        let claimed = bench.claim(2).await;
        let swapped = with_token(&claimed[0], claimed[1].token);
        assert_eq!(bench.settle(&swapped, Settle::complete(false)).await, Settled::LeaseLost);
        bench.end(&claimed[0], complete()).await;
        bench.end(&claimed[1], complete()).await;
    }

    [24] => a_claim_is_settled_once(bench) {
        bench.push([unique("k"), job()]).await;
        for keep in [true, false] {
            let claimed = bench.take().await;
            bench.end(&claimed, Settle::complete(keep)).await;
            assert_eq!(bench.settle(&claimed, Settle::complete(keep)).await, Settled::LeaseLost);
            assert_eq!(bench.settle(&claimed, Settle::Release).await, Settled::LeaseLost);
        }
        bench.assert_nothing_to_claim().await;
        assert_eq!(bench.push([unique("k")]).await, [Pushed::Queued]);
    }

    [24 15] => a_job_under_no_lease_cannot_be_settled(bench) {
        let id = bench.pushed().await;
        let never = ClaimedJob { id, token: LeaseToken(0), ..bench.claim_strange().await };
        assert_eq!(bench.settle(&never, Settle::complete(false)).await, Settled::LeaseLost);
        assert_eq!(bench.take().await.id, id);
    }
}

impl Bench {
    /// A claim of some other job.
    async fn claim_strange(&self) -> ClaimedJob {
        let strange = NewJob { queue: "elsewhere".into(), ..job() };
        self.push([strange.clone()]).await;
        let handlers = vec![known(&handler())].into();
        let request = ClaimRequest { queues: vec![strange.queue], handlers, ..self.request(1) };
        self.reserve(request).await.jobs.remove(0)
    }
}

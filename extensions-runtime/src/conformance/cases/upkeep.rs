//! Q33–Q36: upkeep, workers, unroutable jobs, figures.

use std::sync::Arc;
use std::time::Duration;

use super::super::bench::{
    Bench, KEEP_NOTHING, LONG, SHORT, bury, bury_owing, claimed_ids, complete, handler, ids, job, jobs,
    known, queue, retry, settlement,
};
use super::cases;
use crate::job::{HandlerKey, JobState, NewJob, QueueName, WorkerId};
use crate::queue::{ClaimRequest, JobFilter, Retention, Settle, Settled};

fn strange() -> NewJob {
    NewJob { handler: HandlerKey::new("OrderPlaced", "strange"), ..job() }
}

async fn beat(bench: &Bench, handlers: &[HandlerKey], live_for: Duration) -> WorkerId {
    let worker = bench.worker_info(handlers, live_for);
    bench.backend.beat(worker.clone(), Vec::new()).await.unwrap();
    worker.id
}

cases! {
    [33 10] => upkeep_makes_due_jobs_available(bench) {
        bench.push([NewJob { delay: SHORT, ..job() }, NewJob { delay: LONG, ..job() }]).await;
        bench.pass(SHORT).await;
        assert_eq!(bench.maintain().await.promoted, 1);
        assert_eq!(bench.maintain().await.promoted, 0);
        assert_eq!(bench.claim(10).await.len(), 1);
    }

    [33] Lease => many_may_keep_up_at_once(bench) {
        bench.push(jobs(200)).await;
        bench.claim_for(200, SHORT).await;
        bench.pass(SHORT).await;
        let rounds = (0..8).map(|_| {
            let backend = Arc::clone(&bench.backend);
            tokio::spawn(async move { backend.maintain(Retention::default()).await.unwrap().rescued })
        });
        let mut rescued = 0;
        for round in rounds.collect::<Vec<_>>() {
            rescued += round.await.unwrap();
        }
        assert_eq!(rescued, 200, "each job is rescued once");
    }

    [33] List => old_jobs_are_pruned_and_young_ones_kept(bench) {
        let old = bench.pushed().await;
        bench.assert_claimable_then(complete()).await;
        let dead = bench.pushed().await;
        bench.assert_claimable_then(bury()).await;
        bench.pass(SHORT).await;
        assert_eq!(bench.maintain().await.pruned, 0, "an hour is not over");
        let short = Retention { completed: SHORT, ..Retention::default() };
        assert_eq!(bench.backend.maintain(short).await.unwrap().pruned, 1);
        assert_eq!(bench.find(old).await, None);
        assert_eq!(bench.state(dead).await, JobState::Dead);
    }

    [33 30] List => what_is_unfinished_or_owed_is_never_pruned(bench) {
        let waiting = bench.pushed().await;
        bench.pass(Duration::from_millis(2)).await;
        let owing = bench.pushed().await;
        let claimed = bench.claim(2).await;
        bench.end(&claimed[0], retry(LONG)).await;
        bench.end(&claimed[1], bury_owing()).await;
        bench.pass(SHORT).await;
        assert_eq!(bench.backend.maintain(KEEP_NOTHING).await.unwrap().pruned, 0);
        assert_eq!((bench.state(waiting).await, bench.state(owing).await), (JobState::Retryable, JobState::Dead));
        bench.end(&claimed[1], Settle::CallbackDone).await;
        bench.pass(SHORT).await;
        assert_eq!(bench.backend.maintain(KEEP_NOTHING).await.unwrap().pruned, 1);
    }

    [33] List => of_jobs_completed_together_each_is_pruned_for_itself(bench) {
        let batch = jobs(6);
        bench.push(batch.clone()).await;
        let claimed = bench.claim(6).await;
        let ends = claimed.iter().map(|job| settlement(job, complete()));
        assert_eq!(bench.backend.settle(ends.collect()).await.unwrap(), [Settled::Done; 6]);
        // Under the same ids as before, one is completed once more, and one runs.
        let again = [batch[1].clone(), batch[4].clone()];
        bench.backend.forget(ids(&again)).await.unwrap();
        bench.push(again).await;
        let claimed = bench.claim(2).await;
        bench.end(&claimed[0], complete()).await;
        bench.pass(SHORT).await;
        for (limit, pruned) in [(3, 3), (3, 2), (3, 0)] {
            assert_eq!(bench.backend.prune(KEEP_NOTHING, limit).await.unwrap(), pruned);
        }
        assert_eq!(bench.state(batch[4].id).await, JobState::Running);
        bench.end(&claimed[1], complete()).await;
    }

    [33] List => a_job_that_was_completed_once_more_is_kept_from_then_on(bench) {
        let batch = jobs(2);
        bench.push(batch.clone()).await;
        let claimed = bench.claim(2).await;
        let ends = claimed.iter().map(|job| settlement(job, complete()));
        assert_eq!(bench.backend.settle(ends.collect()).await.unwrap(), [Settled::Done; 2]);
        let first_end = bench.record(batch[0].id).await.entered[&JobState::Completed];
        bench.backend.forget(ids(&batch[1..])).await.unwrap();
        bench.pass(SHORT).await;
        bench.push([batch[1].clone()]).await;
        bench.assert_claimable_then(complete()).await;
        for pruned in [1, 0] {
            let since = bench.backend.now().await.unwrap().since(first_end);
            let until_then = Retention { completed: since, ..Retention::default() };
            assert_eq!(bench.backend.prune(until_then, 1).await.unwrap(), pruned);
        }
        assert_eq!(bench.state(batch[1].id).await, JobState::Completed);
        bench.pass(SHORT).await;
        assert_eq!(bench.backend.prune(KEEP_NOTHING, 10).await.unwrap(), 1);
        assert_eq!(bench.find(batch[1].id).await, None);
    }

    [33] => an_operator_prunes_no_more_than_the_limit(bench) {
        bench.push(jobs(10)).await;
        for claimed in bench.claim(10).await {
            bench.end(&claimed, complete()).await;
        }
        bench.pass(SHORT).await;
        assert_eq!(bench.backend.prune(KEEP_NOTHING, 4).await.unwrap(), 4);
        assert_eq!(bench.backend.prune(KEEP_NOTHING, 100).await.unwrap(), 6);
    }

    [34] => a_worker_that_beats_is_listed(bench) {
        let worker = bench.worker_info(&[handler()], LONG);
        bench.backend.beat(worker.clone(), Vec::new()).await.unwrap();
        bench.backend.beat(crate::queue::WorkerInfo { busy: 3, ..worker.clone() }, Vec::new()).await.unwrap();
        let listed = bench.backend.workers().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].id, listed[0].busy), (worker.id, 3));
        assert_eq!((&listed[0].handlers, &listed[0].queues), (&worker.handlers, &worker.queues));
        assert_ne!(listed[0].last_beat, worker.last_beat, "the backend's clock counts");
        assert_eq!(bench.stats_of(&queue()).await.workers, 1);
    }

    [34] => a_silent_worker_is_listed_no_more(bench) {
        beat(&bench, &[handler()], SHORT).await;
        let lively = beat(&bench, &[handler()], LONG).await;
        bench.pass(SHORT).await;
        let listed = bench.backend.workers().await.unwrap();
        assert_eq!(listed.iter().map(|worker| worker.id).collect::<Vec<_>>(), [lively]);
    }

    [34 28] => a_worker_that_leaves_gives_back_what_it_holds(bench) {
        let worker = bench.worker_info(&[handler()], LONG);
        bench.backend.beat(worker.clone(), Vec::new()).await.unwrap();
        bench.push(jobs(4)).await;
        let held = bench.reserve(ClaimRequest { worker: worker.id, ..bench.request(3) }).await.jobs;
        let other = bench.take().await;
        bench.end(&held[2], complete()).await;
        bench.backend.leave(worker.id).await.unwrap();
        assert!(bench.backend.workers().await.unwrap().is_empty());
        let again = bench.claim(10).await;
        assert_eq!(claimed_ids(&again), claimed_ids(&held[..2]));
        assert!(again.iter().all(|job| job.attempt == 1 && job.lost_count == 0));
        bench.end(&other, complete()).await;
    }

    [34 30] => a_leaving_worker_leaves_its_callbacks_to_others(bench) {
        bench.pushed().await;
        let claimed = bench.take().await;
        bench.end(&claimed, bury_owing()).await;
        bench.backend.leave(bench.worker).await.unwrap();
        assert_eq!(bench.take().await.purpose, crate::job::Purpose::OnFailure);
    }

    [35] List => a_job_that_no_live_worker_knows_is_unroutable(bench) {
        beat(&bench, &[handler()], LONG).await;
        let (lost, newer) = (strange(), NewJob { point_version: 2, ..job() });
        bench.push([lost.clone(), newer.clone()]).await;
        let own = bench.pushed().await;
        bench.maintain().await;
        for id in [lost.id, newer.id] {
            let record = bench.record(id).await;
            assert_eq!(record.state, JobState::Unroutable);
            assert!(record.entered.contains_key(&JobState::Unroutable));
        }
        assert_eq!(bench.state(own).await, JobState::Available);
        let found = JobFilter { states: vec![JobState::Unroutable], ..JobFilter::default() };
        assert_eq!(bench.backend.list(found).await.unwrap().len(), 2);
    }

    [35 14] => an_unroutable_job_is_claimed_as_soon_as_its_handler_is_named(bench) {
        beat(&bench, &[handler()], LONG).await;
        let lost = strange();
        bench.push([lost.clone()]).await;
        bench.maintain().await;
        let handlers = vec![known(&lost.handler)].into();
        let claimed = bench.reserve(ClaimRequest { handlers, ..bench.request(1) }).await.jobs;
        assert_eq!(claimed_ids(&claimed), [lost.id]);
    }

    [35] List => a_worker_that_knows_the_handler_ends_it(bench) {
        beat(&bench, &[handler()], LONG).await;
        let lost = strange();
        bench.push([lost.clone()]).await;
        bench.maintain().await;
        beat(&bench, std::slice::from_ref(&lost.handler), LONG).await;
        bench.maintain().await;
        assert_eq!(bench.state(lost.id).await, JobState::Available);
    }

    [35] List => a_job_waits_for_workers_where_none_serves_its_queue(bench) {
        let elsewhere = NewJob { queue: QueueName::from("elsewhere"), ..strange() };
        beat(&bench, &[handler()], LONG).await;
        bench.push([elsewhere.clone()]).await;
        bench.maintain().await;
        assert_eq!(bench.state(elsewhere.id).await, JobState::Available);
    }

    [36] List => every_job_is_counted_once_as_it_is_shown(bench) {
        beat(&bench, &[handler()], LONG).await;
        let cancel = Settle::Cancel { reason: "r".to_owned(), keep: true };
        for end in [complete(), bury(), bury_owing(), cancel, retry(LONG), Settle::Snooze { delay: LONG }] {
            bench.pushed().await;
            bench.assert_claimable_then(end).await;
        }
        bench.pushed().await;
        bench.take().await;
        bench.push([NewJob { delay: LONG, ..job() }, job(), job(), strange()]).await;
        let counted = bench.stats_of(&queue()).await;
        let mut shown = std::collections::BTreeMap::new();
        for record in bench.backend.list(JobFilter::default()).await.unwrap() {
            *shown.entry(record.state).or_insert(0_u64) += 1;
        }
        assert_eq!(counted.counts, shown);
        assert_eq!(shown.values().sum::<u64>(), 11);
        use JobState::{Available, Cancelled, Completed, Dead, Retryable, Running, Scheduled, Unroutable};
        let wanted = [(Scheduled, 2), (Available, 2), (Running, 1), (Retryable, 1), (Completed, 1), (Dead, 2), (Cancelled, 1), (Unroutable, 1)];
        assert_eq!(counted.counts.into_iter().collect::<Vec<_>>(), wanted);
    }

    [36] List Lease => figures_stay_right_through_everything(bench) {
        bench.push([NewJob { delay: SHORT, ..job() }, NewJob { queue: "other".into(), ..job() }]).await;
        bench.push(jobs(6)).await;
        let claimed = bench.claim_for(6, SHORT).await;
        bench.end(&claimed[0], complete()).await;
        bench.end(&claimed[1], Settle::complete(false)).await;
        bench.end(&claimed[2], bury_owing()).await;
        bench.end(&claimed[3], retry(LONG)).await;
        bench.end(&claimed[4], Settle::Cancel { reason: String::new(), keep: true }).await;
        bench.lose().await;
        bench.backend.retry(vec![claimed[3].id, claimed[4].id]).await.unwrap();
        bench.backend.cancel(vec![claimed[3].id], String::new()).await.unwrap();
        bench.backend.forget(vec![claimed[0].id, claimed[3].id]).await.unwrap();
        let mut shown = std::collections::BTreeMap::new();
        for record in bench.backend.list(JobFilter::default()).await.unwrap() {
            *shown.entry((record.queue, record.state)).or_insert(0_u64) += 1;
        }
        let stats = bench.backend.stats().await.unwrap();
        let counted = stats.into_iter().flat_map(|stats| {
            stats.counts.into_iter().map(move |(state, n)| ((stats.queue.clone(), state), n)).collect::<Vec<_>>()
        });
        assert_eq!(counted.collect::<std::collections::BTreeMap<_, _>>(), shown);
        use JobState::{Available, Dead};
        let wanted = [((queue(), Available), 3), ((queue(), Dead), 1), (("other".into(), Available), 1)];
        assert_eq!(shown, wanted.into());
    }

    [36] List => figures_of_jobs_that_are_gone_are_gone(bench) {
        bench.push(jobs(4)).await;
        let claimed = bench.claim(4).await;
        bench.end(&claimed[0], Settle::complete(false)).await;
        bench.end(&claimed[1], complete()).await;
        bench.end(&claimed[2], bury()).await;
        bench.end(&claimed[3], Settle::Cancel { reason: String::new(), keep: false }).await;
        bench.backend.forget(vec![claimed[1].id]).await.unwrap();
        bench.pass(SHORT).await;
        bench.backend.prune(KEEP_NOTHING, 10).await.unwrap();
        let stats = bench.stats_of(&queue()).await;
        assert_eq!((stats.counts, stats.oldest_wait), (std::collections::BTreeMap::new(), None));
    }

    [36] => figures_are_by_queue(bench) {
        bench.push([job(), NewJob { queue: "other".into(), ..job() }, job()]).await;
        let mut all = bench.backend.stats().await.unwrap();
        all.sort_by(|a, b| a.queue.cmp(&b.queue));
        let counts: Vec<_> = all.iter().map(|stats| (stats.queue.as_str(), stats.unfinished())).collect();
        assert_eq!(counts, [("default", 2), ("other", 1)]);
    }

    [36] => the_longest_wait_is_known(bench) {
        bench.pushed().await;
        bench.pass(SHORT).await;
        bench.pushed().await;
        let oldest = bench.stats_of(&queue()).await.oldest_wait.expect("two jobs wait");
        assert!(oldest >= SHORT && oldest < LONG, "{oldest:?}");
        bench.claim(10).await;
        assert_eq!(bench.stats_of(&queue()).await.oldest_wait, None);
    }
}

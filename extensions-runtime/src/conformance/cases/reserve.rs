//! Q12–Q18: claiming.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::bench::{
    Bench, LONG, SHORT, bury, bury_owing, claimed_ids, complete, handler, ids, job, jobs, known, queue, retry,
};
use super::cases;
use crate::job::{HandlerKey, JobState, NewJob, Purpose, QueueName, WorkerId};
use crate::queue::{ClaimRequest, KnownHandler, Settle, Settlement};

fn in_queue(name: &str) -> NewJob {
    NewJob { queue: QueueName::from(name), ..job() }
}

fn of_handler(name: &str) -> NewJob {
    NewJob { handler: HandlerKey::new("OrderPlaced", name), ..job() }
}

async fn claim_as(bench: &Bench, handlers: Vec<KnownHandler>, max: usize) -> Vec<crate::job::ClaimedJob> {
    bench.reserve(ClaimRequest { handlers: handlers.into(), ..bench.request(max) }).await.jobs
}

cases! {
    [12] => two_claims_share_no_job(bench) {
        let pushed = jobs(10);
        bench.push(pushed.clone()).await;
        let (first, second) = (bench.claim(6).await, bench.claim(6).await);
        assert_eq!([claimed_ids(&first), claimed_ids(&second)].concat(), ids(&pushed));
        assert_ne!(first[0].token, second[0].token);
        bench.assert_nothing_to_claim().await;
    }

    [12] => sixteen_claimers_never_get_one_job_twice(bench) {
        const JOBS: usize = 10_000;
        for _ in 0..10 {
            bench.push(jobs(JOBS / 10)).await;
        }
        let claimers = (0..16).map(|n| {
            let backend = Arc::clone(&bench.backend);
            let request = ClaimRequest { worker: WorkerId::new(), ..bench.request(1 + n % 7) };
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let jobs = backend.reserve(request.clone()).await.unwrap().jobs;
                    if jobs.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed_ids(&jobs));
                    let end = |job: &crate::job::ClaimedJob| Settlement { job: job.id, token: job.token, end: Settle::complete(false) };
                    let settled = backend.settle(jobs.iter().map(end).collect()).await.unwrap();
                    assert!(settled.iter().all(|settled| *settled == crate::queue::Settled::Done));
                }
            })
        });
        let mut all = Vec::new();
        for claimer in claimers.collect::<Vec<_>>() {
            all.extend(claimer.await.unwrap());
        }
        assert_eq!(all.len(), JOBS, "a job was claimed twice or never");
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), JOBS);
    }

    [13] => queues_are_served_in_the_order_of_the_request(bench) {
        let batch = [in_queue("low"), in_queue("high"), in_queue("low"), in_queue("high")];
        bench.push(batch.clone()).await;
        let queues = vec![QueueName::from("high"), QueueName::from("low")];
        let claimed = bench.reserve(ClaimRequest { queues, ..bench.request(3) }).await.jobs;
        assert_eq!(claimed_ids(&claimed), [batch[1].id, batch[3].id, batch[0].id]);
    }

    [12 13] => a_queue_that_is_named_twice_is_served_once(bench) {
        let id = bench.pushed().await;
        let mut request = bench.request(10);
        request.queues.extend(request.queues.clone());
        assert_eq!(claimed_ids(&bench.reserve(request).await.jobs), [id]);
    }

    [13] Priority => the_smaller_priority_goes_first(bench) {
        let batch: Vec<_> = [5, 0, 9, 3].map(|priority| NewJob { priority, ..job() }).into();
        bench.push(batch.clone()).await;
        assert_eq!(claimed_ids(&bench.claim(3).await), [batch[1].id, batch[3].id, batch[0].id]);
        assert_eq!(claimed_ids(&bench.claim(3).await), [batch[2].id]);
    }

    [13] => equal_jobs_go_in_the_order_of_their_push(bench) {
        let mut pushed = Vec::new();
        for _ in 0..20 {
            let id = bench.pushed().await;
            pushed.push(id);
        }
        assert_eq!(claimed_ids(&bench.claim(7).await), pushed[..7]);
        assert_eq!(claimed_ids(&bench.claim(100).await), pushed[7..]);
    }

    [13] => handlers_are_merged_into_one_order(bench) {
        let names: Vec<_> = (0..12).map(|n| format!("h{n}")).collect();
        let batch: Vec<_> = (0..60).map(|n| of_handler(&names[n * 5 % 12])).collect();
        bench.push(batch.clone()).await;
        let handlers: Vec<_> = batch.iter().map(|job| known(&job.handler)).collect();
        let mut claimed = claim_as(&bench, handlers.clone(), 25).await;
        claimed.extend(claim_as(&bench, handlers, 100).await);
        assert_eq!(claimed_ids(&claimed), ids(&batch));
    }

    [13 10] => what_may_run_earlier_goes_first(bench) {
        let (delayed, at_once) = (NewJob { delay: SHORT, ..job() }, job());
        bench.push([delayed.clone(), at_once.clone()]).await;
        bench.pass(SHORT).await;
        let later = bench.pushed().await;
        assert_eq!(claimed_ids(&bench.claim(10).await), [at_once.id, delayed.id, later]);
    }

    [14] Filter => jobs_of_unknown_handlers_are_left_alone(bench) {
        let strange = of_handler("strange");
        bench.push([strange.clone()]).await;
        let own = bench.pushed().await;
        assert_eq!(claimed_ids(&bench.claim(10).await), [own]);
        assert_eq!(claimed_ids(&claim_as(&bench, vec![known(&strange.handler)], 10).await), [strange.id]);
    }

    [14] Filter => newer_payload_versions_are_left_alone(bench) {
        let batch: Vec<_> = [3, 1, 2].map(|point_version| NewJob { point_version, ..job() }).into();
        bench.push(batch.clone()).await;
        let up_to = |max_version| vec![KnownHandler { handler: handler(), max_version }];
        assert_eq!(claimed_ids(&claim_as(&bench, up_to(2), 10).await), [batch[1].id, batch[2].id]);
        assert_eq!(claimed_ids(&claim_as(&bench, up_to(3), 10).await), [batch[0].id]);
    }

    [14] Filter => what_is_not_claimed_stands_in_nobodys_way(bench) {
        let held: Vec<_> = (0..2000).map(|_| NewJob { priority: 0, ..of_handler("held") }).collect();
        bench.push(held).await;
        let own = bench.pushed().await;
        assert_eq!(claimed_ids(&bench.claim(1).await), [own]);
    }

    [15] => a_claim_counts_the_attempt(bench) {
        bench.pushed().await;
        let first = bench.take().await;
        assert_eq!((first.attempt, first.max_attempts, first.purpose), (1, 3, Purpose::Attempt));
        bench.end(&first, retry(Duration::ZERO)).await;
        let second = bench.take().await;
        assert_eq!(second.attempt, 2);
        assert_eq!(second.id, first.id);
    }

    [15 12] Lease => a_claim_holds_until_its_lease_ends(bench) {
        bench.pushed().await;
        let mut lease = Duration::from_secs(2);
        loop {
            let start = Instant::now();
            let claimed = bench.take_for(lease).await;
            bench.pass(lease * 6 / 10).await;
            let rescued = bench.maintain().await.rescued;
            if start.elapsed() < lease {
                assert_eq!(rescued, 0);
                bench.assert_nothing_to_claim().await;
                bench.end(&claimed, complete()).await;
                return;
            }
            // The machine was too slow to tell; a longer lease will.
            bench.settle(&claimed, Settle::Release).await;
            lease *= 3;
        }
    }

    [15 31] List => a_claimed_job_is_running(bench) {
        let id = bench.pushed().await;
        bench.take().await;
        let record = bench.record(id).await;
        assert_eq!((record.state, record.attempt, record.worker), (JobState::Running, 1, Some(bench.worker)));
    }

    [16] => no_more_than_max_are_claimed(bench) {
        bench.push(jobs(10)).await;
        for wanted in [1, 2, 4] {
            assert_eq!(bench.claim(wanted).await.len(), wanted);
        }
    }

    [16 26 29] => ended_jobs_are_not_claimed(bench) {
        let cancel = Settle::Cancel { reason: "r".to_owned(), keep: true };
        for end in [complete(), bury(), cancel] {
            bench.pushed().await;
            bench.assert_claimable_then(end).await;
        }
        bench.maintain().await;
        bench.assert_nothing_to_claim().await;
    }

    [16 38] Pause => nothing_is_claimed_from_a_paused_queue(bench) {
        let other = in_queue("other");
        bench.push([job(), other.clone()]).await;
        bench.backend.pause(queue()).await.unwrap();
        let queues = vec![queue(), QueueName::from("other")];
        let claimed = bench.reserve(ClaimRequest { queues, ..bench.request(10) }).await.jobs;
        assert_eq!(claimed_ids(&claimed), [other.id]);
    }

    [16] => nothing_is_claimed_from_other_queues(bench) {
        bench.push([in_queue("other")]).await;
        bench.assert_nothing_to_claim().await;
    }

    [17 22] Lease => an_owed_callback_is_claimed_first_and_counts_nothing(bench) {
        let owing = NewJob { on_failure: true, ..job() };
        bench.push([owing.clone()]).await;
        let claimed = bench.take_for(SHORT).await;
        bench.end(&claimed, bury_owing()).await;
        bench.pushed().await;
        bench.lose().await;
        let callback = bench.take().await;
        assert_eq!((callback.id, callback.purpose), (owing.id, Purpose::OnFailure));
        assert_eq!((callback.attempt, callback.on_failure), (1, true));
        assert_eq!(callback.last_error.as_ref().map(|error| &*error.message), Some("for good"));
    }

    [17] Lease => callbacks_go_before_attempts_of_every_queue(bench) {
        let owing = NewJob { on_failure: true, ..in_queue("last") };
        bench.push([owing.clone()]).await;
        let queues = vec![queue(), QueueName::from("last")];
        let request = ClaimRequest { queues: queues.clone(), lease: SHORT, ..bench.request(1) };
        let claimed = bench.reserve(request).await.jobs.remove(0);
        bench.end(&claimed, bury_owing()).await;
        bench.lose().await;
        bench.push(jobs(3)).await;
        let claimed = bench.reserve(ClaimRequest { queues, ..bench.request(1) }).await.jobs;
        assert_eq!(claimed_ids(&claimed), [owing.id]);
    }

    [17 30] Lease List => a_callback_changes_no_state(bench) {
        bench.pushed().await;
        let claimed = bench.take_for(SHORT).await;
        bench.end(&claimed, bury_owing()).await;
        bench.lose().await;
        let callback = bench.take().await;
        let record = bench.record(callback.id).await;
        assert_eq!((record.state, record.attempt, record.owes_on_failure), (JobState::Dead, 1, true));
    }

    [18] => the_next_due_time_is_known(bench) {
        bench.push([NewJob { delay: LONG, ..job() }, NewJob { delay: LONG * 2, ..job() }]).await;
        let due = bench.reserve(bench.request(1)).await.next_due.expect("something is due");
        assert!(due <= LONG, "{due:?}");
        assert!(due > LONG / 2, "{due:?} wakes far too early");
    }

    [18 27] => a_retry_is_due(bench) {
        bench.pushed().await;
        bench.assert_claimable_then(retry(LONG)).await;
        let due = bench.reserve(bench.request(1)).await.next_due.expect("something is due");
        assert!(due <= LONG, "{due:?}");
    }

    [18] => nothing_is_due_where_nothing_waits(bench) {
        bench.pushed().await;
        assert_eq!(bench.reserve(bench.request(10)).await.next_due, None);
    }
}

//! Q6–Q11: storing jobs.

use std::sync::Arc;
use std::time::Duration;

use super::super::bench::{
    Bench, KEEP_NOTHING, LONG, SHORT, bury, claimed_ids, complete, handler, ids, job, jobs, retry, unique,
    unique_with,
};
use super::cases;
use crate::job::{FireId, JobId, JobMeta, JobState, NewJob, Payload, UniqueUntil};
use crate::queue::{ClaimRequest, Pushed, Settle};

fn duplicate(of: &NewJob) -> Vec<Pushed> {
    vec![Pushed::Duplicate { of: of.id }]
}

async fn push_one(bench: &Bench, job: &NewJob) -> Vec<Pushed> {
    bench.push([job.clone()]).await
}

/// Pushes a job under a key, claims it, ends it so; then the key must be free.
async fn assert_freed_by(bench: &Bench, end: Settle) {
    let (first, second) = (unique("k"), unique("k"));
    assert_eq!(push_one(bench, &first).await, [Pushed::Queued]);
    let claimed = bench.take().await;
    assert_eq!(push_one(bench, &second).await, duplicate(&first), "the key is held while the job runs");
    bench.end(&claimed, end).await;
    assert_eq!(push_one(bench, &second).await, [Pushed::Queued]);
    assert_eq!(bench.take().await.id, second.id);
}

/// The same for ends that let the job wait again: the key must still be held.
async fn assert_kept_by(bench: &Bench, end: Settle) {
    let (first, second) = (unique("k"), unique("k"));
    push_one(bench, &first).await;
    let claimed = bench.take().await;
    bench.end(&claimed, end).await;
    assert_eq!(push_one(bench, &second).await, duplicate(&first));
}

fn rich_job() -> NewJob {
    NewJob {
        point_version: 7,
        payload: Payload::from("{\"name\":\"Zoë 🦀 \\u0000 'quoted'\"}".as_bytes()),
        priority: 9,
        max_attempts: 4_000_000_000,
        on_failure: true,
        once: None,
        meta: JobMeta {
            root: FireId::new(),
            depth: 3,
            parent: Some(JobId::new()),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            tenant: Some("Łódź".to_owned()),
            user: Some("7".to_owned()),
            request: Some("4bf9".to_owned()),
            scopes: vec!["import-123".to_owned()],
            tags: vec!["a".to_owned(), String::new()],
        },
        ..job()
    }
}

cases! {
    [6] AtomicPush => a_batch_is_there_as_a_whole(bench) {
        let batch = jobs(500);
        let answers = bench.push(batch.clone()).await;
        assert_eq!(answers, vec![Pushed::Queued; 500]);
        assert_eq!(claimed_ids(&bench.claim_all().await), ids(&batch));
    }

    [6] AtomicPush => a_batch_over_many_queues_is_one_step(bench) {
        let batch: Vec<_> = (0..20).map(|n| NewJob { queue: format!("q{n}").as_str().into(), ..job() }).collect();
        bench.push(batch.clone()).await;
        let queues = batch.iter().map(|job| job.queue.clone()).collect();
        let claimed = bench.reserve(ClaimRequest { queues, ..bench.request(100) }).await.jobs;
        assert_eq!(claimed_ids(&claimed), ids(&batch));
    }

    [1 6] => concurrent_pushes_each_learn_their_own_outcome(bench) {
        let pushes = (0..32_usize).map(|n| {
            let backend = Arc::clone(&bench.backend);
            tokio::spawn(async move { backend.push(jobs(n).into()).await.unwrap().len() })
        });
        for (n, push) in pushes.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(push.await.unwrap(), n);
        }
        assert_eq!(bench.claim_all().await.len(), (0..32).sum::<usize>());
    }

    [7] => an_id_that_is_stored_is_not_stored_again(bench) {
        let first = job();
        push_one(&bench, &first).await;
        let changed = NewJob { payload: Payload::from(b"2".as_slice()), priority: 0, ..first.clone() };
        assert_eq!(push_one(&bench, &changed).await, [Pushed::Queued]);
        let claimed = bench.claim(10).await;
        assert_eq!(claimed_ids(&claimed), [first.id]);
        assert_eq!((claimed[0].payload.clone(), claimed[0].priority), (first.payload, first.priority));
    }

    [7] => an_id_twice_in_one_call_is_one_job(bench) {
        let twice = job();
        assert_eq!(bench.push([twice.clone(), job(), twice.clone()]).await, vec![Pushed::Queued; 3]);
        assert_eq!(bench.claim(10).await.iter().filter(|job| job.id == twice.id).count(), 1);
    }

    [7 16] => an_id_that_has_run_is_not_run_again(bench) {
        let done = job();
        push_one(&bench, &done).await;
        bench.assert_claimable_then(complete()).await;
        assert_eq!(push_one(&bench, &done).await, [Pushed::Queued]);
        bench.assert_nothing_to_claim().await;
    }

    [7 8] Unique => repeating_a_push_is_no_duplicate_of_itself(bench) {
        let own = unique("k");
        assert_eq!(push_one(&bench, &own).await, [Pushed::Queued]);
        assert_eq!(push_one(&bench, &own).await, [Pushed::Queued]);
        assert_eq!(bench.claim(10).await.len(), 1);
    }

    [8] Unique => a_held_key_keeps_the_second_job_out(bench) {
        let (first, second) = (unique("k"), unique("k"));
        assert_eq!(push_one(&bench, &first).await, [Pushed::Queued]);
        assert_eq!(push_one(&bench, &second).await, duplicate(&first));
        assert_eq!(push_one(&bench, &unique("other")).await, [Pushed::Queued]);
        assert_eq!(bench.claim(10).await.len(), 2);
    }

    [8 6] Unique => a_duplicate_keeps_nothing_else_of_its_call_back(bench) {
        let first = unique("k");
        push_one(&bench, &first).await;
        let batch = [job(), unique("k"), job()];
        assert_eq!(bench.push(batch.clone()).await, [Pushed::Queued, duplicate(&first)[0], Pushed::Queued]);
        assert_eq!(claimed_ids(&bench.claim(10).await), [first.id, batch[0].id, batch[2].id]);
    }

    [8] Unique => of_two_jobs_of_one_call_the_first_is_stored(bench) {
        let (first, second) = (unique("k"), unique("k"));
        assert_eq!(bench.push([first.clone(), second]).await, [Pushed::Queued, duplicate(&first)[0]]);
        assert_eq!(claimed_ids(&bench.claim(10).await), [first.id]);
    }

    [8] Unique => one_of_sixteen_racing_for_a_key_wins(bench) {
        for round in 0..20 {
            let start = Arc::new(tokio::sync::Barrier::new(16));
            let racers = (0..16).map(|_| {
                let (backend, start) = (Arc::clone(&bench.backend), Arc::clone(&start));
                let racer = unique(&format!("k{round}"));
                tokio::spawn(async move {
                    start.wait().await;
                    (racer.id, backend.push(vec![racer].into()).await.unwrap()[0])
                })
            });
            let mut answers = Vec::new();
            for racer in racers.collect::<Vec<_>>() {
                answers.push(racer.await.unwrap());
            }
            let won: Vec<_> = answers.iter().filter(|(_, answer)| *answer == Pushed::Queued).collect();
            assert_eq!(won.len(), 1, "{} jobs hold one key", won.len());
            let of = won[0].0;
            assert!(answers.iter().all(|(id, answer)| *id == of || *answer == Pushed::Duplicate { of }));
        }
        assert_eq!(bench.claim(100).await.len(), 20);
    }

    [9] Unique => completing_frees_the_key(bench) {
        assert_freed_by(&bench, complete()).await;
    }

    [9 26] Unique => completing_without_a_record_frees_the_key(bench) {
        assert_freed_by(&bench, Settle::complete(false)).await;
    }

    [9] Unique => burying_frees_the_key(bench) {
        assert_freed_by(&bench, bury()).await;
    }

    [9] Unique => cancelling_frees_the_key(bench) {
        assert_freed_by(&bench, Settle::Cancel { reason: "r".to_owned(), keep: true }).await;
    }

    [9] Unique => a_retry_keeps_the_key(bench) {
        assert_kept_by(&bench, retry(LONG)).await;
    }

    [9] Unique => a_snooze_keeps_the_key(bench) {
        assert_kept_by(&bench, Settle::Snooze { delay: LONG }).await;
    }

    [9] Unique => a_release_keeps_the_key(bench) {
        assert_kept_by(&bench, Settle::Release).await;
    }

    [9 22] Unique Lease => quarantine_frees_the_key(bench) {
        let first = unique("k");
        push_one(&bench, &first).await;
        for _ in 0..4 {
            bench.take_for(SHORT).await;
            bench.lose().await;
        }
        assert_eq!(push_one(&bench, &unique("k")).await, [Pushed::Queued]);
    }

    [9] Unique => a_lock_ends_after_its_time(bench) {
        let first = unique_with("k", Some(SHORT), UniqueUntil::End);
        push_one(&bench, &first).await;
        bench.pass(SHORT).await;
        assert_eq!(push_one(&bench, &unique("k")).await, [Pushed::Queued]);
    }

    [9] Unique => a_lock_holds_for_its_time(bench) {
        let first = unique_with("k", Some(LONG), UniqueUntil::End);
        push_one(&bench, &first).await;
        bench.pass(SHORT).await;
        assert_eq!(push_one(&bench, &unique("k")).await, duplicate(&first));
    }

    [9] Unique => a_lock_until_the_start_ends_with_the_first_claim(bench) {
        let first = unique_with("k", None, UniqueUntil::Start);
        push_one(&bench, &first).await;
        assert_eq!(push_one(&bench, &unique("k")).await, duplicate(&first));
        bench.take().await;
        assert_eq!(push_one(&bench, &unique("k")).await, [Pushed::Queued]);
    }

    [9] Unique => a_job_never_ends_the_lock_of_another(bench) {
        let first = unique_with("k", Some(SHORT), UniqueUntil::End);
        push_one(&bench, &first).await;
        let running = bench.take().await;
        bench.pass(SHORT).await;
        let second = unique("k");
        assert_eq!(push_one(&bench, &second).await, [Pushed::Queued]);
        bench.end(&running, complete()).await;
        assert_eq!(push_one(&bench, &unique("k")).await, duplicate(&second));
    }

    [9] Unique => a_second_start_ends_no_lock_of_another(bench) {
        let first = unique_with("k", None, UniqueUntil::Start);
        push_one(&bench, &first).await;
        let running = bench.take().await;
        let second = NewJob { delay: LONG, ..unique("k") };
        assert_eq!(push_one(&bench, &second).await, [Pushed::Queued]);
        bench.end(&running, retry(Duration::ZERO)).await;
        let again = bench.take().await;
        assert_eq!(again.id, first.id);
        assert_eq!(push_one(&bench, &unique("k")).await, duplicate(&second));
        bench.end(&again, complete()).await;
        assert_eq!(push_one(&bench, &unique("k")).await, duplicate(&second));
    }

    [9 33 37] Unique List => deleting_a_record_ends_no_lock_of_another(bench) {
        let (forgotten, pruned, holder) = (unique("k"), unique("k"), unique("k"));
        for ended in [&forgotten, &pruned] {
            push_one(&bench, ended).await;
            bench.assert_claimable_then(complete()).await;
        }
        push_one(&bench, &holder).await;
        bench.backend.forget(vec![forgotten.id]).await.unwrap();
        bench.pass(SHORT).await;
        assert_eq!(bench.backend.prune(KEEP_NOTHING, 10).await.unwrap(), 1);
        assert_eq!(push_one(&bench, &unique("k")).await, duplicate(&holder));
    }

    [9 8] Unique => a_key_whose_time_is_over_is_taken_by_one(bench) {
        let first = unique_with("k", Some(SHORT), UniqueUntil::End);
        push_one(&bench, &first).await;
        bench.pass(SHORT).await;
        let (second, third) = (unique("k"), unique("k"));
        let answers = bench.push([second.clone(), third]).await;
        assert_eq!(answers, [Pushed::Queued, duplicate(&second)[0]]);
    }

    [10 16] => a_delayed_job_is_not_claimed_before_its_time(bench) {
        bench.push([NewJob { delay: LONG, ..job() }]).await;
        bench.pass(SHORT).await;
        bench.maintain().await;
        bench.assert_nothing_to_claim().await;
    }

    [10] => a_delayed_job_is_claimed_after_its_time(bench) {
        let delayed = NewJob { delay: SHORT, ..job() };
        push_one(&bench, &delayed).await;
        bench.pass(SHORT).await;
        assert_eq!(bench.take().await.id, delayed.id);
    }

    [10 31] List => a_delayed_job_is_scheduled_until_its_time(bench) {
        let delayed = NewJob { delay: LONG, ..job() };
        push_one(&bench, &delayed).await;
        let record = bench.record(delayed.id).await;
        assert_eq!(record.state, JobState::Scheduled);
        assert_eq!(record.run_at.since(record.enqueued_at), LONG);
        assert_eq!(record.entered.keys().collect::<Vec<_>>(), [&JobState::Scheduled]);
    }

    [11] => a_job_comes_back_unchanged_in_its_claim(bench) {
        let pushed = rich_job();
        push_one(&bench, &pushed).await;
        let handlers = vec![crate::queue::KnownHandler { handler: handler(), max_version: 7 }].into();
        let claimed = bench.reserve(ClaimRequest { handlers, ..bench.request(1) }).await.jobs.remove(0);
        assert_eq!(claimed.id, pushed.id);
        assert_eq!(claimed.handler, pushed.handler);
        assert_eq!(claimed.point_version, pushed.point_version);
        assert_eq!(claimed.payload, pushed.payload);
        assert_eq!(claimed.queue, pushed.queue);
        assert_eq!(claimed.priority, pushed.priority);
        assert_eq!(claimed.max_attempts, pushed.max_attempts);
        assert_eq!(claimed.on_failure, pushed.on_failure);
        assert_eq!(claimed.meta, pushed.meta);
        assert_eq!(claimed.lost_count, 0);
    }

    [11] List => a_job_comes_back_unchanged_in_its_record(bench) {
        let pushed = NewJob { unique: unique("k").unique, ..rich_job() };
        push_one(&bench, &pushed).await;
        let record = bench.record(pushed.id).await;
        assert_eq!(record.handler, pushed.handler);
        assert_eq!(record.point_version, pushed.point_version);
        assert_eq!(record.payload, pushed.payload);
        assert_eq!(record.queue, pushed.queue);
        assert_eq!(record.priority, pushed.priority);
        assert_eq!(record.max_attempts, pushed.max_attempts);
        assert_eq!(record.unique, pushed.unique.map(|unique| unique.key));
        assert_eq!(record.meta, pushed.meta);
        assert_eq!((record.attempt, record.lost_count, record.owes_on_failure), (0, 0, false));
    }

    [11] => a_large_payload_comes_back_whole(bench) {
        let payload: Vec<u8> = (0..1_048_576_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        bench.push([NewJob { payload: Payload::from(payload.clone()), ..job() }]).await;
        assert!(bench.take_for(Duration::from_secs(60)).await.payload.as_bytes() == payload);
    }
}

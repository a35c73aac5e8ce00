//! Q1–Q18 at the edges: names, texts, sizes, numbers and times that a store may not expect.

use std::time::Duration;

use super::super::bench::{
    KEEP_NOTHING, LONG, SHORT, Waiting, bury, claimed_ids, complete, error, handler, ids, job, jobs, known,
    queue, settlement, unique, unique_with,
};
use super::cases;
use crate::job::{
    AttemptError, HandlerKey, JobId, JobMeta, JobState, NewJob, Payload, Progress, QueueName, UniqueUntil,
};
use crate::queue::{
    AdminOutcome, ClaimRequest, Extend, Extended, JobFilter, KnownHandler, Pushed, Retention, Settle,
    Settled, WaitRequest, WorkerInfo,
};

const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Names that mean something to one store or another.
fn odd_names() -> Vec<String> {
    let odd = [
        "two words",
        " ",
        "it's",
        "\"quoted\"",
        "a:b",
        "{tag}",
        "{}",
        "*",
        "?",
        "[a-z]",
        "%",
        "_",
        "\\",
        "\\x00",
        "$1",
        ";--",
        "a,b",
        "a|b",
        "tab\tline\n",
        "Ünïcödé",
        "队列",
        "🦀",
        "default ",
        "DEFAULT",
        "null",
        "0",
        "-1",
        "..",
    ];
    odd.into_iter().map(str::to_owned).chain(["x".repeat(200), "é".repeat(200)]).collect()
}

/// What may stand in any error, reason or note.
const ODD_TEXT: &str =
    "zero \u{0}, quotes '\"`, back\\slash \\u0000, line\r\nend, {\"json\": [1]}, 🦀 \u{202e}\u{feff}\u{ffff}";

fn in_queue(name: &str) -> NewJob {
    NewJob { queue: QueueName::from(name), ..job() }
}

/// A job with an id that no clock made.
fn with_id(n: u64) -> NewJob {
    let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mixed.to_be_bytes());
    bytes[8..].copy_from_slice(&n.to_le_bytes());
    NewJob { id: JobId::from_bytes(bytes), ..job() }
}

cases! {
    [11 13] => queues_may_have_any_names(bench) {
        let batch: Vec<_> = odd_names().iter().map(|name| in_queue(name)).collect();
        bench.push(batch.clone()).await;
        for job in batch.iter().rev() {
            let claimed = bench.reserve(ClaimRequest { queues: vec![job.queue.clone()], ..bench.request(100) }).await.jobs;
            assert_eq!(claimed_ids(&claimed), [job.id], "{:?}", job.queue);
            assert_eq!(claimed[0].queue, job.queue);
            bench.end(&claimed[0], complete()).await;
        }
        let stats = bench.backend.stats().await.unwrap();
        assert!(batch.iter().all(|job| stats.iter().any(|stats| stats.queue == job.queue)));
    }

    [11 14] => handlers_may_have_any_names(bench) {
        let of = |name: &String| HandlerKey::new("Order placed: {\"*\"}", name);
        let batch: Vec<_> = odd_names().iter().map(|name| NewJob { handler: of(name), ..job() }).collect();
        bench.push(batch.clone()).await;
        let worker = bench.worker_info(&batch.iter().map(|job| job.handler.clone()).collect::<Vec<_>>(), LONG);
        bench.backend.beat(worker.clone(), Vec::new()).await.unwrap();
        assert_eq!(bench.backend.workers().await.unwrap()[0].handlers, worker.handlers);
        for job in batch.iter().rev() {
            let handlers = vec![known(&job.handler)].into();
            let claimed = bench.reserve(ClaimRequest { handlers, ..bench.request(100) }).await.jobs;
            assert_eq!(claimed_ids(&claimed), [job.id], "{:?}", job.handler);
            assert_eq!(claimed[0].handler, job.handler);
        }
    }

    [36 38] List Pause => queues_with_any_name_are_paused_and_listed(bench) {
        for name in odd_names() {
            let one = in_queue(&name);
            bench.push([one.clone()]).await;
            bench.backend.pause(one.queue.clone()).await.unwrap();
            let request = ClaimRequest { queues: vec![one.queue.clone()], ..bench.request(1) };
            assert!(bench.reserve(request.clone()).await.jobs.is_empty(), "{name:?}");
            assert!(bench.stats_of(&one.queue).await.paused, "{name:?}");
            let found = bench.backend.list(JobFilter { queue: Some(one.queue.clone()), ..JobFilter::default() }).await.unwrap();
            assert_eq!(found.iter().map(|record| record.id).collect::<Vec<_>>(), [one.id], "{name:?}");
            bench.backend.resume(one.queue.clone()).await.unwrap();
            assert_eq!(claimed_ids(&bench.reserve(request).await.jobs), [one.id], "{name:?}");
        }
    }

    [32] => a_wait_on_a_queue_with_any_name_ends(bench) {
        for name in odd_names() {
            let request = ClaimRequest { queues: vec![name.as_str().into()], ..bench.request(1) };
            let cursor = bench.reserve(request.clone()).await.cursor;
            let wait = Waiting::on(&bench.backend, WaitRequest { queues: request.queues.clone(), cursor, timeout: LONG });
            bench.push([in_queue(&name)]).await;
            wait.ended().await;
            assert_eq!(bench.reserve(request).await.jobs.len(), 1, "{name:?}");
        }
    }

    [8] Unique => keys_may_be_any_text(bench) {
        for name in odd_names() {
            let (first, second) = (unique(&name), unique(&name));
            let answers = bench.push([first.clone(), second]).await;
            assert_eq!(answers, [Pushed::Queued, Pushed::Duplicate { of: first.id }], "{name:?}");
        }
    }

    [11 27 29] List => errors_and_reasons_may_be_any_text(bench) {
        let batch = jobs(3);
        bench.push(batch.clone()).await;
        let claimed = bench.claim(3).await;
        bench.end(&claimed[0], Settle::Retry { delay: LONG, error: error(1, ODD_TEXT) }).await;
        bench.end(&claimed[1], Settle::Bury { error: error(1, ODD_TEXT), owe_on_failure: true }).await;
        bench.end(&claimed[2], Settle::Cancel { reason: ODD_TEXT.to_owned(), keep: true }).await;
        assert_eq!(bench.record(batch[0].id).await.errors[0].message, ODD_TEXT);
        bench.end(&claimed[1], Settle::Release).await;
        assert_eq!(bench.take().await.last_error.map(|error| error.message).as_deref(), Some(ODD_TEXT));
        assert_eq!(bench.record(batch[2].id).await.reason.as_deref(), Some(ODD_TEXT));
    }

    [11 23 37] List => notes_tags_and_the_operators_words_may_be_any_text(bench) {
        let odd = || Some(ODD_TEXT.to_owned());
        let tagged = NewJob { meta: JobMeta { tenant: odd(), scopes: odd().into_iter().collect(), tags: odd().into_iter().collect(), ..job().meta }, ..job() };
        bench.push([tagged.clone()]).await;
        let claimed = bench.take().await;
        assert_eq!(claimed.meta, tagged.meta);
        let progress = Progress { fraction: 0.1, note: ODD_TEXT.to_owned() };
        let extend = Extend { job: claimed.id, token: claimed.token, progress: Some(progress.clone()) };
        assert_eq!(bench.backend.extend(vec![extend], LONG).await.unwrap(), [Extended::Held]);
        assert_eq!(bench.backend.cancel(vec![claimed.id], ODD_TEXT.to_owned()).await.unwrap(), [AdminOutcome::Requested]);
        bench.end(&claimed, Settle::Release).await;
        let record = bench.record(claimed.id).await;
        assert_eq!((record.progress, record.reason.as_deref()), (Some(progress), Some(ODD_TEXT)));
        assert_eq!(record.meta, tagged.meta);
    }

    [34] => workers_may_say_anything_of_themselves(bench) {
        let worker = WorkerInfo {
            host: ODD_TEXT.to_owned(),
            version: "x".repeat(300),
            pid: u32::MAX,
            slots: u32::MAX,
            queues: odd_names().iter().map(|name| QueueName::from(name.as_str())).collect(),
            ..bench.worker_info(&[], CENTURY)
        };
        bench.backend.beat(worker.clone(), Vec::new()).await.unwrap();
        let listed = bench.backend.workers().await.unwrap();
        assert_eq!(listed, [WorkerInfo { last_beat: listed[0].last_beat, ..worker }]);
    }

    [11] => every_byte_comes_back(bench) {
        let batch: Vec<_> = (0..=255_u8).map(|byte| NewJob { payload: Payload::from(vec![byte; usize::from(byte) + 1]), ..job() }).collect();
        bench.push(batch.clone()).await;
        let claimed = bench.claim_all().await;
        assert!(claimed.iter().map(|job| &job.payload).eq(batch.iter().map(|job| &job.payload)));
    }

    [11] List => numbers_may_be_as_large_as_they_can_be(bench) {
        let largest = NewJob { point_version: u32::MAX, max_attempts: u32::MAX, meta: JobMeta { depth: u32::MAX, ..job().meta }, ..job() };
        bench.push([largest.clone()]).await;
        assert_eq!(bench.claim(10).await.len(), 0, "its version is not known");
        let handlers: std::sync::Arc<[_]> = vec![KnownHandler { handler: handler(), max_version: u32::MAX }].into();
        let claimed = bench.reserve(ClaimRequest { handlers, ..bench.request(usize::MAX) }).await.jobs.remove(0);
        assert_eq!((claimed.point_version, claimed.max_attempts, claimed.meta.depth), (u32::MAX, u32::MAX, u32::MAX));
        let last = AttemptError { took: Some(CENTURY), ..error(u32::MAX, "") };
        bench.end(&claimed, Settle::Bury { error: last, owe_on_failure: false }).await;
        let record = bench.record(largest.id).await;
        assert_eq!((record.point_version, record.max_attempts), (u32::MAX, u32::MAX));
        assert_eq!((record.errors[0].attempt, record.errors[0].took), (u32::MAX, Some(CENTURY)));
        assert_eq!(bench.backend.list(JobFilter { limit: usize::MAX, ..JobFilter::default() }).await.unwrap().len(), 1);
        assert_eq!(bench.backend.prune(KEEP_NOTHING, u64::MAX).await.unwrap(), 1);
    }

    [10 18] List => a_delay_may_be_a_century(bench) {
        let (far, now) = (NewJob { delay: CENTURY, ..job() }, job());
        bench.push([far.clone(), now.clone()]).await;
        assert_eq!(claimed_ids(&bench.claim(10).await), [now.id]);
        let record = bench.record(far.id).await;
        assert_eq!((record.state, record.run_at.since(record.enqueued_at)), (JobState::Scheduled, CENTURY));
        let due = bench.reserve(bench.request(1)).await.next_due.expect("it is due some day");
        assert!(due > LONG && due <= CENTURY, "{due:?}");
    }

    [10 27 28] List => a_delay_without_end_fails_nothing(bench) {
        let never = NewJob { delay: Duration::MAX, ..job() };
        bench.push([never.clone()]).await;
        bench.push(jobs(2)).await;
        let claimed = bench.claim(10).await;
        bench.end(&claimed[0], Settle::Retry { delay: Duration::MAX, error: error(1, "x") }).await;
        bench.end(&claimed[1], Settle::Snooze { delay: Duration::MAX }).await;
        bench.maintain().await;
        bench.assert_nothing_to_claim().await;
        assert_eq!(bench.state(never.id).await, JobState::Scheduled);
        assert_eq!(bench.backend.retry(vec![never.id]).await.unwrap(), [AdminOutcome::Done]);
        assert_eq!(bench.take().await.id, never.id);
    }

    [9 41] Unique => locks_and_taken_ids_may_last_for_ever(bench) {
        let held = NewJob { once: Some(Duration::MAX), ..unique_with("k", Some(Duration::MAX), UniqueUntil::End) };
        bench.push([held.clone()]).await;
        assert_eq!(bench.push([unique("k")]).await, [Pushed::Duplicate { of: held.id }]);
        bench.assert_claimable_then(Settle::complete(false)).await;
        bench.push([held]).await;
        bench.assert_nothing_to_claim().await;
    }

    [9] Unique => a_lock_for_no_time_holds_nothing(bench) {
        let first = unique_with("k", Some(Duration::ZERO), UniqueUntil::End);
        bench.push([first]).await;
        bench.pass(Duration::from_millis(2)).await;
        assert_eq!(bench.push([unique("k")]).await, [Pushed::Queued]);
    }

    [15 23] Lease => a_lease_may_be_as_long_as_it_can_be(bench) {
        bench.push(jobs(2)).await;
        let claimed = bench.claim_for(2, CENTURY).await;
        assert_eq!(bench.extend(&claimed[1], Duration::MAX).await, Extended::Held);
        assert_eq!(bench.lose().await.rescued, 0);
        for claimed in &claimed {
            bench.end(claimed, complete()).await;
        }
    }

    [19 15] Lease => a_lease_of_no_time_ends_at_once(bench) {
        bench.push(jobs(2)).await;
        let claimed = bench.claim_for(2, Duration::ZERO).await;
        assert_eq!(claimed.len(), 2);
        bench.end(&claimed[1], complete()).await;
        bench.pass(Duration::from_millis(2)).await;
        assert_eq!(bench.maintain().await.rescued, 1);
        assert_eq!(bench.take().await.id, claimed[0].id);
    }

    [33] => what_is_kept_for_no_time_goes_with_the_next_upkeep(bench) {
        bench.push(jobs(3)).await;
        let claimed = bench.claim(3).await;
        let cancel = Settle::Cancel { reason: String::new(), keep: true };
        for (job, end) in claimed.iter().zip([complete(), cancel, bury()]) {
            bench.end(job, end).await;
        }
        bench.pass(Duration::from_millis(2)).await;
        assert_eq!(bench.backend.maintain(KEEP_NOTHING).await.unwrap().pruned, 3);
    }

    [33 37] => a_job_is_pruned_behind_any_number_that_were_deleted(bench) {
        const JOBS: usize = 12_000;
        let batch = jobs(JOBS);
        bench.push(batch.clone()).await;
        let claimed = bench.claim_all().await;
        for part in claimed.chunks(1000) {
            let ends = part.iter().map(|job| settlement(job, complete()));
            assert_eq!(bench.backend.settle(ends.collect()).await.unwrap(), vec![Settled::Done; 1000]);
        }
        for part in ids(&batch)[..JOBS - 1].chunks(1000) {
            bench.backend.forget(part.to_vec()).await.unwrap();
        }
        bench.pass(SHORT).await;
        assert_eq!(bench.backend.prune(KEEP_NOTHING, 10).await.unwrap(), 1);
    }

    [33] => what_is_kept_for_ever_is_never_pruned(bench) {
        bench.pushed().await;
        bench.assert_claimable_then(complete()).await;
        bench.pass(SHORT).await;
        let ever = Retention { completed: Duration::MAX, cancelled: Duration::MAX, dead: CENTURY };
        assert_eq!(bench.backend.maintain(ever).await.unwrap().pruned, 0);
        assert_eq!(bench.backend.prune(ever, 100).await.unwrap(), 0);
    }

    [2 6] => five_thousand_jobs_go_through_at_once(bench) {
        let batch: Vec<_> = (0..5000).map(with_id).collect();
        assert_eq!(bench.push(batch.clone()).await, vec![Pushed::Queued; 5000]);
        let mut claimed = bench.claim(1).await;
        claimed.extend(bench.claim(2000).await);
        claimed.extend(bench.claim_all().await);
        assert!(claimed_ids(&claimed) == ids(&batch), "all of them, in the order of their push");
        let extends = claimed.iter().map(|job| Extend { job: job.id, token: job.token, progress: None });
        assert_eq!(bench.backend.extend(extends.collect(), LONG).await.unwrap(), vec![Extended::Held; 5000]);
        for part in claimed.chunks(1000) {
            let ends = part.iter().map(|job| settlement(job, complete()));
            assert_eq!(bench.backend.settle(ends.collect()).await.unwrap(), vec![Settled::Done; 1000]);
        }
        assert_eq!(bench.stats_of(&queue()).await.count(JobState::Completed), 5000);
    }

    [2 8] Unique => a_thousand_keys_are_taken_and_freed_at_once(bench) {
        let all = || (0..1000).map(|n| unique(&format!("k{n}"))).collect::<Vec<_>>();
        let first = all();
        bench.push(first.clone()).await;
        let duplicates: Vec<_> = first.iter().map(|job| Pushed::Duplicate { of: job.id }).collect();
        assert!(bench.push(all()).await == duplicates, "each answer names the holder of its own key");
        let claimed = bench.claim_all().await;
        let ends = claimed.iter().map(|job| settlement(job, complete()));
        bench.backend.settle(ends.collect()).await.unwrap();
        assert_eq!(bench.push(all()).await, vec![Pushed::Queued; 1000]);
    }

    [37] List => a_long_list_is_paged_with_every_filter(bench) {
        const JOBS: u64 = 2000;
        let batch: Vec<_> = (0..JOBS)
            .map(|n| {
                let (queue, point) = (if n.is_multiple_of(2) { "default" } else { "odd" }, if n.is_multiple_of(3) { "Third" } else { "Other" });
                let delay = if n.is_multiple_of(5) { LONG } else { Duration::ZERO };
                NewJob { queue: queue.into(), handler: HandlerKey::new(point, "h"), delay, ..with_id(n) }
            })
            .collect();
        bench.push(batch.clone()).await;
        let mut filter = JobFilter { newest: false,
            states: vec![JobState::Scheduled, JobState::Dead],
            queue: Some("odd".into()),
            handler: Some(HandlerKey::new("Third", "h")),
            after: None,
            limit: 7,
        };
        let mut wanted: Vec<_> = batch
            .iter()
            .filter(|job| job.queue == "odd" && job.handler.point() == "Third" && !job.delay.is_zero())
            .map(|job| job.id)
            .collect();
        wanted.sort();
        let mut seen = Vec::new();
        while let page @ [.., last] = &*bench.backend.list(filter.clone()).await.unwrap() {
            assert!(page.len() <= 7);
            assert!(page.iter().all(|record| record.state == JobState::Scheduled));
            filter.after = Some(last.id);
            seen.extend(page.iter().map(|record| record.id));
        }
        assert_eq!(seen, wanted);
        assert_eq!(bench.backend.list(JobFilter::default()).await.unwrap().len(), 100, "0 means 100");
        let all = JobFilter { limit: 5000, ..JobFilter::default() };
        assert_eq!(bench.backend.list(all).await.unwrap().len(), batch.len());
    }

    [37] List => ids_that_no_clock_made_are_listed_in_their_order(bench) {
        let batch: Vec<_> = (0..50).map(with_id).collect();
        bench.push(batch.clone()).await;
        let mut wanted = ids(&batch);
        wanted.sort();
        let found = bench.backend.list(JobFilter::default()).await.unwrap();
        assert_eq!(found.iter().map(|record| record.id).collect::<Vec<_>>(), wanted);
    }
}

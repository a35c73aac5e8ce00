//! Q43–Q46: what workers did, lists from the newest on, the clock, what is wrong with a store.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::bench::{Bench, KEEP_NOTHING, LONG, complete, handler, ids, job, jobs, queue};
use super::cases;
use crate::job::{HandlerKey, JobId, NewJob, QueueName};
use crate::queue::{JobFilter, QueueBackend, Severity, Tally};

const HOUR: Duration = Duration::from_secs(3600);

/// Something of everything.
fn done() -> Tally {
    Tally {
        started: 3,
        completed: 2,
        failed: 4,
        retried: 3,
        dead: 1,
        cancelled: 5,
        run_time: Duration::from_micros(1_500_001),
        longest: Duration::from_micros(800_000),
        wait: Duration::from_secs(7),
        ..Tally::new(queue(), handler())
    }
}

/// A worker that says so and goes on.
async fn beat(bench: &Bench, done: &[Tally]) {
    bench.backend.beat(bench.worker_info(&[handler()], LONG), done.to_vec()).await.unwrap();
}

/// The history by queue and handler, whatever the minutes: one may end while a case runs.
async fn sums(backend: &dyn QueueBackend) -> BTreeMap<(QueueName, HandlerKey), Tally> {
    let mut sums = BTreeMap::new();
    for entry in backend.history(HOUR).await.unwrap() {
        let (queue, handler) = (entry.tally.queue.clone(), entry.tally.handler.clone());
        let sum = || Tally::new(queue.clone(), handler.clone());
        sums.entry((queue.clone(), handler.clone())).or_insert_with(sum).add(&entry.tally);
    }
    sums
}

cases! {
    [43] History => what_workers_did_is_added_up_by_queue_and_handler(bench) {
        let elsewhere = Tally { queue: "other".into(), ..done() };
        let another = Tally { handler: HandlerKey::new("OrderPlaced", "print"), longest: LONG, ..done() };
        beat(&bench, &[done(), elsewhere.clone()]).await;
        beat(&bench, &[]).await;
        beat(&bench, &[another.clone(), done(), Tally { longest: Duration::from_micros(800_001), ..done() }]).await;
        let sums = sums(&*bench.backend).await;
        assert_eq!(sums.len(), 3, "{sums:?}");
        assert_eq!(sums[&(queue(), handler())], Tally {
            started: 9,
            completed: 6,
            failed: 12,
            retried: 9,
            dead: 3,
            cancelled: 15,
            run_time: Duration::from_micros(4_500_003),
            longest: Duration::from_micros(800_001),
            wait: Duration::from_secs(21),
            ..done()
        });
        assert_eq!(sums[&(elsewhere.queue.clone(), handler())], elsewhere);
        assert_eq!(sums[&(queue(), another.handler.clone())], another);
    }

    [43 45] History => the_minutes_are_those_of_the_store_and_in_order(bench) {
        assert_eq!(bench.backend.history(HOUR).await.unwrap(), []);
        let before = bench.backend.now().await.unwrap();
        beat(&bench, &[done(), Tally { queue: "other".into(), ..done() }]).await;
        let after = bench.backend.now().await.unwrap();
        let entries = bench.backend.history(HOUR).await.unwrap();
        assert!(entries.is_sorted_by_key(|entry| entry.minute));
        for entry in &entries {
            let minute = entry.minute.as_millis();
            assert_eq!(minute % 60_000, 0, "a minute begins at a full one");
            assert!((before.as_millis() - 60_000 < minute) && (minute <= after.as_millis()), "{entry:?}");
        }
        assert_eq!(bench.backend.history(Duration::MAX).await.unwrap(), entries);
        let now = bench.backend.history(Duration::ZERO).await.unwrap();
        assert!(now.iter().all(|entry| entries.contains(entry)));
    }

    [43 34] History => what_a_worker_did_outlives_it(bench) {
        let worker = bench.worker_info(&[handler()], LONG);
        bench.backend.beat(worker.clone(), vec![done()]).await.unwrap();
        bench.backend.leave(worker.id).await.unwrap();
        bench.backend.maintain(KEEP_NOTHING).await.unwrap();
        let other = bench.fixture.reopen().await;
        assert_eq!(sums(&*other).await[&(queue(), handler())], done());
    }

    [43] History => beats_of_many_workers_that_cross_are_all_counted(bench) {
        let all: Vec<_> = (0..20).map(|n| Tally { queue: format!("q{n}").into(), ..done() }).collect();
        let backwards: Vec<_> = all.iter().rev().cloned().collect();
        let mut beats = Vec::new();
        for n in 0..16 {
            let backend = if n % 2 == 0 { bench.backend.clone() } else { bench.fixture.reopen().await };
            let (worker, done) = (bench.worker_info(&[handler()], LONG), if n % 2 == 0 { &all } else { &backwards });
            let done = done.clone();
            beats.push(tokio::spawn(async move { backend.beat(worker, done).await }));
        }
        for beat in beats {
            beat.await.unwrap().unwrap();
        }
        let sums = sums(&*bench.backend).await;
        assert_eq!(sums.len(), 20);
        assert!(sums.values().all(|sum| (sum.started, sum.completed) == (48, 32)), "{sums:?}");
    }

    [43] History => the_largest_tallies_and_any_names_can_be_stored(bench) {
        let queue = QueueName::from("it's {a} \"queue\": 100%\\* ü");
        let largest = Tally {
            started: u64::MAX,
            completed: u64::MAX,
            failed: u64::MAX,
            retried: u64::MAX,
            dead: u64::MAX,
            cancelled: u64::MAX,
            run_time: Duration::MAX,
            longest: Duration::MAX,
            wait: Duration::MAX,
            ..Tally::new(queue.clone(), HandlerKey::new("a:b", "{c}"))
        };
        for _ in 0..3 {
            beat(&bench, std::slice::from_ref(&largest)).await;
        }
        let sums = sums(&*bench.backend).await;
        let sum = &sums[&(queue, largest.handler.clone())];
        assert!(sum.completed >= 1 << 34 && sum.run_time > Duration::from_secs(1 << 20), "{sum:?}");
    }

    [44] List => the_newest_come_first_and_are_paged_to_the_oldest(bench) {
        let batch = jobs(25);
        bench.push(batch.clone()).await;
        bench.push([NewJob { queue: "other".into(), ..job() }]).await;
        let mut filter = JobFilter { queue: Some(queue()), newest: true, limit: 10, ..JobFilter::default() };
        let mut seen = Vec::new();
        loop {
            let page = bench.backend.list(filter.clone()).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 10);
            filter.after = Some(last.id);
            seen.extend(page.iter().map(|record| record.id));
        }
        let mut wanted = ids(&batch);
        wanted.sort();
        wanted.reverse();
        assert_eq!(seen, wanted);
    }

    [44] List => the_newest_of_each_state_come_first(bench) {
        let delayed: Vec<_> = (0..3).map(|_| NewJob { delay: LONG, ..job() }).collect();
        let batch = jobs(6);
        bench.push(delayed.clone()).await;
        bench.push(batch.clone()).await;
        let running = bench.claim(2).await.iter().map(|job| job.id).collect::<Vec<_>>();
        bench.assert_claimable_then(super::super::bench::bury()).await;
        bench.assert_claimable_then(complete()).await;
        for state in crate::job::JobState::ALL {
            let filter = JobFilter { states: vec![state], ..JobFilter::default() };
            let mut oldest: Vec<JobId> =
                bench.backend.list(filter.clone()).await.unwrap().iter().map(|job| job.id).collect();
            oldest.reverse();
            let newest = bench.backend.list(JobFilter { newest: true, ..filter }).await.unwrap();
            assert_eq!(newest.iter().map(|job| job.id).collect::<Vec<_>>(), oldest, "{state}");
        }
        assert_eq!(running.len(), 2);
    }

    [45] List => now_is_the_clock_of_all_times(bench) {
        let before = bench.backend.now().await.unwrap();
        let id = bench.pushed().await;
        let after = bench.backend.now().await.unwrap();
        let at = bench.record(id).await.enqueued_at;
        assert!(before <= at && at <= after, "{before} {at} {after}");
        bench.pass(Duration::from_millis(50)).await;
        assert!(bench.backend.now().await.unwrap().since(after) >= Duration::from_millis(50));
    }

    [46] Unique => a_sound_store_has_no_problem_and_is_left_as_it_is(bench) {
        bench.push([super::super::bench::unique("k"), job()]).await;
        bench.assert_claimable_then(complete()).await;
        let before = bench.backend.stats().await.unwrap();
        let found = bench.backend.check().await.unwrap();
        assert!(found.iter().all(|finding| finding.severity < Severity::Problem), "{found:?}");
        assert!(!found.iter().any(|finding| finding.what.contains("unique key")), "{found:?}");
        let counts = |stats: &[crate::queue::QueueStats]| stats.iter().map(|of| of.counts.clone()).collect::<Vec<_>>();
        assert_eq!(counts(&bench.backend.stats().await.unwrap()), counts(&before));
    }
}

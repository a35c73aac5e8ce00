//! Two handles to one store, as two processes have them. What races may end either way, but never both ways, and no call may
//! fail because of another: a store whose transactions can deadlock takes its locks in one order, or tries again by itself.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::super::bench::{
    Bench, LONG, SHORT, Waiting, bury, claimed_ids, complete, followed_by, ids, job, jobs, known, queue,
    retry, settlement, unique,
};
use super::cases;
use crate::job::{ClaimedJob, HandlerKey, JobId, JobState, NewJob, QueueName, WorkerId};
use crate::queue::{
    AdminOutcome, ClaimRequest, Extend, Extended, Pushed, QueueBackend, QueueStats, Retention, Settle,
    Settled,
};

type Handle = Arc<dyn QueueBackend>;

/// The bench on a reopened handle, and one more: the fixture's own may have short time-outs, for a store that refuses.
async fn two_handles(bench: Bench) -> (Bench, Handle) {
    let (one, other) = (bench.fixture.reopen().await, bench.fixture.reopen().await);
    (Bench { backend: one, ..bench }, other)
}

/// Runs `step` on both handles, from the same moment on; their answers.
async fn at_once<T, F>(bench: &Bench, other: &Handle, step: impl Fn(usize, Handle) -> F) -> [T; 2]
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(2));
    let [first, second] = [(0, &bench.backend), (1, other)].map(|(n, handle)| {
        let (start, step) = (Arc::clone(&start), step(n, Arc::clone(handle)));
        tokio::spawn(async move {
            start.wait().await;
            step.await
        })
    });
    [first.await.expect("the first handle's step"), second.await.expect("the second handle's step")]
}

/// The handles by turns.
fn one_of(bench: &Bench, other: &Handle, n: usize) -> Handle {
    Arc::clone(if n.is_multiple_of(2) { &bench.backend } else { other })
}

/// As they are for the first handle, the other way round for the second.
fn turned<T: Clone>(n: usize, items: &[T]) -> Vec<T> {
    if n == 0 { items.to_vec() } else { items.iter().rev().cloned().collect() }
}

/// Whether so many jobs are unfinished at each of a hundred looks.
async fn look_on(handle: &Handle, wanted: u64) -> Result<(), String> {
    for _ in 0..100 {
        let stats = handle.stats().await.map_err(|error| error.to_string())?;
        let unfinished: u64 = stats.iter().map(QueueStats::unfinished).sum();
        if unfinished != wanted {
            return Err(format!("{unfinished} of {wanted} are counted: {stats:?}"));
        }
    }
    Ok(())
}

fn extends(jobs: &[ClaimedJob]) -> Vec<Extend> {
    jobs.iter().map(|job| Extend { job: job.id, token: job.token, progress: None }).collect()
}

async fn settle_all(handle: &Handle, jobs: &[ClaimedJob], end: impl Fn() -> Settle) -> Vec<Settled> {
    handle.settle(jobs.iter().map(|job| settlement(job, end())).collect()).await.expect("settle")
}

/// How many settlements took effect.
fn done(settled: &[Settled]) -> usize {
    settled.iter().filter(|settled| **settled == Settled::Done).count()
}

cases! {
    [12 14] => sixteen_claimers_over_two_handles_and_many_lanes_never_get_one_job_twice(bench) {
        const JOBS: usize = 3000;
        let (bench, other) = two_handles(bench).await;
        let lane = |n: usize| HandlerKey::new("Point", &format!("h{}", n % 13));
        let queues: Vec<_> = ["a", "b", "c"].map(QueueName::from).into();
        let batch: Vec<_> = (0..JOBS)
            .map(|n| NewJob { queue: queues[n % 3].clone(), handler: lane(n), priority: u8::try_from(n % 10).unwrap_or(9), ..job() })
            .collect();
        bench.push(batch).await;
        let mut claimers = JoinSet::new();
        for n in 0..16 {
            let handle = one_of(&bench, &other, n);
            let mut queues = queues.clone();
            queues.rotate_left(n % 3);
            let handlers = (0..13).map(|n| known(&lane(n))).collect();
            let request = ClaimRequest { worker: WorkerId::new(), queues, handlers, ..bench.request(1 + n % 9) };
            claimers.spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let jobs = handle.reserve(request.clone()).await.expect("reserve").jobs;
                    if jobs.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed_ids(&jobs));
                    assert_eq!(done(&settle_all(&handle, &jobs, || Settle::complete(false)).await), jobs.len());
                }
            });
        }
        let mut all = claimers.join_all().await.concat();
        assert_eq!(all.len(), JOBS, "a job was claimed twice or never");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), JOBS);
    }

    [12 28] => what_is_given_back_and_claimed_again_is_never_held_twice(bench) {
        let (bench, other) = two_handles(bench).await;
        bench.push(jobs(40)).await;
        let request = bench.request(7);
        let mut claimers = JoinSet::new();
        for n in 0..8 {
            let (handle, request) = (one_of(&bench, &other, n), request.clone());
            claimers.spawn(async move {
                for _ in 0..15 {
                    let jobs = handle.reserve(request.clone()).await.expect("reserve").jobs;
                    assert!(jobs.iter().all(|job| job.attempt == 1), "the attempts are given back");
                    assert_eq!(done(&settle_all(&handle, &jobs, || Settle::Release).await), jobs.len());
                }
            });
        }
        claimers.join_all().await;
        assert_eq!(bench.claim(100).await.len(), 40);
    }

    [7 12] => two_pushes_of_the_same_ids_store_each_once(bench) {
        let (bench, other) = two_handles(bench).await;
        for _ in 0..10 {
            let batch = jobs(30);
            let answers = at_once(&bench, &other, |n, handle| {
                let batch = turned(n, &batch);
                async move { handle.push(batch.into()).await.expect("push") }
            });
            assert_eq!(answers.await, [vec![Pushed::Queued; 30], vec![Pushed::Queued; 30]]);
            let claimed = bench.claim(100).await;
            let mut found = claimed_ids(&claimed);
            found.sort();
            assert_eq!(found, ids(&batch));
            settle_all(&bench.backend, &claimed, complete).await;
        }
    }

    [8 2] Unique => two_pushes_of_the_same_keys_in_opposite_order_share_them(bench) {
        let (bench, other) = two_handles(bench).await;
        for round in 0..10 {
            let keys: Vec<_> = (0..20).map(|n| format!("{round}-{n}")).collect();
            let answers = at_once(&bench, &other, |n, handle| {
                let batch: Vec<_> = turned(n, &keys).iter().map(|key| unique(key)).collect();
                async move { (ids(&batch), handle.push(batch.into()).await.expect("push")) }
            });
            let [(first, here), (mut second, mut there)] = answers.await;
            second.reverse();
            there.reverse();
            for n in 0..20 {
                match (here[n], there[n]) {
                    (Pushed::Queued, Pushed::Duplicate { of }) => assert_eq!(of, first[n]),
                    (Pushed::Duplicate { of }, Pushed::Queued) => assert_eq!(of, second[n]),
                    both => panic!("{both:?} for one key"),
                }
            }
        }
        assert_eq!(bench.claim_all().await.len(), 200);
    }

    [24 25] => a_claim_is_settled_by_one_of_two_that_race(bench) {
        let (bench, other) = two_handles(bench).await;
        for _ in 0..10 {
            bench.push(jobs(20)).await;
            let claimed = bench.claim(20).await;
            let [here, mut there] = at_once(&bench, &other, |n, handle| {
                let jobs = turned(n, &claimed);
                async move { settle_all(&handle, &jobs, complete).await }
            })
            .await;
            there.reverse();
            assert!(here.iter().zip(&there).all(|(here, there)| here != there), "{here:?} {there:?}");
        }
        assert_eq!(bench.stats_of(&queue()).await.count(JobState::Completed), 200);
    }

    [23 24] => extending_and_settling_race_without_harm(bench) {
        let (bench, other) = two_handles(bench).await;
        for _ in 0..10 {
            bench.push(jobs(20)).await;
            let claimed = bench.claim(20).await;
            let answers = at_once(&bench, &other, |n, handle| {
                let jobs = turned(n, &claimed);
                async move {
                    match n {
                        0 => done(&settle_all(&handle, &jobs, || Settle::complete(false)).await),
                        _ => handle.extend(extends(&jobs), LONG).await.expect("extend").len(),
                    }
                }
            });
            assert_eq!(answers.await, [20, 20]);
            let after = other.extend(extends(&claimed), LONG).await.unwrap();
            assert_eq!(after, [Extended::LeaseLost; 20]);
        }
    }

    [12 23 25] => claims_settlements_and_extensions_of_two_handles_race_without_harm(bench) {
        let (bench, other) = two_handles(bench).await;
        bench.push(jobs(400)).await;
        let request = bench.request(5);
        let mut workers = JoinSet::new();
        for n in 0..6 {
            let (handle, request) = (one_of(&bench, &other, n), request.clone());
            workers.spawn(async move {
                let mut finished = 0;
                loop {
                    let jobs = handle.reserve(request.clone()).await.expect("reserve").jobs;
                    if jobs.is_empty() {
                        return finished;
                    }
                    let extended = handle.extend(extends(&jobs), LONG).await.expect("extend");
                    assert!(extended.iter().all(|extended| *extended == Extended::Held), "{extended:?}");
                    handle.push(Arc::from([NewJob { queue: "after".into(), ..job() }])).await.expect("push");
                    finished += done(&settle_all(&handle, &jobs, complete).await);
                }
            });
        }
        assert_eq!(workers.join_all().await.iter().sum::<usize>(), 400);
        assert_eq!(bench.stats_of(&queue()).await.counts, [(JobState::Completed, 400)].into());
    }

    [36] => figures_count_each_job_once_while_jobs_move(bench) {
        let (bench, other) = two_handles(bench).await;
        bench.push(jobs(12)).await;
        let (request, is_over) = (bench.request(12), Arc::new(AtomicBool::new(false)));
        at_once(&bench, &other, |n, handle| {
            let (request, is_over) = (request.clone(), Arc::clone(&is_over));
            async move {
                if n == 1 {
                    let looked = look_on(&handle, 12).await;
                    is_over.store(true, Ordering::Relaxed);
                    looked.unwrap();
                }
                while !is_over.load(Ordering::Relaxed) {
                    let jobs = handle.reserve(request.clone()).await.expect("reserve").jobs;
                    settle_all(&handle, &jobs, || retry(Duration::ZERO)).await;
                }
            }
        })
        .await;
    }

    [19 24 33] Lease => an_ended_lease_is_settled_or_taken_back_never_both(bench) {
        let (bench, other) = two_handles(bench).await;
        bench.push(jobs(60)).await;
        let claimed = bench.claim_for(60, SHORT).await;
        bench.pass(SHORT).await;
        let [settled, rescued] = at_once(&bench, &other, |n, handle| {
            let claimed = claimed.clone();
            async move {
                match n {
                    0 => {
                        let mut settled = 0;
                        for job in claimed.chunks(6) {
                            settled += done(&settle_all(&handle, job, complete).await);
                        }
                        settled
                    }
                    _ => usize::try_from(handle.maintain(Retention::default()).await.expect("maintain").rescued).unwrap(),
                }
            }
        })
        .await;
        assert_eq!(settled + rescued, 60);
        assert_eq!(bench.stats_of(&queue()).await.count(JobState::Completed), settled as u64);
    }

    [19 23] Lease => only_what_was_extended_is_held_on(bench) {
        let (bench, other) = two_handles(bench).await;
        bench.push(jobs(12)).await;
        let claimed = bench.claim_for(12, SHORT).await;
        let (held, lost): (Vec<_>, Vec<_>) = claimed.into_iter().enumerate().partition(|(n, _)| n.is_multiple_of(3));
        let [held, lost] = [held, lost].map(|jobs| jobs.into_iter().map(|(_, job)| job).collect::<Vec<_>>());
        assert_eq!(other.extend(extends(&held), LONG).await.unwrap(), [Extended::Held; 4]);
        bench.pass(SHORT).await;
        assert_eq!(other.maintain(Retention::default()).await.unwrap().rescued, 8);
        assert_eq!(done(&settle_all(&bench.backend, &lost, complete).await), 0);
        assert_eq!(done(&settle_all(&other, &held, complete).await), 4);
    }

    [37 12] List => a_cancellation_and_a_claim_agree_on_who_came_first(bench) {
        let (bench, other) = two_handles(bench).await;
        let batch = jobs(60);
        bench.push(batch.clone()).await;
        let (mut claims, mut outcomes) = (HashMap::new(), Vec::new());
        for part in batch.chunks(10) {
            let (ids, request) = (ids(part), bench.request(10));
            let claiming = bench.backend.reserve(request);
            let (claimed, cancelled) = tokio::join!(claiming, other.cancel(ids.clone(), "by hand".to_owned()));
            claims.extend(claimed.unwrap().jobs.into_iter().map(|job| (job.id, job)));
            outcomes.extend(ids.into_iter().zip(cancelled.unwrap()));
        }
        for (id, outcome) in outcomes {
            match (claims.get(&id), outcome) {
                (Some(claim), AdminOutcome::Requested) => bench.end(claim, Settle::Release).await,
                (None, AdminOutcome::Done) => {}
                (claim, outcome) => panic!("{outcome:?}, and claimed: {}", claim.is_some()),
            }
            assert_eq!(bench.state(id).await, JobState::Cancelled);
        }
    }

    [37] List => a_job_is_retried_by_one_of_two_operators(bench) {
        let (bench, other) = two_handles(bench).await;
        for _ in 0..10 {
            let id = bench.pushed().await;
            bench.assert_claimable_then(bury()).await;
            let mut answers = at_once(&bench, &other, |_, handle| async move { handle.retry(vec![id]).await.expect("retry") }).await.concat();
            answers.sort_by_key(|outcome| *outcome != AdminOutcome::Done);
            assert_eq!(answers, [AdminOutcome::Done, AdminOutcome::WrongState(JobState::Available)]);
            bench.assert_claimable_then(complete()).await;
        }
        bench.assert_nothing_to_claim().await;
    }

    [8 37] List Unique => a_push_and_a_retry_by_hand_never_share_a_key(bench) {
        let (bench, other) = two_handles(bench).await;
        for round in 0..10 {
            let key = format!("k{round}");
            let (dead, new) = (unique(&key), unique(&key));
            bench.push([dead.clone()]).await;
            bench.assert_claimable_then(bury()).await;
            let retried = bench.backend.retry(vec![dead.id]);
            let (retried, pushed) = tokio::join!(retried, other.push(Arc::from([new.clone()])));
            match (retried.unwrap()[0], pushed.unwrap()[0]) {
                (AdminOutcome::Done, Pushed::Duplicate { of }) => assert_eq!(of, dead.id),
                (AdminOutcome::Duplicate(of), Pushed::Queued) => assert_eq!(of, new.id),
                both => panic!("{both:?}"),
            }
            bench.assert_claimable_then(complete()).await;
            bench.assert_nothing_to_claim().await;
        }
    }

    [38 16] Pause => no_claim_after_a_pause_brings_anything_on_any_handle(bench) {
        let (bench, other) = two_handles(bench).await;
        bench.push(jobs(200)).await;
        let mut claimed = 0;
        for _ in 0..10 {
            let claiming = bench.backend.reserve(bench.request(5));
            let (racing, paused) = tokio::join!(claiming, other.pause(queue()));
            paused.unwrap();
            claimed += racing.unwrap().jobs.len();
            bench.assert_nothing_to_claim().await;
            assert!(other.reserve(bench.request(5)).await.unwrap().jobs.is_empty());
            bench.backend.resume(queue()).await.unwrap();
            claimed += other.reserve(bench.request(5)).await.unwrap().jobs.len();
        }
        assert!(claimed >= 50, "each resume lets jobs through: {claimed}");
    }

    [34 24] => leaving_and_settling_end_each_claim_once(bench) {
        let (bench, other) = two_handles(bench).await;
        for _ in 0..10 {
            let batch = jobs(10);
            bench.push(batch.clone()).await;
            let worker = bench.worker_info(&[], LONG);
            bench.backend.beat(worker.clone(), Vec::new()).await.unwrap();
            let held = bench.reserve(ClaimRequest { worker: worker.id, ..bench.request(10) }).await.jobs;
            let leaving = other.leave(worker.id);
            let (settled, left) = tokio::join!(settle_all(&bench.backend, &held, || Settle::complete(false)), leaving);
            left.unwrap();
            let back = bench.claim(100).await;
            assert_eq!(done(&settled) + back.len(), 10);
            assert_eq!(done(&settle_all(&bench.backend, &back, || Settle::complete(false)).await), back.len());
        }
    }

    [33] List => two_that_prune_delete_each_record_once(bench) {
        let (bench, other) = two_handles(bench).await;
        bench.push(jobs(300)).await;
        let claimed = bench.claim(300).await;
        settle_all(&bench.backend, &claimed, complete).await;
        bench.pass(SHORT).await;
        let keep = super::super::bench::KEEP_NOTHING;
        let pruned = at_once(&bench, &other, |_, handle| async move { handle.prune(keep, 1000).await.expect("prune") });
        let [here, there] = pruned.await;
        assert_eq!(here + there + bench.backend.prune(keep, 1000).await.unwrap(), 300);
    }

    [33 10] => two_that_promote_make_each_job_available_once(bench) {
        let (bench, other) = two_handles(bench).await;
        bench.push((0..100).map(|_| NewJob { delay: SHORT, ..job() }).collect::<Vec<_>>()).await;
        bench.pass(SHORT).await;
        let step = |_, handle: Handle| async move { handle.maintain(Retention::default()).await.expect("maintain").promoted };
        let [here, there] = at_once(&bench, &other, step).await;
        assert_eq!(here + there, 100);
        assert_eq!(bench.claim(200).await.len(), 100);
    }

    [32 38] Pause => whatever_another_handle_makes_claimable_ends_a_wait(bench) {
        let (bench, other) = two_handles(bench).await;
        let wait = async |claims: usize| {
            let claimed = bench.reserve(bench.request(10)).await;
            assert_eq!(claimed.jobs.len(), claims);
            (Waiting::on(&bench.backend, Bench::wait_request(claimed.cursor, LONG)), claimed.jobs)
        };
        other.pause(queue()).await.unwrap();
        bench.pushed().await;
        let (waiting, _) = wait(0).await;
        other.resume(queue()).await.unwrap();
        waiting.ended().await;

        let (waiting, held) = wait(1).await;
        assert_eq!(settle_all(&other, &held, || Settle::Release).await, [Settled::Done]);
        waiting.ended().await;

        let (waiting, held) = wait(1).await;
        assert_eq!(settle_all(&other, &held, || retry(Duration::ZERO)).await, [Settled::Done]);
        waiting.ended().await;

        let (waiting, held) = wait(1).await;
        other.leave(bench.worker).await.unwrap();
        waiting.ended().await;
        assert_eq!(bench.take().await.id, held[0].id);
    }

    [32 37] List => what_an_operator_of_another_handle_retries_ends_a_wait(bench) {
        let (bench, other) = two_handles(bench).await;
        let (dead, later) = (bench.pushed().await, NewJob { delay: LONG, ..job() });
        bench.assert_claimable_then(bury()).await;
        bench.push([later.clone()]).await;
        for id in [dead, later.id] {
            let nothing = bench.reserve(bench.request(10)).await;
            assert!(nothing.jobs.is_empty());
            let wait = bench.waits_after(&nothing);
            assert_eq!(other.retry(vec![id]).await.unwrap(), [AdminOutcome::Done]);
            wait.ended().await;
            assert_eq!(bench.take().await.id, id);
        }
    }

    [32 33] Lease => what_the_upkeep_of_another_handle_makes_claimable_ends_a_wait(bench) {
        let (bench, other) = two_handles(bench).await;
        let lost = bench.pushed().await;
        bench.take_for(SHORT).await;
        let wait = bench.waits_after(&bench.reserve(bench.request(10)).await);
        bench.pass(SHORT).await;
        assert_eq!(other.maintain(Retention::default()).await.unwrap().rescued, 1);
        wait.ended().await;
        assert_eq!(bench.take().await.id, lost);

        bench.push([NewJob { queue: "later".into(), delay: SHORT, ..job() }]).await;
        let request = |max| ClaimRequest { queues: vec!["later".into()], ..bench.request(max) };
        let claimed = bench.reserve(request(0)).await;
        let queues = vec!["later".into()];
        let wait = Waiting::on(&bench.backend, crate::queue::WaitRequest { queues, cursor: claimed.cursor, timeout: LONG });
        bench.pass(SHORT).await;
        other.maintain(Retention::default()).await.unwrap();
        wait.ended().await;
        assert_eq!(bench.reserve(request(1)).await.jobs.len(), 1);
    }

    [1 8 25] Unique => many_keys_are_taken_and_freed_by_two_handles_at_once(bench) {
        let (bench, other) = two_handles(bench).await;
        let mut workers = JoinSet::new();
        for n in 0..8 {
            let (handle, request) = (one_of(&bench, &other, n), bench.request(4));
            workers.spawn(async move {
                let mut stored: Vec<JobId> = Vec::new();
                for round in 0..10 {
                    let batch: Vec<_> = (0..6).map(|key| unique(&format!("k{}", (key * (n + 1) + round) % 7))).collect();
                    let answers = handle.push(batch.clone().into()).await.expect("push");
                    stored.extend(batch.iter().zip(answers).filter(|(_, answer)| *answer == Pushed::Queued).map(|(job, _)| job.id));
                    let claimed = handle.reserve(request.clone()).await.expect("reserve").jobs;
                    assert_eq!(done(&settle_all(&handle, &claimed, || followed_by(&[])).await), claimed.len());
                }
                stored.len()
            });
        }
        let stored: usize = workers.join_all().await.iter().sum();
        let rest = bench.claim(100).await;
        assert!(rest.len() <= 7, "{} jobs under seven keys", rest.len());
        let completed = bench.stats_of(&queue()).await.count(JobState::Completed);
        assert_eq!(usize::try_from(completed).unwrap() + rest.len(), stored);
    }
}

//! Q1–Q5: what holds for every call.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use super::super::bench::{
    Bench, LONG, PATIENCE, Waiting, claimed_ids, complete, error, ids, job, jobs, start_and_drop, unique,
};
use super::cases;
use crate::job::{JobId, JobState, LeaseToken};
use crate::queue::{ClaimRequest, Claimed, Extend, Pushed, QueueErrorKind, Settle, Settled, Settlement};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls without any runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

/// Claims whatever is left, for as long as something comes.
async fn claim_until_there_are(bench: &Bench, wanted: usize) -> Vec<JobId> {
    let mut found = Vec::new();
    let patience = tokio::time::Instant::now() + PATIENCE;
    while found.len() < wanted && tokio::time::Instant::now() < patience {
        found.extend(claimed_ids(&bench.claim(100).await));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    found
}

cases! {
    [1] => calls_are_answered_outside_any_runtime(bench) {
        let (backend, request) = (Arc::clone(&bench.backend), bench.request(10));
        thread::spawn(move || {
            assert_eq!(block_on(backend.push(jobs(2).into())).unwrap().len(), 2);
            let claimed = block_on(backend.reserve(request)).unwrap().jobs;
            let ends = claimed.iter().map(|job| Settlement { job: job.id, token: job.token, end: complete() });
            assert_eq!(block_on(backend.settle(ends.collect())).unwrap(), [Settled::Done, Settled::Done]);
            block_on(backend.maintain(crate::queue::Retention::default())).unwrap();
            block_on(backend.stats()).unwrap();
        })
        .join()
        .expect("the calls work");
    }

    [1 2] => threads_call_at_once(bench) {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (backend, request) = (Arc::clone(&bench.backend), bench.request(5));
                thread::spawn(move || {
                    for _ in 0..10 {
                        assert_eq!(block_on(backend.push(jobs(5).into())).unwrap().len(), 5);
                        let claimed = block_on(backend.reserve(request.clone())).unwrap().jobs;
                        let ends = claimed.iter().map(|job| Settlement { job: job.id, token: job.token, end: Settle::complete(false) });
                        let settled = block_on(backend.settle(ends.collect())).unwrap();
                        assert!(settled.iter().all(|settled| *settled == Settled::Done));
                    }
                })
            })
            .collect();
        assert!(threads.into_iter().all(|thread| thread.join().is_ok()));
        let left: u64 = bench.backend.stats().await.unwrap().iter().map(crate::queue::QueueStats::unfinished).sum();
        assert_eq!(claim_until_there_are(&bench, usize::try_from(left).unwrap()).await.len() as u64, left);
    }

    [1] => a_task_that_keeps_its_thread_is_answered(bench) {
        let (backend, request) = (Arc::clone(&bench.backend), bench.request(10));
        let task = tokio::spawn(async move {
            for _ in 0..3 {
                assert_eq!(block_on(backend.push(jobs(1).into())).unwrap(), [Pushed::Queued]);
                let claimed = block_on(backend.reserve(request.clone())).unwrap().jobs;
                let ends = claimed.iter().map(|job| Settlement { job: job.id, token: job.token, end: complete() });
                assert_eq!(block_on(backend.settle(ends.collect())).unwrap(), [Settled::Done]);
            }
        });
        tokio::time::timeout(PATIENCE, task).await.expect("answers come").unwrap();
    }

    [1 32] => a_queue_outlives_the_runtime_that_opened_it(bench) {
        let (fixture, request) = (Arc::clone(&bench.fixture), bench.request(10));
        let open = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(async {
                let queue = fixture.reopen().await;
                let Claimed { cursor, .. } = queue.reserve(request).await.unwrap();
                let waiting = Arc::clone(&queue);
                tokio::spawn(async move { waiting.wait(Bench::wait_request(cursor, LONG)).await });
                queue.push(jobs(1).into()).await.unwrap();
                queue
            })
        };
        let queue = thread::spawn(open).join().expect("the queue opens");
        assert_eq!(queue.push(jobs(1).into()).await.unwrap(), [Pushed::Queued]);
        let claimed = queue.reserve(bench.request(10)).await.unwrap();
        assert_eq!(claimed.jobs.len(), 2);
        let ends = claimed.jobs.iter().map(|job| Settlement { job: job.id, token: job.token, end: complete() });
        assert_eq!(queue.settle(ends.collect()).await.unwrap(), [Settled::Done, Settled::Done]);
        let Claimed { cursor, .. } = queue.reserve(bench.request(10)).await.unwrap();
        let wait = Waiting::on(&queue, Bench::wait_request(cursor, LONG));
        bench.pushed().await;
        wait.ended().await;
    }

    [2] => settlements_and_extensions_are_answered_in_order(bench) {
        bench.push(jobs(3)).await;
        let claimed = bench.claim(3).await;
        let wrong = LeaseToken(u64::MAX);
        let tokens = [claimed[0].token, wrong, claimed[2].token];
        let extends = claimed.iter().zip(tokens).map(|(job, token)| Extend { job: job.id, token, progress: None });
        let extended = bench.backend.extend(extends.collect(), LONG).await.unwrap();
        use crate::queue::Extended::{Held, LeaseLost};
        assert_eq!(extended, [Held, LeaseLost, Held]);
        let ends = claimed.iter().zip(tokens).map(|(job, token)| Settlement { job: job.id, token, end: complete() });
        let settled = bench.backend.settle(ends.collect()).await.unwrap();
        assert_eq!(settled, [Settled::Done, Settled::LeaseLost, Settled::Done]);
    }

    [2] Unique => pushes_are_answered_in_order(bench) {
        let (plain, first, second) = (job(), unique("k"), unique("k"));
        let answers = bench.push([plain.clone(), first.clone(), second, plain]).await;
        let duplicate = Pushed::Duplicate { of: first.id };
        assert_eq!(answers, [Pushed::Queued, Pushed::Queued, duplicate, Pushed::Queued]);
    }

    [2] List => records_stand_in_the_order_of_their_ids(bench) {
        let pushed = jobs(3);
        bench.push(pushed.clone()).await;
        let asked = vec![pushed[2].id, JobId::new(), pushed[0].id];
        let found = bench.backend.get(asked.clone()).await.unwrap();
        assert_eq!(found.iter().map(|found| found.as_ref().map(|record| record.id)).collect::<Vec<_>>(), [Some(asked[0]), None, Some(asked[2])]);
    }

    [3] => nothing_to_do_succeeds(bench) {
        assert!(bench.push([]).await.is_empty());
        bench.pushed().await;
        assert!(bench.claim(0).await.is_empty());
        assert!(bench.reserve(ClaimRequest { queues: Vec::new(), ..bench.request(5) }).await.jobs.is_empty());
        assert!(bench.reserve(ClaimRequest { handlers: Vec::new().into(), ..bench.request(5) }).await.jobs.is_empty());
        assert!(bench.backend.settle(Vec::new()).await.unwrap().is_empty());
        assert!(bench.backend.extend(Vec::new(), LONG).await.unwrap().is_empty());
        assert_eq!(bench.take().await.attempt, 1, "none of these claimed the job");
    }

    [3] List => nothing_to_look_at_succeeds(bench) {
        assert!(bench.backend.get(Vec::new()).await.unwrap().is_empty());
        assert!(bench.backend.retry(Vec::new()).await.unwrap().is_empty());
        assert!(bench.backend.cancel(Vec::new(), String::new()).await.unwrap().is_empty());
        assert!(bench.backend.forget(Vec::new()).await.unwrap().is_empty());
        assert_eq!(bench.maintain().await, crate::queue::Maintained::default());
    }

    [4] Obstruct => a_store_that_refuses_is_reported(bench) {
        let id = bench.pushed().await;
        let claimed = bench.take().await;
        let obstacle = bench.fixture.obstruct();
        let push = bench.backend.push(jobs(1).into()).await.expect_err("the push cannot succeed");
        assert_eq!((push.kind(), push.is_retryable()), (QueueErrorKind::Unavailable, true), "{push}");
        assert!(bench.backend.reserve(bench.request(1)).await.is_err());
        let end = Settlement { job: id, token: claimed.token, end: complete() };
        assert!(bench.backend.settle(vec![end]).await.is_err());
        drop(obstacle);
        bench.end(&claimed, complete()).await;
    }

    [4 6 7] Obstruct AtomicPush => a_refused_push_can_be_repeated(bench) {
        let batch: Arc<[_]> = jobs(20).into();
        let obstacle = bench.fixture.obstruct();
        bench.backend.push(Arc::clone(&batch)).await.expect_err("the push cannot succeed");
        drop(obstacle);
        bench.assert_nothing_to_claim().await;
        bench.push(Arc::clone(&batch)).await;
        assert_eq!(claimed_ids(&bench.claim(100).await), ids(&batch));
    }

    [5 6] AtomicPush List => a_dropped_push_is_done_whole_or_not_at_all(bench) {
        for _ in 0..20 {
            let batch = jobs(50);
            drop(start_and_drop(bench.backend.push(batch.clone().into())));
            bench.push(jobs(1)).await;
            let found = bench.backend.get(ids(&batch)).await.unwrap();
            let stored = found.iter().filter(|found| found.is_some()).count();
            assert!(stored == 0 || stored == 50, "{stored} of 50 are stored");
        }
    }

    [5] => a_dropped_claim_holds_nothing_that_nobody_knows_of(bench) {
        let pushed = jobs(20);
        bench.push(pushed.clone()).await;
        for _ in 0..10 {
            let answered = start_and_drop(bench.backend.reserve(bench.request(3)));
            for claimed in answered.into_iter().flat_map(|claimed| claimed.unwrap().jobs) {
                bench.end(&claimed, Settle::Release).await;
            }
        }
        let mut found = claim_until_there_are(&bench, 20).await;
        found.sort();
        assert_eq!(found, ids(&pushed));
    }

    [5] List => a_dropped_settlement_is_done_whole_or_not_at_all(bench) {
        bench.pushed().await;
        let claimed = bench.take().await;
        let end = Settle::Bury { error: error(1, "x"), owe_on_failure: false };
        let settlement = Settlement { job: claimed.id, token: claimed.token, end };
        drop(start_and_drop(bench.backend.settle(vec![settlement])));
        bench.push(jobs(1)).await;
        let record = bench.record(claimed.id).await;
        match record.state {
            JobState::Running => assert!(record.errors.is_empty()),
            state => assert_eq!((state, record.errors.len()), (JobState::Dead, 1)),
        }
    }
}

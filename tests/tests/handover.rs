//! Jobs that a push hands over to a worker that waits in the same process, in PostgreSQL and Redis.

use std::collections::HashSet;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use extensions::prelude::*;
use extensions::worker::StopReason;
use extensions_runtime::job::{ClaimedJob, HandlerKey, JobId, JobState, NewJob, QueueName};
use extensions_runtime::queue::{
    self, ClaimRequest, Pushed, QueueBackend, QueueError, QueueFuture, Settle, Settled, Settlement,
    WaitRequest,
};
use serde::{Deserialize, Serialize};
use tests::kit::{PATIENCE, claim_request, in_time, new_job, until};
use tests::servers::{Persistence, Postgres, Proxy, Redis, Server};
use tokio::time::sleep;

/// The most jobs that a worker here starts at once.
const SLOTS: usize = 10;

fn handler() -> HandlerKey {
    HandlerKey::new("OrderPlaced", "send")
}

fn job() -> NewJob {
    new_job(handler(), "{}")
}

fn request() -> ClaimRequest {
    claim_request(handler(), SLOTS)
}

/// Jobs, and whether they were handed over.
type Brought = (Vec<ClaimedJob>, bool);

/// What a claim brings, or the wait after it.
async fn next(queue: &dyn QueueBackend, longest: Duration) -> Brought {
    let Ok(claimed) = queue.reserve(request()).await else { return Brought::default() };
    if !claimed.jobs.is_empty() {
        return (claimed.jobs, false);
    }
    let queues = vec![QueueName::from("default")];
    let wait = WaitRequest { queues, cursor: claimed.cursor, timeout: longest };
    let handed = queue.wait_for_jobs(wait, request()).await.ok().flatten();
    handed.map(|handed| (handed.claimed.jobs, true)).unwrap_or_default()
}

/// Settles until that is answered.
async fn complete(queue: &dyn QueueBackend, jobs: &[ClaimedJob]) -> Vec<Settled> {
    let end = |job: &ClaimedJob| Settlement { job: job.id, token: job.token, end: Settle::complete(true) };
    loop {
        if let Ok(settled) = queue.settle(jobs.iter().map(end).collect()).await {
            return settled;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// What a worker that waits is brought of a push from there.
async fn brought_from(queue: &Arc<dyn QueueBackend>, from: &dyn QueueBackend) -> Brought {
    let worker = tokio::spawn({
        let queue = Arc::clone(queue);
        async move {
            loop {
                let brought = next(&*queue, PATIENCE).await;
                if !brought.0.is_empty() {
                    return brought;
                }
            }
        }
    });
    sleep(Duration::from_millis(100)).await;
    let pushed = [job(), job()];
    from.push(pushed.clone().into()).await.unwrap();
    let (jobs, is_handed) = worker.await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), pushed.map(|job| job.id));
    assert_eq!(complete(&**queue, &jobs).await, [Settled::Done; 2]);
    (jobs, is_handed)
}

/// A lane's first push is not a usual one.
async fn make_lane(queue: &dyn QueueBackend) {
    queue.push([job()].into()).await.unwrap();
    complete(queue, &queue.reserve(request()).await.unwrap().jobs).await;
}

async fn hands_over_to_this_process_only(server: &Server) {
    let url = server.fresh_url();
    let (queue, other) = (queue::connect(&url).await.unwrap(), queue::connect(&url).await.unwrap());
    make_lane(&*queue).await;
    // A push may fall between two waits.
    until("a push that hands its jobs over", async || brought_from(&queue, &*queue).await.1).await;
    assert!(!brought_from(&queue, &*other).await.1);
}

/// A wait that was begun and is left alone, as is that of a worker whose runtime is blocked.
async fn takes_back_what_a_worker_does_not_take(server: &Server) {
    let url = server.fresh_url();
    let (queue, other) = (queue::connect(&url).await.unwrap(), queue::connect(&url).await.unwrap());
    make_lane(&*queue).await;
    until("a job that was handed over and comes back", async || {
        let cursor = queue.reserve(request()).await.unwrap().cursor;
        let wait = WaitRequest { queues: vec!["default".into()], cursor, timeout: PATIENCE };
        let mut wait = queue.wait_for_jobs(wait, request());
        assert!(poll_once(&mut wait).is_pending());
        let pushed = job();
        queue.push([pushed.clone()].into()).await.unwrap();
        let is_held = other.reserve(request()).await.unwrap();
        let (is_held, mut jobs) = (is_held.jobs.is_empty(), is_held.jobs);
        until("the job", async || {
            if jobs.is_empty() {
                jobs = other.reserve(request()).await.unwrap().jobs;
            }
            !jobs.is_empty()
        })
        .await;
        assert_eq!((jobs[0].id, jobs[0].lost_count), (pushed.id, 0));
        assert_eq!(complete(&*other, &jobs).await, [Settled::Done]);
        is_held
    })
    .await;
}

/// Whoever pushes may go on with something else and keep the push.
async fn brings_jobs_of_a_push_that_nobody_polls(server: &Server) {
    let queue = queue::connect(&server.fresh_url()).await.unwrap();
    make_lane(&*queue).await;
    for _ in 0..10 {
        let worker = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { next(&*queue, PATIENCE).await.0 }
        });
        sleep(Duration::from_millis(20)).await;
        let mut push = queue.push([job()].into());
        let first = poll_once(&mut push);
        let mut jobs = tokio::time::timeout(PATIENCE, worker).await.expect("the worker is not kept").unwrap();
        until("the job", async || {
            if jobs.is_empty() {
                jobs = queue.reserve(request()).await.unwrap().jobs;
            }
            !jobs.is_empty()
        })
        .await;
        assert_eq!(complete(&*queue, &jobs).await, [Settled::Done]);
        // Where the worker did not wait yet, the answer may have come at once.
        let pushed = match first {
            Poll::Ready(pushed) => pushed,
            Poll::Pending => push.await,
        };
        assert_eq!(pushed.unwrap(), [Pushed::Queued]);
    }
}

/// Polled once.
fn poll_once<T>(future: &mut QueueFuture<'_, T>) -> Poll<Result<T, QueueError>> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// A connection lives for up to so many milliseconds.
async fn does_once_what_is_handed_over_while_connections_are_cut(server: &Server, lives: u64) {
    const JOBS: usize = 100;
    const LOSSES: u64 = 6;
    let proxy = Arc::new(Proxy::before(server.port()).await);
    let queue = queue::connect(&server.fresh_url_at(proxy.port())).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let cutter = tokio::spawn({
        let (over, proxy) = (Arc::clone(&over), Arc::clone(&proxy));
        async move {
            while !over.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(fastrand::u64(5..lives))).await;
                proxy.reset();
            }
        }
    });
    let (all_done, handed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let worker = tokio::spawn({
        let (queue, over) = (Arc::clone(&queue), Arc::clone(&over));
        let (all_done, handed) = (Arc::clone(&all_done), Arc::clone(&handed));
        async move {
            let mut done = HashSet::new();
            while !over.load(Ordering::Relaxed) {
                let (jobs, is_handed) = next(&*queue, Duration::from_millis(100)).await;
                handed.fetch_add(usize::from(is_handed), Ordering::Relaxed);
                for (job, settled) in jobs.iter().zip(complete(&*queue, &jobs).await) {
                    assert!(settled != Settled::Done || done.insert(job.id), "no job is done twice");
                }
                all_done.store(done.len(), Ordering::Relaxed);
            }
            done
        }
    });
    let mut pushed = HashSet::<JobId>::new();
    let is_enough = || queue.connection().losses >= LOSSES && handed.load(Ordering::Relaxed) > 0;
    while pushed.len() < JOBS || !is_enough() {
        let batch: Arc<[NewJob]> = [job()].into();
        while queue.push(Arc::clone(&batch)).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        pushed.insert(batch[0].id);
        // The worker waits again, most likely.
        until("the end of what is pushed", async || all_done.load(Ordering::Relaxed) == pushed.len()).await;
        sleep(Duration::from_micros(fastrand::u64(0..50 * lives))).await;
    }
    over.store(true, Ordering::Relaxed);
    cutter.await.unwrap();
    assert_eq!(worker.await.unwrap(), pushed);
    until("the end of all", async || {
        let stats = queue.stats().await.unwrap_or_default();
        stats.iter().map(|stats| stats.count(JobState::Completed)).sum::<u64>() == pushed.len() as u64
    })
    .await;
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Link {
    number: usize,
    /// How many more follow, each fired by the one before.
    more: usize,
}

/// The numbers of those that ran, in their order.
#[derive(Clone, Default)]
struct Chain(Arc<Mutex<Vec<usize>>>);

impl AsyncHandler<Link> for Chain {
    async fn handle(&self, &Link { number, more }: &Link, job: &Job) -> HandlerResult {
        sleep(Duration::from_millis(5)).await;
        if more > 0 {
            job.extensions().fire(Link { number: number + 1, more: more - 1 }).await?;
        }
        self.0.lock().unwrap().push(number);
        Ok(())
    }
}

async fn chain(server: &Server) -> (Extensions, Chain) {
    let chain = Chain::default();
    let builder = Extensions::builder().queue_url(server.fresh_url());
    let builder = builder.register_async::<Link, _>(chain.clone(), AsyncOptions::new().name("chain"));
    (builder.build().await.unwrap(), chain)
}

/// After a time in which no claim looked for lost jobs.
async fn starts_in_its_only_slot_what_it_is_handed(server: &Server) {
    let (ext, chain) = chain(server).await;
    for round in 1..=5 {
        let worker = ext.worker().concurrency(1).max_jobs(2);
        let worker = tokio::spawn(worker.run_until(pending()));
        sleep(Duration::from_millis(300)).await;
        for number in [1, 2] {
            ext.fire(Link { number, more: 0 }).await.unwrap();
        }
        let report = in_time("the worker's end", worker).await.unwrap().unwrap();
        assert_eq!((report.completed, report.stopped), (2, StopReason::MaxJobs));
        assert_eq!(*chain.0.lock().unwrap(), [1, 2].repeat(round));
    }
}

async fn leaves_nothing_that_its_own_handlers_fire(server: &Server) {
    let (ext, chain) = chain(server).await;
    for round in 1..=10 {
        ext.fire(Link { number: 0, more: 9 }).await.unwrap();
        let worker = ext.worker().concurrency(4).stop_when_empty();
        let report = in_time("the worker's end", worker.run_until(pending())).await.unwrap();
        assert_eq!((report.completed, report.stopped), (10, StopReason::Empty));
        assert_eq!(*chain.0.lock().unwrap(), (0..10).collect::<Vec<_>>().repeat(round));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_one_slot_starts_what_it_is_handed_in_order() {
    starts_in_its_only_slot_what_it_is_handed(&Redis::start(Persistence::None).await).await;
    starts_in_its_only_slot_what_it_is_handed(&Postgres::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_ends_when_nothing_is_left_takes_what_is_handed_to_it_at_the_end() {
    leaves_nothing_that_its_own_handlers_fire(&Redis::start(Persistence::None).await).await;
    leaves_nothing_that_its_own_handlers_fire(&Postgres::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_hands_its_jobs_to_a_worker_of_the_process_and_to_no_other() {
    hands_over_to_this_process_only(&Redis::start(Persistence::None).await).await;
    hands_over_to_this_process_only(&Postgres::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_is_brought_and_does_not_take_comes_back() {
    takes_back_what_a_worker_does_not_take(&Redis::start(Persistence::None).await).await;
    takes_back_what_a_worker_does_not_take(&Postgres::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_does_not_depend_on_whoever_pushes() {
    brings_jobs_of_a_push_that_nobody_polls(&Redis::start(Persistence::None).await).await;
    brings_jobs_of_a_push_that_nobody_polls(&Postgres::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_hands_over_while_connections_are_cut_is_done_once() {
    does_once_what_is_handed_over_while_connections_are_cut(&Redis::start(Persistence::None).await, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_hands_over_while_connections_are_cut_is_done_once() {
    does_once_what_is_handed_over_while_connections_are_cut(&Postgres::start().await, 150).await;
}

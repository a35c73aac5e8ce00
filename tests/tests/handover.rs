//! Jobs that a push hands over to a worker that waits in the same process, in PostgreSQL and Redis.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use extensions_runtime::job::{ClaimedJob, HandlerKey, JobId, JobState, NewJob, QueueName};
use extensions_runtime::queue::{self, ClaimRequest, QueueBackend, Settle, Settled, Settlement, WaitRequest};
use tests::kit::{PATIENCE, claim_request, new_job, until};
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

async fn hands_over_to_this_process_only(server: &Server) {
    let url = server.fresh_url();
    let (queue, other) = (queue::connect(&url).await.unwrap(), queue::connect(&url).await.unwrap());
    for (from, hands_over) in [(&queue, true), (&other, false), (&queue, true)] {
        // A lane's first push is not a usual one.
        from.push([job()].into()).await.unwrap();
        complete(&*queue, &queue.reserve(request()).await.unwrap().jobs).await;

        let worker = tokio::spawn({
            let queue = Arc::clone(&queue);
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
        assert_eq!(is_handed, hands_over);
        assert_eq!(complete(&*queue, &jobs).await, [Settled::Done; 2]);
    }
}

/// A connection lives for up to so many milliseconds.
async fn does_once_what_is_handed_over_while_connections_are_cut(server: &Server, lives: u64) {
    const JOBS: usize = 100;
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
    let all_done = Arc::new(AtomicUsize::new(0));
    let worker = tokio::spawn({
        let (queue, all_done) = (Arc::clone(&queue), Arc::clone(&all_done));
        async move {
            let (mut done, mut handed) = (HashSet::new(), 0);
            let end = Instant::now() + PATIENCE;
            while done.len() < JOBS {
                assert!(Instant::now() < end, "{} of {JOBS} done", done.len());
                let (jobs, is_handed) = next(&*queue, Duration::from_millis(100)).await;
                handed += usize::from(is_handed);
                for (job, settled) in jobs.iter().zip(complete(&*queue, &jobs).await) {
                    assert!(settled != Settled::Done || done.insert(job.id), "no job is done twice");
                }
                all_done.store(done.len(), Ordering::Relaxed);
            }
            (done, handed)
        }
    });
    let mut pushed = HashSet::<JobId>::new();
    while pushed.len() < JOBS {
        let batch: Arc<[NewJob]> = [job()].into();
        while queue.push(Arc::clone(&batch)).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        pushed.insert(batch[0].id);
        // The worker waits again, most likely.
        until("the end of what is pushed", async || all_done.load(Ordering::Relaxed) == pushed.len()).await;
        sleep(Duration::from_micros(fastrand::u64(0..50 * lives))).await;
    }
    let (done, handed) = worker.await.unwrap();
    over.store(true, Ordering::Relaxed);
    cutter.await.unwrap();
    assert_eq!(done, pushed);
    assert!(handed > 0 && queue.connection().losses > 5, "{handed} handed over, {:?}", queue.connection());
    until("the end of all", async || {
        let stats = queue.stats().await.unwrap_or_default();
        stats.iter().map(|stats| stats.count(JobState::Completed)).sum::<u64>() == JOBS as u64
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_hands_its_jobs_to_a_worker_of_the_process_and_to_no_other() {
    hands_over_to_this_process_only(&Redis::start(Persistence::None).await).await;
    hands_over_to_this_process_only(&Postgres::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_hands_over_while_connections_are_cut_is_done_once() {
    does_once_what_is_handed_over_while_connections_are_cut(&Redis::start(Persistence::None).await, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_hands_over_while_connections_are_cut_is_done_once() {
    does_once_what_is_handed_over_while_connections_are_cut(&Postgres::start().await, 150).await;
}

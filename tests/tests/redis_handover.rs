//! Redis: jobs that a push hands over to a worker that waits in the same process.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use extensions_runtime::job::{ClaimedJob, HandlerKey, JobId, JobState, NewJob, QueueName};
use extensions_runtime::queue::{
    ClaimRequest, QueueAdmin, QueueBackend, Redis, Settle, Settled, Settlement, WaitRequest,
};
use tests::kit::{claim_request, new_job, until};
use tests::servers::{Persistence, Server};
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(60);

fn handler() -> HandlerKey {
    HandlerKey::new("OrderPlaced", "send")
}

fn job() -> NewJob {
    new_job(handler(), "{}")
}

fn request() -> ClaimRequest {
    claim_request(handler(), 10)
}

/// What a claim brings, or the wait after it.
async fn next(queue: &Redis, longest: Duration) -> (Vec<ClaimedJob>, bool) {
    let Ok(claimed) = queue.reserve(request()).await else { return (Vec::new(), false) };
    if !claimed.jobs.is_empty() {
        return (claimed.jobs, false);
    }
    let wait =
        WaitRequest { queues: vec![QueueName::from("default")], cursor: claimed.cursor, timeout: longest };
    let handed = queue.wait_for_jobs(wait, request()).await.ok().flatten();
    let handed = handed.map(|handed| handed.claimed.jobs).unwrap_or_default();
    let is_handed = !handed.is_empty();
    (handed, is_handed)
}

/// Settles until that is answered; whether each settlement took effect.
async fn complete(queue: &Redis, jobs: &[ClaimedJob]) -> Vec<Settled> {
    let end = |job: &ClaimedJob| Settlement { job: job.id, token: job.token, end: Settle::complete(true) };
    loop {
        if let Ok(settled) = queue.settle(jobs.iter().map(end).collect()).await {
            return settled;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

async fn open(server: &Server) -> Redis {
    Redis::from_url(&server.url()).timeout(Duration::from_secs(3)).await.expect("the queue opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_hands_its_jobs_to_a_worker_of_the_process_and_to_no_other() {
    let server = tests::servers::Redis::start(Persistence::None).await;
    let (queue, other) = (open(&server).await, open(&server).await);
    // The first push of a lane is not a usual one.
    queue.push([job()].into()).await.unwrap();
    complete(&queue, &queue.reserve(request()).await.unwrap().jobs).await;

    for (from, by_handing_over) in [(&queue, true), (&other, false), (&queue, true)] {
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move {
                loop {
                    let (jobs, is_handed) = next(&queue, PATIENCE).await;
                    if !jobs.is_empty() {
                        return (jobs, is_handed);
                    }
                }
            }
        });
        sleep(Duration::from_millis(50)).await;
        let pushed = [job(), job()];
        from.push(pushed.clone().into()).await.unwrap();
        let (jobs, is_handed) = worker.await.unwrap();
        assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), pushed.map(|job| job.id));
        assert_eq!(is_handed, by_handing_over);
        assert_eq!(complete(&queue, &jobs).await, [Settled::Done; 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_over_while_connections_are_killed_is_done_once() {
    const JOBS: usize = 600;
    let server = tests::servers::Redis::start(Persistence::None).await;
    let queue = open(&server).await;
    let over = Arc::new(AtomicBool::new(false));
    let killer = std::thread::spawn({
        let (over, client) = (Arc::clone(&over), redis::Client::open(server.url()).unwrap());
        move || {
            let mut connection = client.get_connection().unwrap();
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(fastrand::u64(500..5_000)));
                let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
                redis::cmd("CLIENT").arg(&kill).query::<i64>(&mut connection).unwrap();
            }
        }
    });
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move {
            let (mut done, mut handed) = (HashSet::new(), 0);
            let end = Instant::now() + PATIENCE;
            while done.len() < JOBS {
                assert!(Instant::now() < end, "{} of {JOBS} done", done.len());
                let (jobs, is_handed) = next(&queue, Duration::from_millis(100)).await;
                handed += usize::from(is_handed);
                for (job, settled) in jobs.iter().zip(complete(&queue, &jobs).await) {
                    assert!(settled != Settled::Done || done.insert(job.id), "no job is done twice");
                }
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
        sleep(Duration::from_micros(fastrand::u64(0..2_000))).await;
    }
    let (done, handed) = worker.await.unwrap();
    over.store(true, Ordering::Relaxed);
    killer.join().unwrap();
    assert_eq!(done, pushed);
    assert!(handed > 0 && queue.connection().losses > 10, "{handed} handed over, {:?}", queue.connection());
    until("the last release", async || {
        queue
            .stats()
            .await
            .is_ok_and(|stats| stats.iter().all(|stats| stats.count(JobState::Completed) == JOBS as u64))
    })
    .await;
}

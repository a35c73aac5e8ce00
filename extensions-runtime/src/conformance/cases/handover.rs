//! Q47: waits that bring jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::super::bench::{Bench, LONG, PATIENCE, SHORT, handler, job, known, queue};
use super::cases;
use crate::job::{ClaimedJob, HandlerKey, JobId, JobState, NewJob, QueueName};
use crate::queue::{ClaimRequest, Handed, Settle, Settled, Settlement, Severity, WaitRequest};

/// Finds nothing, and waits for what this claim would bring.
async fn waits(bench: &Bench, claim: ClaimRequest, longest: Duration) -> JoinHandle<Option<Handed>> {
    let nothing = bench.reserve(claim.clone()).await;
    assert!(nothing.jobs.is_empty());
    let backend = Arc::clone(&bench.backend);
    let wait = tokio::spawn(async move {
        let request = WaitRequest { queues: claim.queues.clone(), cursor: nothing.cursor, timeout: longest };
        backend.wait_for_jobs(request, claim).await.expect("wait_for_jobs")
    });
    // Lets the wait begin, most likely.
    sleep(Duration::from_millis(20)).await;
    wait
}

async fn brought(wait: JoinHandle<Option<Handed>>) -> Vec<ClaimedJob> {
    let handed = timeout(PATIENCE, wait).await.expect("the wait was to end").expect("the wait succeeds");
    handed.map(|handed| handed.claimed.jobs).unwrap_or_default()
}

/// What the wait brought, or a claim brings then.
async fn brought_or_claimed(bench: &Bench, wait: JoinHandle<Option<Handed>>) -> Vec<ClaimedJob> {
    let jobs = brought(wait).await;
    if jobs.is_empty() { bench.claim(10).await } else { jobs }
}

async fn claimed_at_last(bench: &Bench) -> ClaimedJob {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(claimed) = bench.claim(10).await.pop() {
            return claimed;
        }
        assert!(Instant::now() < end, "the job is lost");
        sleep(Duration::from_millis(1)).await;
    }
}

fn is_claim_of(claimed: &ClaimedJob, job: &NewJob) {
    let of = (&job.id, &job.handler, job.point_version, &job.payload, &job.queue, job.priority, &job.meta);
    let by = &claimed;
    let by = (&by.id, &by.handler, by.point_version, &by.payload, &by.queue, by.priority, &by.meta);
    assert_eq!(by, of);
    assert_eq!((claimed.max_attempts, claimed.on_failure), (job.max_attempts, job.on_failure));
    assert_eq!((claimed.attempt, claimed.lost_count, &claimed.last_error), (1, 0, &None));
}

async fn is_running(bench: &Bench, id: JobId) -> bool {
    bench.backend.get(vec![id]).await.expect("get")[0]
        .as_ref()
        .is_some_and(|job| job.state == JobState::Running)
}

cases! {
    [47 11 15] => what_a_wait_brings_is_claimed(bench) {
        for keep in [true, false] {
            let before = Instant::now();
            let wait = waits(&bench, bench.request(10), LONG).await;
            let pushed = NewJob { on_failure: keep, max_attempts: 7, priority: 2, ..job() };
            bench.push([pushed.clone()]).await;
            let handed = timeout(PATIENCE, wait).await.expect("in time").expect("the wait succeeds");
            let jobs = match handed {
                Some(handed) => {
                    assert!(handed.since >= before && handed.since <= Instant::now());
                    handed.claimed.jobs
                }
                None => bench.claim(10).await,
            };
            let [claimed] = &*jobs else { panic!("{jobs:?}") };
            is_claim_of(claimed, &pushed);
            assert!(is_running(&bench, claimed.id).await);
            assert!(bench.claim(10).await.is_empty());
            bench.end(claimed, Settle::complete(keep)).await;
        }
        let findings = bench.backend.check().await.expect("check");
        assert!(findings.iter().all(|finding| finding.severity < Severity::Problem), "{findings:?}");
    }

    [47 2] => a_push_of_several_brings_all_or_none(bench) {
        let wait = waits(&bench, bench.request(10), LONG).await;
        let pushed = [job(), job(), job()];
        bench.push(pushed.clone()).await;
        let jobs = brought_or_claimed(&bench, wait).await;
        assert_eq!(jobs.len(), 3);
        jobs.iter().zip(&pushed).for_each(|(claimed, job)| is_claim_of(claimed, job));
        let end = |job: &ClaimedJob| Settlement { job: job.id, token: job.token, end: Settle::Release };
        let ended = bench.backend.settle(jobs.iter().map(end).collect()).await.expect("settle");
        assert_eq!(ended, [Settled::Done; 3]);
        assert_eq!(bench.claim(10).await.len(), 3);
    }

    [47 7] => a_wait_brings_no_job_that_is_stored(bench) {
        let stored = job();
        bench.push([stored.clone()]).await;
        let held = bench.take().await;
        let wait = waits(&bench, bench.request(10), SHORT).await;
        bench.push([stored]).await;
        assert!(brought(wait).await.is_empty());
        bench.end(&held, Settle::Release).await;
    }

    [47 16] => a_wait_brings_no_more_than_the_claim_would(bench) {
        let wait = waits(&bench, bench.request(1), LONG).await;
        bench.push([job(), job()]).await;
        let jobs = brought(wait).await;
        assert!(jobs.len() <= 1);
        assert_eq!(bench.claim(10).await.len(), 2 - jobs.len());
    }

    [47 16 38] Pause => a_wait_brings_nothing_from_a_paused_queue(bench) {
        let wait = waits(&bench, bench.request(10), SHORT).await;
        bench.backend.pause(queue()).await.expect("pause");
        bench.pushed().await;
        assert!(brought(wait).await.is_empty());
        assert!(bench.claim(10).await.is_empty());
        bench.backend.resume(queue()).await.expect("resume");
        assert_eq!(bench.claim(10).await.len(), 1);
    }

    [47 13] => a_wait_brings_nothing_before_what_was_pushed_first(bench) {
        let other = bench.fixture.reopen().await;
        for _ in 0..20 {
            let wait = waits(&bench, bench.request(10), LONG).await;
            let (first, second) = (job(), job());
            other.push([first.clone()].into()).await.expect("push");
            bench.push([second.clone()]).await;
            let mut jobs = brought(wait).await;
            jobs.extend(bench.claim(10).await);
            assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [first.id, second.id]);
            for claimed in &jobs {
                bench.end(claimed, Settle::complete(false)).await;
            }
        }
    }

    [47 13] => a_wait_brings_nothing_before_what_a_queue_before_or_a_new_handler_has(bench) {
        let other = bench.fixture.reopen().await;
        let urgent = QueueName::from("urgent");
        bench.pushed().await;
        bench.end(&bench.take().await, Settle::complete(false)).await;
        for round in 0..20 {
            // Each of them new to all, or known.
            let name = if round % 4 < 2 { "Known".to_owned() } else { format!("New{round}") };
            let of_first = HandlerKey::new("Point", &name);
            let queue_of_first = if round % 2 == 0 { urgent.clone() } else { queue() };
            let handlers = [handler(), of_first.clone()].map(|handler| known(&handler));
            let queues = vec![urgent.clone(), queue()];
            let claim = ClaimRequest { queues, handlers: handlers.into(), ..bench.request(10) };
            let wait = waits(&bench, claim.clone(), LONG).await;
            let first = NewJob { queue: queue_of_first, handler: of_first, priority: 0, ..job() };
            let second = NewJob { priority: 9, ..job() };
            other.push([first.clone()].into()).await.expect("push");
            bench.push([second.clone()]).await;
            let mut jobs = brought(wait).await;
            while jobs.len() < 2 {
                jobs.extend(bench.reserve(ClaimRequest { max: 1, ..claim.clone() }).await.jobs);
            }
            assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [first.id, second.id]);
            for claimed in &jobs {
                bench.end(claimed, Settle::complete(false)).await;
            }
        }
    }

    [47 5] => what_a_dropped_wait_was_brought_comes_back(bench) {
        for round in 0..30_u64 {
            let wait = waits(&bench, bench.request(10), LONG).await;
            let push = {
                let (backend, jobs) = (Arc::clone(&bench.backend), [job()].into());
                tokio::spawn(async move { backend.push(jobs).await })
            };
            sleep(Duration::from_micros(30 * round)).await;
            wait.abort();
            let ended = wait.await;
            push.await.expect("the push ends").expect("push");
            let held = ended.ok().flatten().map(|handed| handed.claimed.jobs).unwrap_or_default();
            let claimed = match &*held {
                [] => claimed_at_last(&bench).await,
                [held] => held.clone(),
                more => panic!("{more:?}"),
            };
            assert_eq!(claimed.attempt, 1);
            bench.end(&claimed, Settle::complete(false)).await;
        }
    }
}

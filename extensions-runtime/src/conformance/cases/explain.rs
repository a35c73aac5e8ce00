//! Why a job does not run, from what every store says.

use std::time::Duration;

use super::super::bench::{Bench, LONG, bury, complete, handler, job, jobs, queue};
use super::cases;
use crate::job::{HandlerKey, JobId, NewJob};
use crate::queue::{QueueErrorKind, Reason, WorkerInfo, explain};

async fn reasons(bench: &Bench, id: JobId) -> Vec<Reason> {
    let explanation = explain(&*bench.backend, id).await.unwrap();
    assert_eq!(explanation.job.id, id);
    assert_eq!(explanation.to_string().lines().count(), 1 + explanation.reasons.len());
    explanation.reasons
}

async fn beat(bench: &Bench, worker: &WorkerInfo) {
    bench.backend.beat(worker.clone(), Vec::new()).await.unwrap();
}

cases! {
    [34 35 36 38] List Pause => what_keeps_a_waiting_job_is_said(bench) {
        let id = bench.pushed().await;
        assert_eq!(reasons(&bench, id).await, [Reason::Unserved { workers: 0 }]);
        let elsewhere = WorkerInfo { queues: vec!["other".into()], ..bench.worker_info(&[handler()], LONG) };
        beat(&bench, &elsewhere).await;
        assert_eq!(reasons(&bench, id).await, [Reason::Unserved { workers: 1 }]);
        let stranger = bench.worker_info(&[HandlerKey::new("OrderPlaced", "print")], LONG);
        beat(&bench, &stranger).await;
        assert_eq!(reasons(&bench, id).await, [Reason::UnknownHandler { workers: 1 }]);
        let mut old = bench.worker_info(&[handler()], LONG);
        old.handlers[0].max_version = 0;
        beat(&bench, &old).await;
        assert_eq!(reasons(&bench, id).await, [Reason::OldWorkers { newest: 0 }]);
        let able = bench.worker_info(&[handler()], LONG);
        beat(&bench, &able).await;
        assert_eq!(reasons(&bench, id).await, [Reason::Next]);
        beat(&bench, &WorkerInfo { busy: 4, ..able.clone() }).await;
        assert_eq!(reasons(&bench, id).await, [Reason::Busy { slots: 4 }]);
        bench.backend.pause(queue()).await.unwrap();
        assert_eq!(reasons(&bench, id).await, [Reason::Paused]);
        bench.backend.resume(queue()).await.unwrap();
        beat(&bench, &able).await;
        bench.push(jobs(3).into_iter().map(|job| NewJob { priority: 0, ..job }).collect::<Vec<_>>()).await;
        assert_eq!(reasons(&bench, id).await, [Reason::Behind { jobs: 3, exact: true }]);
    }

    [10 45] List => a_job_that_is_not_due_says_when_it_is(bench) {
        let delayed = NewJob { delay: LONG, ..job() };
        bench.push([delayed.clone()]).await;
        let found = reasons(&bench, delayed.id).await;
        let [Reason::NotDue { due_in }, Reason::Unserved { workers: 0 }] = found[..] else { panic!("{found:?}") };
        assert!(due_in <= LONG && due_in > LONG - Duration::from_secs(60), "{due_in:?}");
    }

    [15 29 34] List => what_runs_and_what_is_over_is_said(bench) {
        let id = bench.pushed().await;
        let worker = WorkerInfo { id: bench.worker, ..bench.worker_info(&[handler()], LONG) };
        beat(&bench, &worker).await;
        let claimed = bench.take().await;
        let found = reasons(&bench, id).await;
        let [Reason::Running { worker: Some(by), place: Some(place), .. }] = &found[..] else { panic!("{found:?}") };
        assert_eq!((*by, place), (bench.worker, &("host".to_owned(), 1)));
        bench.end(&claimed, bury()).await;
        let found = reasons(&bench, id).await;
        let [Reason::Ended { at: Some(_), why: Some(why) }] = &found[..] else { panic!("{found:?}") };
        assert_eq!(why, "for good");
        let done = bench.pushed().await;
        bench.assert_claimable_then(complete()).await;
        assert!(matches!(reasons(&bench, done).await[..], [Reason::Ended { why: None, .. }]));
        let missing = explain(&*bench.backend, JobId::new()).await.unwrap_err();
        assert_eq!(missing.kind(), QueueErrorKind::NotFound);
    }
}

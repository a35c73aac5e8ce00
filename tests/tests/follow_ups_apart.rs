//! Follow-ups on a queue that cannot store them with a completion: stored just before it.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use extensions::prelude::*;
use extensions::queue::{Memory, QueueErrorKind};
use extensions::testing::FaultyQueue;
use serde::{Deserialize, Serialize};
use tests::kit::{self, Log};
use tests::moody::MoodyQueue;

#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct First;

#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Second;

#[extension_handler(First)]
#[async_handler(retries = 2, backoff = fixed(0))]
async fn first(_: &First, job: &Job, log: Res<Log>) -> HandlerResult {
    log.add(format!("first {}", job.attempt()));
    job.fire(Second).await?;
    Ok(())
}

#[extension_handler(Second)]
#[async_handler]
async fn second(_: &Second, log: Res<Log>) {
    log.add("second");
}

async fn drained(failing: Option<QueueErrorKind>) -> WorkerReport {
    let moody = MoodyQueue::new(Arc::new(Memory::new()), false);
    moody.moods().no_follow_ups.store(true, Ordering::SeqCst);
    let (queue, log) = (FaultyQueue::new(moody), Arc::new(Log::default()));
    let builder = Extensions::builder().discover().resource(Arc::clone(&log)).queue(queue.clone());
    let ext = builder.build().await.unwrap();
    ext.fire(First).await.unwrap();
    if let Some(kind) = failing {
        queue.fail_next_pushes(1, kind);
    }
    let worker = ext.worker().stop_when_drained().run_until(pending());
    kit::in_time("drained", worker).await.unwrap()
}

#[tokio::test]
async fn they_run_and_a_push_that_fails_for_a_while_is_made_again() {
    for failing in [None, Some(QueueErrorKind::Unavailable)] {
        let report = drained(failing).await;
        assert_eq!((report.completed, report.failed), (2, 0), "{report:?}");
    }
}

#[tokio::test]
async fn a_push_that_is_refused_is_a_failed_attempt() {
    let report = drained(Some(QueueErrorKind::Unsupported)).await;
    assert_eq!((report.completed, report.failed, report.retried), (2, 1, 1), "{report:?}");
}

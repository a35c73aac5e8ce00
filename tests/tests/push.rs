//! Product 4.3 on a real store: a push that fails loses nothing, and can be repeated.

use std::process::Command;
use std::time::{Duration, Instant};

use extensions::FireErrorKind;
use extensions::prelude::*;
use extensions::queue::{JobFilter, Pushed, QueueErrorKind};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Paid {
    id: u64,
    counted: u32,
}

#[extension_handler(Paid)]
fn count(point: &mut Paid) {
    point.counted += 1;
}

#[extension_handler(Paid)]
#[async_handler]
async fn receipt(_: &Paid) {}

#[extension_handler(Paid)]
#[async_handler]
async fn ledger(_: &Paid) {}

#[tokio::test]
async fn a_store_that_stays_locked_gives_the_jobs_back_and_they_can_be_pushed_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let url = format!("sqlite://{}?busy_timeout=200ms", path.display());
    let ext = Extensions::builder().discover().queue_url(url).build().await.unwrap();

    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asked = Instant::now();
    let error = ext.fire(Paid { id: 1, counted: 0 }).await.unwrap_err();
    assert!(
        asked.elapsed() >= Duration::from_millis(200),
        "it was busy and is tried again until the time-out"
    );
    let FireErrorKind::PushFailed(cause) = error.kind() else { panic!("{error:?}") };
    assert_eq!(cause.kind(), QueueErrorKind::Unavailable);
    assert!(cause.is_retryable());
    assert_eq!(error.point::<Paid>().unwrap().counted, 1);
    let jobs = error.unqueued().clone();
    assert_eq!(jobs.len(), 2);

    let results = ext.fire_many([2, 3].map(|id| Paid { id, counted: 0 })).await;
    for result in results {
        assert_eq!(result.unwrap_err().unqueued().len(), 2);
    }

    other.execute_batch("COMMIT").unwrap();
    assert_eq!(ext.push(jobs.clone()).await.unwrap(), [Pushed::Queued, Pushed::Queued]);
    assert_eq!(ext.push(jobs.clone()).await.unwrap(), [Pushed::Queued, Pushed::Queued]);
    let stored = ext.queue().unwrap().list(JobFilter::default()).await.unwrap();
    let ids: Vec<_> = stored.iter().map(|job| job.id).collect();
    assert_eq!(
        ids,
        jobs.iter().map(|job| job.id).collect::<Vec<_>>(),
        "pushed once, under the ids that the fire fixed"
    );
}

#[test]
fn fire_sync_works_on_a_durable_queue_without_any_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ext = runtime.block_on(Extensions::builder().discover().queue_url(url).build()).unwrap();
    drop(runtime);
    assert_eq!(ext.fire_sync(Paid { id: 1, counted: 0 }).unwrap().queued().len(), 2);
}

/// Runs in a process of its own, with the variable set.
#[tokio::test]
async fn the_queue_comes_from_the_environment_where_the_builder_has_none() {
    const TEST: &str = "the_queue_comes_from_the_environment_where_the_builder_has_none";
    if std::env::var("EXTENSIONS_QUEUE_URL").is_ok() {
        let ext = Extensions::builder().discover().build().await.unwrap();
        assert!(ext.queue().unwrap().describe().contains("from_env.db"));
        assert_eq!(ext.fire(Paid { id: 1, counted: 0 }).await.unwrap().queued().len(), 2);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("from_env.db");
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", TEST]).env("EXTENSIONS_QUEUE_URL", format!("sqlite://{}", path.display()));
    assert!(again.output().unwrap().status.success());
    assert!(path.exists());
}

//! Product 10.6: a worker that could claim and does not rebuilds its connection, then ends the process.

#![allow(clippy::print_stdout, reason = "a process that plays a part says on stdout how far it is")]

use std::future::pending;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use extensions::prelude::*;
use extensions::queue::Memory;
use extensions::worker::WATCHDOG_EXIT;
use serde::{Deserialize, Serialize};
use tests::moody::MoodyQueue;

const PART: &str = "EXTENSIONS_TEST_PART";
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Work {
    blocks_ms: u64,
}

#[extension_handler(Work)]
#[async_handler]
async fn work(point: &Work) {
    std::thread::sleep(Duration::from_millis(point.blocks_ms));
}

async fn fired(blocks_ms: u64) -> (Extensions, MoodyQueue) {
    let queue = MoodyQueue::new(Arc::new(Memory::new()), false);
    let ext = Extensions::builder().discover().queue(queue.clone()).build().await.unwrap();
    ext.fire(Work { blocks_ms }).await.unwrap();
    (ext, queue)
}

fn watched(ext: &Extensions) -> extensions::WorkerBuilder {
    ext.worker().watchdog(PATIENCE).stop_when_drained()
}

#[tokio::test]
async fn where_a_new_connection_helps_the_worker_goes_on() {
    let (ext, queue) = fired(0).await;
    queue.moods().claims_hang.store(true, Ordering::SeqCst);
    queue.moods().reconnect_helps.store(true, Ordering::SeqCst);
    let worker = watched(&ext).run_until(pending());
    let report = tokio::time::timeout(Duration::from_secs(30), worker).await.expect("it goes on").unwrap();
    assert_eq!((report.completed, queue.reconnects()), (1, 1), "{report:?}");
}

#[test]
fn where_it_does_not_help_the_process_ends_with_a_code_of_its_own() {
    let test = "where_it_does_not_help_the_process_ends_with_a_code_of_its_own";
    if std::env::var(PART).is_ok() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ext, queue) = fired(0).await;
            queue.moods().claims_hang.store(true, Ordering::SeqCst);
            let worker = tokio::spawn(watched(&ext).run_until(pending()));
            while queue.reconnects() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            println!("reconnected");
            let ended = tokio::time::timeout(Duration::from_secs(30), worker).await;
            println!("goes on: {ended:?}");
        });
        std::process::exit(99);
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).env(PART, "1").stdout(Stdio::piped());
    let ended = again.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(WATCHDOG_EXIT), "{said}");
    assert_eq!(WATCHDOG_EXIT, 70);
    assert!(said.contains("reconnected"), "the connection is rebuilt first: {said}");
}

/// Nothing is to happen, so there is nothing to wait for but time: several times as long as the watchdog is patient.
#[tokio::test]
async fn a_store_that_cannot_be_reached_is_no_reason_for_anything() {
    let (ext, queue) = fired(0).await;
    queue.moods().claims_hang.store(true, Ordering::SeqCst);
    queue.moods().stats_hang.store(true, Ordering::SeqCst);
    let report = ext.worker().watchdog(PATIENCE).max_time(PATIENCE * 5).run_until(pending()).await.unwrap();
    assert_eq!((report.completed, queue.reconnects()), (0, 0));
}

#[tokio::test]
async fn turned_off_it_does_nothing_and_neither_does_it_where_nothing_waits() {
    let (ext, queue) = fired(0).await;
    queue.moods().claims_hang.store(true, Ordering::SeqCst);
    let off = ext.worker().watchdog(Duration::MAX).max_time(PATIENCE * 3);
    queue.moods().reconnect_helps.store(true, Ordering::SeqCst);
    off.run_until(pending()).await.unwrap();
    assert_eq!(queue.reconnects(), 0);

    queue.moods().claims_hang.store(false, Ordering::SeqCst);
    watched(&ext).run_until(pending()).await.unwrap();
    queue.moods().claims_hang.store(true, Ordering::SeqCst);
    let idle = ext.worker().watchdog(PATIENCE).max_time(PATIENCE * 3);
    idle.run_until(pending()).await.unwrap();
    assert_eq!(queue.reconnects(), 0, "no job waits");
}

#[test]
fn a_handler_that_blocks_the_runtime_while_it_has_time_is_no_silence() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (ext, queue) = fired(0).await;
        watched(&ext).run_until(pending()).await.unwrap();
        ext.fire(Work { blocks_ms: 5_000 }).await.unwrap();
        let other = ext.clone();
        std::thread::spawn(move || {
            // Amid the handler's 5 s.
            std::thread::sleep(Duration::from_millis(500));
            other.fire_sync(Work { blocks_ms: 0 }).unwrap();
        });
        let started = Instant::now();
        let report = watched(&ext).run_until(pending()).await.unwrap();
        assert!(started.elapsed() >= PATIENCE * 5);
        assert_eq!((report.completed, queue.reconnects()), (2, 0), "{report:?}");
    });
}

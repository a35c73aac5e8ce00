//! What needs the inside of the backend, or another process.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use tokio::task::JoinSet;

use super::Sqlite;
use super::checkpoint::LOG_PAGES;
use crate::job::{ClaimedJob, FireId, HandlerKey, JobId, JobMeta, NewJob, Payload, QueueName, WorkerId};
use crate::queue::{
    ClaimRequest, KnownHandler, Pushed, QueueAdmin, QueueBackend, QueueErrorKind, Retention, Settle, Settled,
    Settlement, WaitRequest, WorkerInfo,
};
use crate::time::Timestamp;

const CHILD: &str = "EXTENSIONS_TEST_CHILD";
const DATABASE: &str = "EXTENSIONS_TEST_DATABASE";
const LONG: Duration = Duration::from_secs(600);

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("extensions-sqlite-{}", WorkerId::new()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn database(&self) -> PathBuf {
        self.0.join("jobs.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn handler() -> HandlerKey {
    HandlerKey::new("P", "h")
}

fn queue() -> QueueName {
    QueueName::from("default")
}

fn job(payload: &str) -> NewJob {
    NewJob {
        id: JobId::new(),
        handler: handler(),
        point_version: 1,
        payload: Payload::from(payload.as_bytes()),
        queue: queue(),
        priority: 5,
        max_attempts: 3,
        delay: Duration::ZERO,
        unique: None,
        on_failure: false,
        once: None,
        meta: JobMeta::new(FireId::new()),
    }
}

fn request(worker: WorkerId) -> ClaimRequest {
    let handlers = [KnownHandler { handler: handler(), max_version: 1 }];
    ClaimRequest {
        worker,
        queues: vec![queue()],
        handlers: handlers.into(),
        max: 10,
        lease: LONG,
        lost: crate::queue::TakeLost::All,
    }
}

fn worker_info(id: WorkerId) -> WorkerInfo {
    WorkerInfo {
        id,
        host: "host".to_owned(),
        pid: std::process::id(),
        version: "0".to_owned(),
        queues: vec![queue()],
        handlers: vec![KnownHandler { handler: handler(), max_version: 1 }],
        slots: 1,
        busy: 0,
        started_at: Timestamp::default(),
        last_beat: Timestamp::default(),
        live_for: LONG,
    }
}

async fn claim(queue: &Sqlite) -> Vec<ClaimedJob> {
    queue.reserve(request(WorkerId::new())).await.unwrap().jobs
}

fn unix_nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}

/// Starts this test binary as another process that plays the part.
fn spawn(part: &str, database: &Path) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backend::sqlite::tests::another_process", "--ignored", "--nocapture"])
        .env(CHILD, part)
        .env(DATABASE, database)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn wait_for_line(output: &mut impl BufRead, wanted: &str) {
    let mut line = String::new();
    while !line.contains(wanted) {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the other process ended without {wanted:?}");
    }
}

#[test]
#[ignore = "started by other tests as a process of its own"]
fn another_process() {
    let Ok(part) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = Sqlite::open(std::env::var(DATABASE).unwrap()).await.unwrap();
        match &*part {
            "open" => {}
            "hold" => {
                let worker = WorkerId::new();
                queue.beat(worker_info(worker), Vec::new()).await.unwrap();
                assert_eq!(queue.reserve(request(worker)).await.unwrap().jobs.len(), 1);
                say("holding");
                tokio::time::sleep(LONG).await;
            }
            "push" => {
                for _ in 0..100 {
                    tokio::time::sleep(Duration::from_millis(15)).await;
                    queue.push([job(&unix_nanos().to_string())].into()).await.unwrap();
                }
            }
            part => panic!("no part {part}"),
        }
    });
}

fn say(line: &str) {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}").unwrap();
}

#[tokio::test]
async fn a_store_is_made_once_by_eight_threads_and_two_processes() {
    let folder = Folder::new();
    open_ten_times_at_once(&folder).await;
}

#[tokio::test]
async fn a_store_of_version_1_is_migrated_once_by_eight_threads_and_two_processes() {
    let folder = Folder::new();
    let conn = Connection::open(folder.database()).unwrap();
    super::migrations::migrate_to(&conn, 1).unwrap();
    drop(conn);
    open_ten_times_at_once(&folder).await;
}

/// In one round of sixty, one of eight was refused at once.
#[test]
fn connections_that_change_the_journal_at_once_wait_for_each_other() {
    const AT_ONCE: usize = 8;
    for _ in 0..200 {
        let folder = Folder::new();
        let conn = Connection::open(folder.database()).unwrap();
        super::migrations::migrate_to(&conn, 1).unwrap();
        drop(conn);
        let config = super::Config::new(folder.database());
        let gate = Barrier::new(AT_ONCE);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    super::busy::give_up_at(Instant::now() + Duration::from_secs(60));
                    gate.wait();
                    super::connection(&folder.database(), &config).unwrap();
                });
            }
        });
    }
}

async fn open_ten_times_at_once(folder: &Folder) {
    let children = [spawn("open", &folder.database()), spawn("open", &folder.database())];
    let opens: Vec<_> = (0..8)
        .map(|_| {
            let path = folder.database();
            tokio::spawn(async move { Sqlite::open(path).await.map(drop) })
        })
        .collect();
    for open in opens {
        open.await.unwrap().unwrap();
    }
    for (mut child, _) in children {
        assert!(child.wait().unwrap().success());
    }
    let conn = Connection::open(folder.database()).unwrap();
    let versions: u32 =
        conn.query_row("SELECT count(*) FROM extensions_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(versions, super::migrations::NEWEST);
}

#[tokio::test]
async fn each_call_of_a_group_learns_its_own_outcome() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    let writer = &queue.inner.writer;
    let blocker = writer.call("test", |_| {
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    });
    let before = queue.push([job("1")].into());
    let failing = writer.call("test", |tx| tx.fail());
    let after = queue.push([job("2")].into());
    let (blocker, before, failed, after) = tokio::join!(blocker, before, failing, after);
    blocker.unwrap();
    assert!(before.is_ok() && after.is_ok());
    let error = failed.unwrap_err();
    assert_eq!(error.operation(), "test");
    let payloads: Vec<_> = claim(&queue).await.iter().map(|job| job.payload.to_text()).collect();
    assert_eq!(payloads.len(), 2, "{payloads:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_push_that_waits_for_another_writer_keeps_no_thread_of_its_caller() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    queue.push([job("1")].into()).await.unwrap();
    let other = Connection::open(folder.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (own, waits) = (queue.clone(), [job("2")].into());
    let push = tokio::spawn(async move { own.push(waits).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!push.is_finished());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(push.await.unwrap().unwrap(), [Pushed::Queued]);
    assert_eq!(claim(&queue).await.len(), 2);
}

#[tokio::test]
async fn a_push_that_has_begun_is_made_even_if_nobody_waits_for_it() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    for n in 0..20 {
        let mut push = queue.push([job(&n.to_string())].into());
        let _ = push.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    assert_eq!(claim(&queue).await.len(), 10);
    assert_eq!(claim(&queue).await.len(), 10);
}

#[tokio::test]
async fn a_new_lane_of_a_failed_transaction_is_forgotten() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    let batch = super::store::push::Batch::new([job("1")].into());
    let failing = queue.inner.writer.call("test", move |tx| {
        tx.push(&batch)?;
        tx.fail()
    });
    failing.await.unwrap_err();
    assert!(claim(&queue).await.is_empty());
    queue.push([job("2")].into()).await.unwrap();
    assert_eq!(claim(&queue).await.len(), 1);
}

#[tokio::test]
async fn a_dead_process_is_noticed_at_once_and_a_frozen_one_is_not() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    queue.push([job("1")].into()).await.unwrap();
    let (mut child, mut output) = spawn("hold", &folder.database());
    wait_for_line(&mut output, "holding");
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    signal("-STOP");
    assert_eq!(queue.maintain(Retention::default()).await.unwrap().rescued, 0);
    assert_eq!(queue.workers().await.unwrap().len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(queue.maintain(Retention::default()).await.unwrap().rescued, 1);
    assert!(queue.workers().await.unwrap().is_empty());
    assert_eq!(claim(&queue).await.len(), 1);
    assert_eq!(std::fs::read_dir(folder.0.join("jobs.db-workers")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_dead_process_is_noticed_by_the_next_worker_to_start() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    queue.push([job("1")].into()).await.unwrap();
    let (mut child, mut output) = spawn("hold", &folder.database());
    wait_for_line(&mut output, "holding");
    child.kill().unwrap();
    child.wait().unwrap();
    queue.beat(worker_info(WorkerId::new()), Vec::new()).await.unwrap();
    assert_eq!(claim(&queue).await.len(), 1);
}

#[tokio::test]
async fn a_lease_of_another_boot_is_over() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    queue.push([job("1")].into()).await.unwrap();
    let claimed = claim(&queue).await;
    let conn = Connection::open(folder.database()).unwrap();
    conn.execute("UPDATE extensions_claims SET boot = boot + 1", []).unwrap();
    assert_eq!(queue.maintain(Retention::default()).await.unwrap().rescued, 1);
    let end = Settlement { job: claimed[0].id, token: claimed[0].token, end: Settle::Release };
    assert_eq!(queue.settle(vec![end]).await.unwrap(), [Settled::LeaseLost]);
}

#[tokio::test]
async fn claims_that_are_settled_leave_nothing_behind() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    queue.push((0..10).map(|n| job(&n.to_string())).collect::<Vec<_>>().into()).await.unwrap();
    for (n, claimed) in claim(&queue).await.into_iter().enumerate() {
        let end = if n % 2 == 0 { Settle::complete(n % 4 == 0) } else { Settle::Snooze { delay: LONG } };
        queue.settle(vec![Settlement { job: claimed.id, token: claimed.token, end }]).await.unwrap();
    }
    let conn = Connection::open(folder.database()).unwrap();
    let claims: u32 = conn.query_row("SELECT count(*) FROM extensions_claims", [], |row| row.get(0)).unwrap();
    assert_eq!(claims, 0);
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let folder = Folder::new();
    let missing = Sqlite::open(folder.0.join("no/jobs.db")).await.unwrap_err();
    assert_eq!(missing.kind(), QueueErrorKind::Unavailable);
    assert!(missing.to_string().contains("does not exist; create it"), "{missing}");
    let is_folder = Sqlite::open(&folder.0).await.unwrap_err();
    assert!(is_folder.to_string().contains("it is a folder"), "{is_folder}");
    std::fs::write(folder.database(), [b'x'; 4096]).unwrap();
    let garbage = Sqlite::open(folder.database()).await.unwrap_err();
    assert_eq!(garbage.kind(), QueueErrorKind::Corrupt, "{garbage}");
    let unknown = Sqlite::from_url("sqlite://x.db?busy=1s").await.unwrap_err();
    assert_eq!(unknown.kind(), QueueErrorKind::InvalidConfig);
    let nowhere = Sqlite::open("").await.unwrap_err();
    assert!(nowhere.to_string().contains("a queue needs a file"), "{nowhere}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_is_woken_by_another_process() {
    let folder = Folder::new();
    let database = Sqlite::open(folder.database()).await.unwrap();
    let (mut child, _output) = spawn("push", &folder.database());
    let request = request(WorkerId::new());
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut latencies = Vec::new();
    while latencies.len() < 100 && Instant::now() < deadline {
        let claimed = database.reserve(request.clone()).await.unwrap();
        let now = unix_nanos();
        latencies.extend(claimed.jobs.iter().map(|job| now - job.payload.to_text().parse::<u128>().unwrap()));
        if claimed.jobs.is_empty() {
            let timeout = Duration::from_secs(30);
            database
                .wait(WaitRequest { queues: vec![queue()], cursor: claimed.cursor, timeout })
                .await
                .unwrap();
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(latencies.len(), 100);
    latencies.sort_unstable();
    let micros = |at: usize| latencies[at] / 1000;
    say(&format!("from another process: p50 {} µs, p99 {} µs", micros(50), micros(98)));
}

#[tokio::test]
async fn a_claim_finds_its_jobs_behind_more_of_others_than_it_moves_at_once() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    let others = HandlerKey::new("p", "of another worker");
    let foreign = |number: usize| NewJob { handler: others.clone(), ..job(&number.to_string()) };
    for thousand in 0..12 {
        queue.push((0..1000).map(|number| foreign(1000 * thousand + number)).collect()).await.unwrap();
    }
    queue.push([job("mine")].into()).await.unwrap();
    assert_eq!(claim(&queue).await.iter().map(|job| job.payload.to_text()).collect::<Vec<_>>(), ["mine"]);
    let handlers = [KnownHandler { handler: others, max_version: 1 }];
    let request = ClaimRequest { handlers: handlers.into(), max: 2000, ..request(WorkerId::new()) };
    for claimed in 0..6 {
        let jobs = queue.reserve(request.clone()).await.unwrap().jobs;
        let expected = (2000 * claimed..2000 * (claimed + 1)).map(|number| number.to_string());
        assert!(jobs.iter().map(|job| job.payload.to_text()).eq(expected));
    }
}

fn end(claimed: &ClaimedJob, end: Settle) -> Settlement {
    Settlement { job: claimed.id, token: claimed.token, end }
}

#[tokio::test]
async fn follow_ups_of_a_lost_claim_are_not_stored_and_those_of_others_wake_workers() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    queue.push([job("1"), job("2")].into()).await.unwrap();
    let claimed = claim(&queue).await;
    queue.settle(vec![end(&claimed[1], Settle::Release)]).await.unwrap();
    let completed =
        |follow_up: &str| Settle::Complete { keep: false, result: None, follow_ups: [job(follow_up)].into() };
    let cursor = queue.reserve(ClaimRequest { max: 0, ..request(WorkerId::new()) }).await.unwrap().cursor;
    let ends = vec![end(&claimed[1], completed("lost")), end(&claimed[0], completed("kept"))];
    assert_eq!(queue.settle(ends).await.unwrap(), [Settled::LeaseLost, Settled::Done]);
    let wait = WaitRequest { queues: vec![self::queue()], cursor, timeout: LONG };
    tokio::time::timeout(Duration::from_secs(30), queue.wait(wait)).await.unwrap().unwrap();
    let payloads: Vec<_> = claim(&queue).await.iter().map(|job| job.payload.to_text()).collect();
    assert_eq!(payloads, ["2", "kept"]);
}

#[tokio::test]
async fn an_id_is_free_again_when_its_time_is_over_and_is_then_forgotten() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    let once = NewJob { once: Some(LONG), ..job("1") };
    queue.push([once.clone()].into()).await.unwrap();
    let claimed = claim(&queue).await.remove(0);
    queue.settle(vec![end(&claimed, Settle::complete(false))]).await.unwrap();
    queue.push([once.clone()].into()).await.unwrap();
    queue.maintain(Retention::default()).await.unwrap();
    assert!(claim(&queue).await.is_empty(), "the id was to stay taken");
    let conn = Connection::open(folder.database()).unwrap();
    conn.execute("UPDATE extensions_taken SET until = until - ?1", [LONG.as_millis() as i64]).unwrap();
    queue.push([once].into()).await.unwrap();
    assert_eq!(claim(&queue).await.len(), 1);
    conn.execute("UPDATE extensions_taken SET until = 0", []).unwrap();
    queue.maintain(Retention::default()).await.unwrap();
    let taken: u32 = conn.query_row("SELECT count(*) FROM extensions_taken", [], |row| row.get(0)).unwrap();
    assert_eq!(taken, 0);
}

#[tokio::test]
async fn nothing_is_stored_in_a_file_that_was_deleted_or_replaced() {
    let folder = Folder::new();
    let database = folder.database();
    let queue = Sqlite::open(&database).await.unwrap();
    queue.push([job("1")].into()).await.unwrap();
    let aside = folder.0.join("aside.db");
    std::fs::rename(&database, &aside).unwrap();
    for replaced in [false, true] {
        if replaced {
            std::fs::write(&database, "").unwrap();
        }
        let error = queue.push([job("2")].into()).await.unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains("deleted or replaced"), "{error:?}");
    }
    std::fs::rename(&aside, &database).unwrap();
    queue.push([job("3")].into()).await.unwrap();
}

/// How often the log has begun anew, by its header.
fn renewals(log: &Path) -> u32 {
    let mut header = [0; 16];
    std::fs::File::open(log).and_then(|mut log| log.read_exact(&mut header)).unwrap();
    u32::from_be_bytes(header[12..].try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_begins_anew_under_a_steady_load() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    let (log, payload) = (folder.database().with_extension("db-wal"), format!("{:?}", "x".repeat(30_000)));
    let begun = renewals(&log);
    let pages = Arc::new(AtomicU32::new(0));
    let mut pushers = JoinSet::new();
    for _ in 0..4 {
        let (queue, pages, new) = (queue.clone(), Arc::clone(&pages), job(&payload));
        pushers.spawn(async move {
            loop {
                // A full log is brought over while commits go on, but at a pace that the slowest disk can follow.
                let is_full = pages.load(Ordering::Relaxed) > LOG_PAGES;
                let jobs = if is_full { 1 } else { 20 };
                let batch = (0..jobs).map(|_| NewJob { id: JobId::new(), ..new.clone() });
                queue.push(batch.collect()).await.unwrap();
                pages.fetch_add(jobs * 8, Ordering::Relaxed);
                if is_full {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
    }
    for renewal in 1..=2 {
        let deadline = Instant::now() + Duration::from_secs(120);
        while renewals(&log) < begun + renewal {
            let written = pages.load(Ordering::Relaxed);
            assert!(Instant::now() < deadline, "{written} pages and no renewal number {renewal}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        pages.store(0, Ordering::Relaxed);
    }
    pushers.shutdown().await;
}

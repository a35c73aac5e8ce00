//! Jobs and claims in the caller's own transaction, beside the caller's rows: with rusqlite and with sqlx, on SQLite.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use extensions::job::{
    ClaimedJob, JobId, JobState, NewJob, Payload, QueueName, UniqueKey, UniqueLock, UniqueUntil,
};
use extensions::queue::{
    ClaimRequest, Memory, Pushed, QueueAdmin, QueueBackend, QueueError, QueueErrorKind, Settle, Settled,
    Settlement, Sqlite, Transaction, WaitRequest,
};
use rusqlite::TransactionBehavior;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use tests::kit::{claim_request, in_time, new_job};

const LONG: Duration = Duration::from_secs(600);
const DATABASE: &str = "TESTS_DATABASE";

/// An application's connection to a database, with its orders, in one transaction after the other.
trait Shop: Sized {
    async fn open(database: &Path) -> Self;
    async fn begin(&mut self);
    async fn order(&mut self, number: i64);
    async fn push(&mut self, queue: &dyn QueueBackend, jobs: &[NewJob]) -> Result<Vec<Pushed>, QueueError>;
    async fn settle(&mut self, queue: &dyn QueueBackend, end: Settlement)
    -> Result<Vec<Settled>, QueueError>;
    async fn commit(&mut self);
    async fn roll_back(&mut self);
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY)";
const ORDER: &str = "INSERT INTO orders VALUES (?1)";

struct Rusqlite(rusqlite::Connection);

impl Shop for Rusqlite {
    async fn open(database: &Path) -> Self {
        let conn = rusqlite::Connection::open(database).unwrap();
        conn.execute_batch(TABLE).unwrap();
        Self(conn)
    }

    async fn begin(&mut self) {
        self.0.execute_batch("BEGIN").unwrap();
    }

    async fn order(&mut self, number: i64) {
        self.0.execute(ORDER, [number]).unwrap();
    }

    async fn push(&mut self, queue: &dyn QueueBackend, jobs: &[NewJob]) -> Result<Vec<Pushed>, QueueError> {
        Transaction::push(&mut self.0, queue, jobs.into()).await
    }

    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        end: Settlement,
    ) -> Result<Vec<Settled>, QueueError> {
        Transaction::settle(&mut self.0, queue, vec![end]).await
    }

    async fn commit(&mut self) {
        self.0.execute_batch("COMMIT").unwrap();
    }

    async fn roll_back(&mut self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

struct Sqlx {
    pool: SqlitePool,
    tx: Option<sqlx::Transaction<'static, sqlx::Sqlite>>,
}

impl Sqlx {
    fn tx(&mut self) -> &mut sqlx::Transaction<'static, sqlx::Sqlite> {
        self.tx.as_mut().expect("a transaction was begun")
    }
}

impl Shop for Sqlx {
    async fn open(database: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(database).create_if_missing(true);
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
        sqlx::query(TABLE).execute(&pool).await.unwrap();
        Self { pool, tx: None }
    }

    async fn begin(&mut self) {
        self.tx = Some(self.pool.begin().await.unwrap());
    }

    async fn order(&mut self, number: i64) {
        sqlx::query(ORDER).bind(number).execute(&mut **self.tx()).await.unwrap();
    }

    async fn push(&mut self, queue: &dyn QueueBackend, jobs: &[NewJob]) -> Result<Vec<Pushed>, QueueError> {
        sendable(self.tx().push(queue, jobs.into())).await
    }

    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        end: Settlement,
    ) -> Result<Vec<Settled>, QueueError> {
        sendable(self.tx().settle(queue, vec![end])).await
    }

    async fn commit(&mut self) {
        self.tx.take().unwrap().commit().await.unwrap();
    }

    async fn roll_back(&mut self) {
        self.tx.take().unwrap().rollback().await.unwrap();
    }
}

/// Handlers fire in futures that may change threads.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("app.db")
    }

    async fn opened<S: Shop>(&self) -> (Sqlite, S) {
        (Sqlite::open(self.database()).await.unwrap(), S::open(&self.database()).await)
    }

    /// How many rows the application and the queue have.
    fn rows(&self) -> (u32, u32, u32, u32) {
        let conn = rusqlite::Connection::open(self.database()).unwrap();
        let count = |table: &str| {
            conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        (count("orders"), count("extensions_jobs"), count("extensions_locks"), count("extensions_taken"))
    }
}

fn queue_name() -> QueueName {
    QueueName::from("default")
}

fn job(what: &str) -> NewJob {
    new_job("Order/confirm", what)
}

/// A job with all that a push may have to take back.
fn demanding(what: &str, key: &str) -> NewJob {
    let unique = UniqueLock { key: UniqueKey::from(key), ttl: Some(LONG), until: UniqueUntil::End };
    NewJob { unique: Some(unique), once: Some(LONG), ..job(what) }
}

async fn claim(queue: &Sqlite) -> Vec<ClaimedJob> {
    queue.reserve(request()).await.unwrap().jobs
}

fn request() -> ClaimRequest {
    claim_request("Order/confirm", 10)
}

fn end(claimed: &ClaimedJob, end: Settle) -> Settlement {
    Settlement { job: claimed.id, token: claimed.token, end }
}

fn with_follow_ups(follow_ups: &[NewJob]) -> Settle {
    Settle::Complete { keep: true, result: Some(Payload::from(&b"7"[..])), follow_ups: follow_ups.into() }
}

/// The tests, each with both drivers.
macro_rules! with_both {
    ($($(#[$about:meta])* async fn $name:ident<S: Shop>() $body:block)+) => {
        mod cases {
            use super::*;
            $($(#[$about])* pub(super) async fn $name<S: Shop>() $body)+
        }
        mod rusqlite_connection {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { cases::$name::<Rusqlite>().await; })+
        }
        mod sqlx_transaction {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { cases::$name::<Sqlx>().await; })+
        }
    };
}

with_both! {
    async fn rows_and_jobs_are_committed_together<S: Shop>() {
        let folder = Folder::new();
        let (queue, mut shop) = folder.opened::<S>().await;
        shop.begin().await;
        shop.order(1).await;
        let jobs = [demanding("confirm 1", "order 1"), job("bill 1"), job("ship 1")];
        assert_eq!(shop.push(&queue, &jobs).await.unwrap(), [Pushed::Queued; 3]);
        assert_eq!(folder.rows(), (0, 0, 0, 0), "others saw what was not committed");
        shop.commit().await;
        assert_eq!(folder.rows(), (1, 3, 1, 1));
        let claimed = claim(&queue).await;
        let payloads: Vec<_> = claimed.iter().map(|job| job.payload.to_text()).collect();
        assert_eq!(payloads, ["confirm 1", "bill 1", "ship 1"]);
        assert_eq!(claimed[0].meta, jobs[0].meta);
    }

    async fn rows_and_jobs_are_rolled_back_together<S: Shop>() {
        let folder = Folder::new();
        let (queue, mut shop) = folder.opened::<S>().await;
        shop.begin().await;
        shop.order(1).await;
        let demanding = demanding("confirm 1", "order 1");
        shop.push(&queue, std::slice::from_ref(&demanding)).await.unwrap();
        shop.roll_back().await;
        assert_eq!(folder.rows(), (0, 0, 0, 0));
        assert!(claim(&queue).await.is_empty());
        let again = queue.push([demanding].into()).await.unwrap();
        assert_eq!((again, folder.rows()), (vec![Pushed::Queued], (0, 1, 1, 1)), "something was left");
    }

    async fn a_key_or_an_id_that_is_taken_keeps_a_job_out_of_a_transaction_too<S: Shop>() {
        let folder = Folder::new();
        let (queue, mut shop) = folder.opened::<S>().await;
        let first = demanding("confirm 1", "order 1");
        queue.push([first.clone()].into()).await.unwrap();
        shop.begin().await;
        let second = demanding("again", "order 1");
        let answers = shop.push(&queue, &[second, first.clone()]).await.unwrap();
        assert_eq!(answers, [Pushed::Duplicate { of: first.id }, Pushed::Queued]);
        let (third, fourth) = (demanding("confirm 2", "order 2"), demanding("again", "order 2"));
        let answers = shop.push(&queue, &[third.clone(), fourth]).await.unwrap();
        assert_eq!(answers, [Pushed::Queued, Pushed::Duplicate { of: third.id }]);
        shop.commit().await;
        assert_eq!(folder.rows(), (0, 2, 2, 2));
        for claimed in claim(&queue).await {
            queue.settle(vec![end(&claimed, Settle::complete(false))]).await.unwrap();
        }
        shop.begin().await;
        assert_eq!(shop.push(&queue, &[first]).await.unwrap(), [Pushed::Queued]);
        shop.commit().await;
        assert_eq!(folder.rows(), (0, 0, 0, 2), "an id that is still taken was stored again");
    }

    async fn a_claim_ends_with_the_transaction<S: Shop>() {
        let folder = Folder::new();
        let (queue, mut shop) = folder.opened::<S>().await;
        queue.push([demanding("confirm 1", "order 1"), job("bill 1")].into()).await.unwrap();
        let claimed = claim(&queue).await;
        let id = claimed[0].id;
        let follow_up = job("ship 1");
        shop.begin().await;
        shop.order(1).await;
        let complete = || end(&claimed[0], with_follow_ups(std::slice::from_ref(&follow_up)));
        assert_eq!(shop.settle(&queue, complete()).await.unwrap(), [Settled::Done]);
        shop.roll_back().await;
        let still = queue.get(vec![id, follow_up.id]).await.unwrap();
        assert_eq!(still[0].as_ref().map(|job| job.state), Some(JobState::Running));
        assert_eq!((still[1].is_none(), folder.rows()), (true, (0, 2, 1, 1)));

        shop.begin().await;
        shop.order(1).await;
        assert_eq!(shop.settle(&queue, complete()).await.unwrap(), [Settled::Done]);
        shop.commit().await;
        let done = queue.get(vec![id]).await.unwrap().remove(0).unwrap();
        assert_eq!((done.state, done.result), (JobState::Completed, Some(Payload::from(&b"7"[..]))));
        assert_eq!(folder.rows(), (1, 3, 0, 1));
        let next = claim(&queue).await;
        assert_eq!(next.iter().map(|job| job.id).collect::<Vec<_>>(), [follow_up.id]);
        let rest = [end(&claimed[1], Settle::complete(false)), end(&next[0], Settle::complete(false))];
        assert_eq!(queue.settle(rest.into()).await.unwrap(), [Settled::Done; 2]);
        let conn = rusqlite::Connection::open(folder.database()).unwrap();
        let claims: u32 =
            conn.query_row("SELECT count(*) FROM extensions_claims", [], |row| row.get(0)).unwrap();
        assert_eq!(claims, 0, "a claim was left without jobs");
    }

    async fn any_end_of_a_claim_can_be_in_a_transaction<S: Shop>() {
        let folder = Folder::new();
        let (queue, mut shop) = folder.opened::<S>().await;
        let jobs: Vec<_> = ["release", "snooze", "cancel", "bury"].map(job).into();
        queue.push(jobs.into()).await.unwrap();
        let claimed = claim(&queue).await;
        let error = extensions::job::AttemptError {
            attempt: 1,
            at: Default::default(),
            kind: extensions::job::ErrorKind::Permanent,
            message: "no such order".to_owned(),
            worker: None,
            took: None,
        };
        let ends = [
            (Settle::Release, JobState::Available),
            (Settle::Snooze { delay: LONG }, JobState::Scheduled),
            (Settle::Cancel { reason: "sold out".to_owned(), keep: true }, JobState::Cancelled),
            (Settle::Bury { error, owe_on_failure: true }, JobState::Dead),
        ];
        shop.begin().await;
        for (claimed, (how, _)) in claimed.iter().zip(&ends) {
            assert_eq!(shop.settle(&queue, end(claimed, how.clone())).await.unwrap(), [Settled::Done]);
        }
        shop.commit().await;
        let records = queue.get(claimed.iter().map(|job| job.id).collect()).await.unwrap();
        for (record, (_, state)) in records.iter().zip(&ends) {
            assert_eq!(record.as_ref().map(|job| job.state), Some(*state));
        }
        let buried = records[3].as_ref().unwrap();
        assert_eq!((buried.owes_on_failure, &*buried.errors[0].message), (true, "no such order"));
        shop.begin().await;
        let paid = shop.settle(&queue, end(&claimed[3], Settle::CallbackDone)).await.unwrap();
        shop.commit().await;
        assert_eq!(paid, [Settled::Done]);
        assert_eq!(claim(&queue).await[0].payload.to_text(), "release");
    }

    async fn a_claim_that_was_lost_ends_nothing_and_stores_nothing<S: Shop>() {
        let folder = Folder::new();
        let (queue, mut shop) = folder.opened::<S>().await;
        queue.push([job("confirm 1")].into()).await.unwrap();
        let stale = claim(&queue).await.remove(0);
        queue.settle(vec![end(&stale, Settle::Release)]).await.unwrap();
        let current = claim(&queue).await.remove(0);
        shop.begin().await;
        let late = end(&stale, with_follow_ups(&[job("ship 1")]));
        assert_eq!(shop.settle(&queue, late).await.unwrap(), [Settled::LeaseLost]);
        shop.commit().await;
        assert_eq!(folder.rows(), (0, 1, 0, 0));
        let settled = queue.settle(vec![end(&current, Settle::complete(false))]).await.unwrap();
        assert_eq!(settled, [Settled::Done]);
    }

    async fn the_commit_wakes_a_worker_of_the_same_process<S: Shop>() {
        let folder = Folder::new();
        let (queue, mut shop) = folder.opened::<S>().await;
        let cursor = queue.reserve(request()).await.unwrap().cursor;
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move {
                let mut claimed = Vec::new();
                let mut cursor = cursor;
                while claimed.is_empty() {
                    queue.wait(WaitRequest { queues: vec![queue_name()], cursor, timeout: LONG }).await.unwrap();
                    let next = queue.reserve(request()).await.unwrap();
                    (claimed, cursor) = (next.jobs, next.cursor);
                }
                claimed
            }
        });
        shop.begin().await;
        shop.push(&queue, &[job("confirm 1")]).await.unwrap();
        shop.commit().await;
        let claimed = in_time("the worker", waiting).await.unwrap();
        assert_eq!(claimed[0].payload.to_text(), "confirm 1");
    }

    async fn the_commit_wakes_a_worker_of_another_process<S: Shop>() {
        let folder = Folder::new();
        let (queue, mut shop) = folder.opened::<S>().await;
        let mut worker = Worker::start(&folder.database());
        worker.says("waiting");
        shop.begin().await;
        shop.push(&queue, &[job("confirm 1")]).await.unwrap();
        shop.commit().await;
        worker.says("claimed confirm 1");
        assert!(worker.process.wait().unwrap().success());
    }

    async fn another_database_is_refused_by_name<S: Shop>() {
        let (folder, other) = (Folder::new(), Folder::new());
        let queue = Sqlite::open(folder.database()).await.unwrap();
        let (_other_queue, mut shop) = other.opened::<S>().await;
        shop.begin().await;
        let error = shop.push(&queue, &[job("1")]).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (QueueErrorKind::InvalidConfig, "push"));
        for database in [folder.database(), other.database()] {
            let name = database.canonicalize().unwrap();
            assert!(error.to_string().contains(name.to_str().unwrap()), "{error}");
        }
        shop.roll_back().await;
        assert_eq!(other.rows(), (0, 0, 0, 0));
    }

    async fn a_database_in_memory_is_refused<S: Shop>() {
        let folder = Folder::new();
        let queue = Sqlite::open(folder.database()).await.unwrap();
        let mut shop = S::open(Path::new(":memory:")).await;
        shop.begin().await;
        let error = shop.push(&queue, &[job("1")]).await.unwrap_err();
        assert!(error.to_string().contains("main database is in memory"), "{error}");
    }

    async fn a_queue_of_another_kind_is_refused<S: Shop>() {
        let folder = Folder::new();
        let (_queue, mut shop) = folder.opened::<S>().await;
        shop.begin().await;
        let error = shop.push(&Memory::new(), &[job("1")]).await.unwrap_err();
        assert_eq!(error.kind(), QueueErrorKind::Unsupported);
        assert!(error.to_string().contains("the queue is `memory`"), "{error}");
    }

    async fn a_push_elsewhere_waits_for_the_transaction<S: Shop>() {
        let folder = Folder::new();
        let (queue, mut shop) = folder.opened::<S>().await;
        shop.begin().await;
        let lost = Settlement { job: JobId::new(), token: extensions::job::LeaseToken(1), end: Settle::Release };
        assert_eq!(shop.settle(&queue, lost).await.unwrap(), [Settled::LeaseLost]);
        let other = queue.clone();
        let waits = tokio::spawn(async move { other.push([job("2")].into()).await });
        shop.commit().await;
        in_time("the other push", waits).await.unwrap().unwrap();
        assert_eq!(claim(&queue).await.len(), 1);
    }
}

#[tokio::test]
async fn a_borrowed_transaction_of_rusqlite_does_the_same() {
    let folder = Folder::new();
    let (queue, mut shop) = folder.opened::<Rusqlite>().await;
    let mut tx = shop.0.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    tx.push(&queue, [job("1")].into()).await.unwrap();
    tx.commit().unwrap();
    let claimed = claim(&queue).await.remove(0);
    let mut tx = shop.0.transaction().unwrap();
    let complete = end(&claimed, Settle::complete(false));
    assert_eq!(tx.settle(&queue, vec![complete]).await.unwrap(), [Settled::Done]);
    drop(tx);
    assert_eq!(folder.rows(), (0, 1, 0, 0), "a dropped transaction took effect");
}

#[tokio::test]
async fn without_a_transaction_nothing_is_stored() {
    let folder = Folder::new();
    let (queue, mut shop) = folder.opened::<Rusqlite>().await;
    let error = Transaction::push(&mut shop.0, &queue, [job("1")].into()).await.unwrap_err();
    assert_eq!(error.kind(), QueueErrorKind::InvalidConfig);
    assert!(error.to_string().contains("begin one"), "{error}");
    let pool = Sqlx::open(&folder.database()).await.pool;
    let mut conn = pool.acquire().await.unwrap();
    let error = Transaction::push(&mut *conn, &queue, [job("1")].into()).await.unwrap_err();
    assert!(error.to_string().contains("begin one"), "{error}");
    assert_eq!(folder.rows(), (0, 0, 0, 0));
}

#[tokio::test]
async fn a_link_to_the_database_is_the_database() {
    let folder = Folder::new();
    let queue = Sqlite::open(folder.database()).await.unwrap();
    let link = folder.0.path().join("link.db");
    std::os::unix::fs::symlink(folder.database(), &link).unwrap();
    let mut shop = Rusqlite::open(&link).await;
    shop.begin().await;
    shop.push(&queue, &[job("1")]).await.unwrap();
    shop.commit().await;
    assert_eq!(claim(&queue).await.len(), 1);
}

#[tokio::test]
async fn a_transaction_that_has_read_what_others_changed_is_told_so() {
    let folder = Folder::new();
    let (queue, mut shop) = folder.opened::<Rusqlite>().await;
    let tx = shop.0.transaction().unwrap();
    let orders: u32 = tx.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap();
    queue.push([job("1")].into()).await.unwrap();
    let mut tx = tx;
    let error = tx.push(&queue, [job("2")].into()).await.unwrap_err();
    assert_eq!((orders, error.kind()), (0, QueueErrorKind::Unavailable));
    assert!(error.to_string().contains("BEGIN IMMEDIATE"), "{error}");
}

/// A worker in a process of its own, which ends with this test.
struct Worker {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Worker {
    fn start(database: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "another_process", "--ignored", "--nocapture"])
            .env(DATABASE, database)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    fn says(&mut self, wanted: &str) {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the worker ended without {wanted:?}");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
#[ignore = "started by another test as a process of its own"]
async fn another_process() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let queue = Sqlite::open(database).await.unwrap();
    let mut next = queue.reserve(request()).await.unwrap();
    say("waiting");
    while next.jobs.is_empty() {
        let wait = WaitRequest { queues: vec![queue_name()], cursor: next.cursor, timeout: LONG };
        in_time("a wake-up", queue.wait(wait)).await.unwrap();
        next = queue.reserve(request()).await.unwrap();
    }
    say(&format!("claimed {}", next.jobs[0].payload.to_text()));
}

fn say(line: &str) {
    use std::io::Write as _;
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

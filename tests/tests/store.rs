//! Stores as an operator meets them: that are not there, that are made, that something is wrong with, and what they say was done.

use std::time::Duration;

use extensions::job::JobId;
use extensions::prelude::*;
use extensions::queue::{QueueErrorKind, Severity, Tally, connect, connect_existing, migrate, migrations};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tests::servers::{Persistence, Postgres, Redis, Server};
use tokio::sync::OnceCell;

const HOUR: Duration = Duration::from_secs(3600);

async fn postgres() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER.get_or_init(Postgres::start).await
}

async fn redis() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER.get_or_init(|| Redis::start(Persistence::None)).await
}

/// A place for a store on each backend that has a store outside of the process, and the folder that goes with it.
async fn places() -> (TempDir, [String; 3]) {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = format!("sqlite://{}", folder.path().join("jobs.db").display());
    (folder, [sqlite, postgres().await.fresh_url(), redis().await.fresh_url()])
}

async fn run(sql: &str) {
    let mut conn = PgConnection::connect(&postgres().await.url()).await.expect("a server");
    conn.execute(AssertSqlSafe(sql.to_owned())).await.expect("the statement works");
}

/// The schema that a URL of PostgreSQL names.
fn schema(url: &str) -> &str {
    url.split_once("?schema=").expect("a place is a schema").1
}

#[tokio::test]
async fn a_store_that_is_not_there_is_named_and_not_made() {
    let (folder, urls) = places().await;
    for url in &urls {
        for _ in 0..2 {
            let missing = connect_existing(url).await.expect_err("there is none");
            assert_eq!(missing.kind(), QueueErrorKind::NotFound, "{missing}");
            assert!(missing.context().contains("create it with `migrate`"), "{missing}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    let elsewhere = format!("sqlite://{}/no/jobs.db", folder.path().display());
    assert_eq!(connect_existing(&elsewhere).await.unwrap_err().kind(), QueueErrorKind::NotFound);
    let nowhere = format!("{}?schema=no_such_schema", postgres().await.url());
    assert_eq!(connect_existing(&nowhere).await.unwrap_err().kind(), QueueErrorKind::NotFound);
}

#[tokio::test]
async fn a_database_of_something_else_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let conn = rusqlite::Connection::open(&path).expect("a database");
    conn.execute_batch("CREATE TABLE customers (id INTEGER)").expect("a table");
    let before = std::fs::read(&path).expect("the file");
    let url = format!("sqlite://{}", path.display());
    assert_eq!(connect_existing(&url).await.unwrap_err().kind(), QueueErrorKind::NotFound);
    assert_eq!(std::fs::read(&path).expect("the file"), before);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1);
}

#[tokio::test]
async fn a_store_is_made_once_and_it_is_said_what_was_done() {
    let (_folder, urls) = places().await;
    for url in &urls {
        let made = migrate(url).await.expect("it is made");
        assert!(made.is_new() && made.is_changed() && made.from == 0, "{made:?}");
        let again = migrate(url).await.expect("it is there");
        assert!(!again.is_new() && !again.is_changed(), "{again:?}");
        assert_eq!((again.from, again.to, &again.store), (made.to, made.to, &made.store));
        let queue = connect_existing(url).await.expect("it is there");
        assert_eq!(queue.describe(), made.store);
        assert!(queue.stats().await.expect("stats").is_empty());
    }
    assert!(!migrate("memory:").await.expect("nothing is to be done").is_changed());
    assert!(connect_existing("memory:").await.is_ok());
}

#[tokio::test]
async fn the_steps_are_shown_without_a_store_and_make_one_that_is_run_by_hand() {
    let (_folder, urls) = places().await;
    for url in &urls {
        let steps = migrations(url).await.expect("the steps");
        assert!(!steps.is_empty() && steps.iter().all(|step| !step.text.is_empty()));
        assert_eq!(connect_existing(url).await.unwrap_err().kind(), QueueErrorKind::NotFound);
        let queue = connect(url).await.expect("the store");
        assert_eq!(queue.migrations(), steps);
    }
    assert_eq!(migrations("memory:").await.expect("none"), []);
    assert_eq!(migrations("sqlite:").await.unwrap_err().kind(), QueueErrorKind::InvalidConfig);
}

#[tokio::test]
async fn an_older_store_in_postgres_is_changed_only_by_who_may() {
    let url = postgres().await.fresh_url();
    let steps = migrations(&url).await.expect("the steps");
    run(&format!("CREATE SCHEMA IF NOT EXISTS {}", schema(&url))).await;
    for step in &steps[..3] {
        run(&step.text).await;
    }
    let old = connect_existing(&url).await.expect_err("it is of an older release");
    assert_eq!(old.kind(), QueueErrorKind::InvalidConfig);
    assert!(old.context().contains("has schema 3") && old.context().contains("`migrate`"), "{old}");
    let migrated = migrate(&url).await.expect("it is brought up to date");
    assert_eq!((migrated.from, migrated.to), (3, steps.last().expect("steps").version));
    assert!(connect_existing(&url).await.is_ok());
}

#[tokio::test]
async fn keys_that_no_job_holds_any_more_are_found_and_those_of_waiting_jobs_are_not_meant() {
    let (folder, urls) = places().await;
    for url in &urls {
        let ext = Extensions::builder().queue_url(url).discover().build().await.expect("an instance");
        ext.fire(Leaflet).await.expect("a fire whose job holds a key");
    }
    let job = JobId::new();
    let conn = rusqlite::Connection::open(folder.path().join("jobs.db")).expect("the database");
    conn.execute("INSERT INTO extensions_locks (key, job) VALUES ('k', ?1)", [job.as_bytes()])
        .expect("a lock");
    run(&format!("INSERT INTO {}.extensions_locks (key, job) VALUES ('k', '{job}')", schema(&urls[1]))).await;
    let client = redis::Client::open(redis_url(&urls[2])).expect("a URL");
    let mut conn = client.get_multiplexed_async_connection().await.expect("a server");
    let held = [job.as_bytes().as_slice(), &[0; 6]].concat();
    let locks = format!("{{{}}}:locks", prefix(&urls[2]));
    let _: i64 =
        redis::cmd("HSET").arg(locks).arg("k").arg(held).query_async(&mut conn).await.expect("a lock");
    for url in &urls {
        let found = connect_existing(url).await.expect("it is there").check().await.expect("a look");
        let orphaned = found.iter().filter(|finding| finding.what.starts_with("1 unique keys"));
        assert_eq!(
            orphaned.map(|finding| finding.severity).collect::<Vec<_>>(),
            [Severity::Warning],
            "{found:?}"
        );
    }
}

fn redis_url(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

fn prefix(url: &str) -> &str {
    url.split_once("prefix=").expect("a place is a prefix").1.split('&').next().unwrap_or_default()
}

#[tokio::test]
async fn a_server_that_keeps_nothing_on_its_disk_is_a_problem() {
    let queue = connect(&redis().await.fresh_url()).await.expect("a store");
    let found = queue.check().await.expect("a look");
    let problem = found.iter().find(|finding| finding.severity == Severity::Problem).expect("a problem");
    assert!(problem.to_string().contains("`appendonly yes`"), "{problem}");
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Letter {
    what: String,
}

#[extension_handler(Letter)]
#[async_handler(queue = "letters", retries = 2, backoff = fixed("1ms"))]
async fn write(letter: &Letter, job: &Job) -> HandlerResult {
    tokio::time::sleep(Duration::from_millis(2)).await;
    match &*letter.what {
        "fails" => Err("it fails".into()),
        "fails once" if job.attempt() == 1 => Err("it fails".into()),
        "is cancelled" => Err(HandlerError::cancel("no longer wanted")),
        _ => Ok(()),
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Leaflet;

#[extension_handler(Leaflet)]
#[async_handler(queue = "leaflets", unique = true)]
async fn print() {}

#[extension_handler(Letter)]
#[async_handler(queue = "copies")]
async fn copy() {}

async fn assert_history_of_a_worker(url: &str) {
    let ext = Extensions::builder().queue_url(url).discover().build().await;
    let ext = ext.expect("an instance");
    for what in ["works", "works", "fails once", "fails", "is cancelled"] {
        ext.fire(Letter { what: what.to_owned() }).await.expect("a fire");
    }
    let report = ext.worker().queues(["letters", "copies"]).stop_when_drained().run().await.expect("it ends");
    assert_eq!((report.completed, report.dead, report.cancelled), (8, 1, 1), "{report:?}");
    let queue = connect_existing(url).await.expect("the store");
    let mut letters = Tally::new("letters".into(), "".into());
    let mut copies = letters.clone();
    for entry in queue.history(HOUR).await.expect("the history") {
        if entry.tally.queue == "letters" { &mut letters } else { &mut copies }.add(&entry.tally);
    }
    let figures = |tally: &Tally| {
        let Tally { started, completed, failed, retried, dead, cancelled, .. } = *tally;
        [started, completed, failed, retried, dead, cancelled]
    };
    assert_eq!(figures(&letters), [5, 3, 3, 2, 1, 1], "{letters:?}");
    assert_eq!(figures(&copies), [5, 5, 0, 0, 0, 0], "{copies:?}");
    let mean = letters.mean_run_time().expect("something ran");
    assert!(mean >= Duration::from_millis(2) && mean <= letters.longest, "{letters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_did_is_in_the_history_when_it_has_ended() {
    let (_folder, urls) = places().await;
    for url in &urls {
        assert_history_of_a_worker(url).await;
    }
}

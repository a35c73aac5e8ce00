//! The contract's suite on PostgreSQL; `EXTENSIONS_TEST_POSTGRES` names a server.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use extensions_runtime::conformance::{Fixture, Part};
use extensions_runtime::job::{JobId, WorkerId};
use extensions_runtime::queue::{Postgres, QueueBackend};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

struct PgFixture {
    schema: String,
    backend: Postgres,
}

fn url() -> String {
    std::env::var("EXTENSIONS_TEST_POSTGRES").expect("EXTENSIONS_TEST_POSTGRES names a server")
}

fn poll() -> bool {
    std::env::var("EXTENSIONS_TEST_POLL").is_ok()
}

async fn open(schema: &str) -> Postgres {
    let mut open =
        Postgres::connect(&url()).schema(schema).timeout(Duration::from_millis(2500)).max_connections(4);
    if poll() {
        open = open.poll_only(Duration::from_millis(50));
    }
    open.await.expect("the queue opens")
}

async fn make() -> PgFixture {
    let schema = format!("t{}", WorkerId::new().to_string().replace('-', ""));
    let mut conn = PgConnection::connect(&url()).await.expect("a server");
    conn.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.expect("a schema");
    let backend = open(&schema).await;
    PgFixture { schema, backend }
}

fn run(sql: String) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut conn = PgConnection::connect(&url()).await.unwrap();
            let _ = conn.execute(AssertSqlSafe(sql)).await;
        });
    })
    .join()
    .unwrap();
}

impl Drop for PgFixture {
    fn drop(&mut self) {
        run(format!("DROP SCHEMA {} CASCADE", self.schema));
    }
}

impl Fixture for PgFixture {
    fn backend(&self) -> Arc<dyn QueueBackend> {
        Arc::new(self.backend.clone())
    }

    fn reopen(&self) -> Step<'_, Arc<dyn QueueBackend>> {
        Box::pin(async { Arc::new(open(&self.schema).await) as Arc<dyn QueueBackend> })
    }

    fn can_spoil(&self) -> bool {
        true
    }

    fn spoil(&self, job: JobId, part: Part, garbage: Vec<u8>) -> Step<'_, ()> {
        let set = match part {
            Part::Payload => "payload = $1",
            Part::Meta => "meta = $1",
            Part::Errors => "errors = ARRAY[$1]",
        };
        let sql = format!("UPDATE {}.extensions_jobs SET {set} WHERE id = $2", self.schema);
        Box::pin(async move {
            let mut conn = PgConnection::connect(&url()).await.unwrap();
            let id = sqlx::types::Uuid::from_bytes(*job.as_bytes());
            let done =
                sqlx::query(AssertSqlSafe(sql)).bind(garbage).bind(id).execute(&mut conn).await.unwrap();
            assert_eq!(done.rows_affected(), 1);
        })
    }

    fn can_obstruct(&self) -> bool {
        true
    }

    fn obstruct(&self) -> Box<dyn Any + Send> {
        let (go, stop) = tokio::sync::oneshot::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let schema = self.schema.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut conn = PgConnection::connect(&url()).await.unwrap();
                let mut tx = conn.begin().await.unwrap();
                let lock = format!("LOCK TABLE {schema}.extensions_jobs IN ACCESS EXCLUSIVE MODE");
                tx.execute(AssertSqlSafe(lock)).await.unwrap();
                ready.send(()).unwrap();
                let _ = stop.await;
                tx.rollback().await.unwrap();
            });
        });
        is_ready.recv().unwrap();
        Box::new(Obstacle(Some(go), Some(thread)))
    }
}

struct Obstacle(Option<tokio::sync::oneshot::Sender<()>>, Option<std::thread::JoinHandle<()>>);

impl Drop for Obstacle {
    fn drop(&mut self) {
        drop(self.0.take());
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

extensions_runtime::conformance!(make);

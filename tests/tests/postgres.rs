//! What the contract's suite does not reach of the queue in PostgreSQL.

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use extensions_runtime::job::{
    ClaimedJob, HandlerKey, JobId, JobState, NewJob, Progress, QueueName, UniqueKey, UniqueLock, UniqueUntil,
    WorkerId,
};
use extensions_runtime::queue::{
    ClaimRequest, Claimed, Extend, Extended, JobFilter, KnownHandler, Memory, OpenPostgres, Postgres, Pushed,
    QueueAdmin, QueueBackend, QueueError, QueueErrorKind, Retention, Settle, Settled, Settlement,
    Transaction, WaitRequest,
};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tests::kit::{PATIENCE, claim_request, new_job, until};
use tests::servers::{self, Proxy, Server};
use tokio::sync::OnceCell;

/// A schema of its own on a server.
struct Schema {
    name: String,
    url: String,
}

impl Schema {
    /// One on the server that these tests share, which ends with the process.
    async fn new() -> Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        Self::on(SERVER.get_or_init(servers::Postgres::start).await)
    }

    fn on(server: &Server) -> Self {
        let url = server.fresh_url();
        let (_, name) = url.split_once("?schema=").expect("a place is a schema");
        Self { name: name.to_owned(), url: server.url() }
    }

    async fn conn(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a server")
    }

    async fn run(&self, sql: &str) {
        self.conn().await.execute(AssertSqlSafe(sql.to_owned())).await.expect("the statement works");
    }

    fn opening(&self) -> OpenPostgres {
        Postgres::connect(&self.url).schema(&*self.name)
    }

    async fn open(&self) -> Postgres {
        self.opening().await.expect("the queue opens")
    }

    /// How many rows a table of the queue's has.
    async fn rows(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.extensions_{table}", self.name);
        let counted = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut self.conn().await).await;
        counted.expect("rows are counted").get(0)
    }

    /// Ends every connection of this process's queues but the caller's.
    async fn kill_connections(&self, conn: &mut PgConnection) -> i64 {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
        sqlx::query(sql).bind(&self.name).fetch_one(conn).await.expect("connections end").get(0)
    }

    fn named_url(&self) -> String {
        format!("{}?application_name={}", self.url, self.name)
    }
}

fn handler() -> HandlerKey {
    HandlerKey::new("OrderPlaced", "send")
}

fn job() -> NewJob {
    new_job(handler(), "{}")
}

fn unique(key: &str) -> NewJob {
    let lock = UniqueLock { key: UniqueKey::from(key), ttl: None, until: UniqueUntil::End };
    NewJob { unique: Some(lock), ..job() }
}

fn request(max: usize) -> ClaimRequest {
    claim_request(handler(), max)
}

async fn claim(queue: &Postgres, max: usize) -> Claimed {
    queue.reserve(request(max)).await.expect("a claim")
}

fn completed(job: &ClaimedJob) -> Settlement {
    Settlement { job: job.id, token: job.token, end: Settle::complete(true) }
}

fn extended(jobs: &[ClaimedJob]) -> Vec<Extend> {
    let progress = || Some(Progress { fraction: 0.5, note: "half".to_owned() });
    jobs.iter().map(|job| Extend { job: job.id, token: job.token, progress: progress() }).collect()
}

#[tokio::test]
async fn jobs_of_a_transaction_are_there_once_it_commits_and_wake_a_worker_then() {
    let schema = Schema::new().await;
    let queue = schema.open().await;
    let mut conn = schema.conn().await;
    queue.push([job()].into()).await.unwrap();
    let before = claim(&queue, 10).await;
    assert_eq!(before.jobs.len(), 1);
    let mut tx = conn.begin().await.unwrap();
    let stored = job();
    assert_eq!(tx.push(&queue, [stored.clone()].into()).await.unwrap(), [Pushed::Queued]);
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move {
            let deadline = Instant::now() + Duration::from_secs(10);
            let mut cursor = before.cursor;
            loop {
                let wait =
                    WaitRequest { queues: vec!["default".into()], cursor, timeout: Duration::from_secs(10) };
                queue.wait(wait).await.unwrap();
                let claimed = claim(&queue, 10).await;
                assert!(Instant::now() < deadline, "nothing woke the worker");
                if !claimed.jobs.is_empty() {
                    return claimed;
                }
                cursor = claimed.cursor;
            }
        }
    });
    assert!(queue.get(vec![stored.id]).await.unwrap()[0].is_none());
    assert!(!waiting.is_finished());
    tx.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().jobs[0].id, stored.id);
}

#[tokio::test]
async fn a_rolled_back_transaction_leaves_no_job_and_no_lock_and_its_new_lane_works() {
    let schema = Schema::new().await;
    let queue = schema.open().await;
    let mut conn = schema.conn().await;
    let mut tx = conn.begin().await.unwrap();
    tx.push(&queue, [unique("k")].into()).await.unwrap();
    tx.rollback().await.unwrap();
    assert!(claim(&queue, 10).await.jobs.is_empty());
    assert_eq!(queue.push([unique("k")].into()).await.unwrap(), [Pushed::Queued]);
    assert_eq!(claim(&queue, 10).await.jobs.len(), 1);
}

#[tokio::test]
async fn a_claim_ends_with_the_transaction_or_not_at_all() {
    let schema = Schema::new().await;
    let queue = schema.open().await;
    let mut conn = schema.conn().await;
    queue.push([job()].into()).await.unwrap();
    let claimed = claim(&queue, 1).await.jobs.remove(0);
    let follow_up = job();
    let end = Settle::Complete { keep: true, result: None, follow_ups: [follow_up.clone()].into() };
    let settlement = Settlement { job: claimed.id, token: claimed.token, end };
    let mut tx = conn.begin().await.unwrap();
    assert_eq!(tx.settle(&queue, vec![settlement.clone()]).await.unwrap(), [Settled::Done]);
    tx.rollback().await.unwrap();
    assert_eq!(queue_state(&queue, claimed.id).await, Some(JobState::Running));
    let mut tx = conn.begin().await.unwrap();
    assert_eq!(tx.settle(&queue, vec![settlement.clone()]).await.unwrap(), [Settled::Done]);
    tx.commit().await.unwrap();
    let states = (queue_state(&queue, claimed.id).await, queue_state(&queue, follow_up.id).await);
    assert_eq!(states, (Some(JobState::Completed), Some(JobState::Available)));
    assert_eq!(queue.settle(vec![settlement]).await.unwrap(), [Settled::LeaseLost]);
}

async fn queue_state(queue: &Postgres, id: JobId) -> Option<JobState> {
    queue.get(vec![id]).await.unwrap().remove(0).map(|record| record.state)
}

#[tokio::test]
async fn a_transaction_elsewhere_is_refused() {
    let (schema, other) = (Schema::new().await, Schema::new().await);
    let queue = schema.open().await;
    let database = other.name.clone();
    schema.run(&format!("CREATE DATABASE {database}")).await;
    let options: sqlx::postgres::PgConnectOptions = schema.url.parse().unwrap();
    let mut elsewhere = PgConnection::connect_with(&options.database(&database)).await.unwrap();
    let mut tx = elsewhere.begin().await.unwrap();
    let refused = Transaction::push(&mut tx, &queue, [job()].into()).await.unwrap_err();
    assert_eq!(refused.kind(), QueueErrorKind::InvalidConfig, "{refused}");
    drop(tx);
    drop(elsewhere);
    schema.run(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
    let mut conn = schema.conn().await;
    let refused = Transaction::push(&mut conn, &Memory::new(), [job()].into()).await.unwrap_err();
    assert_eq!(refused.kind(), QueueErrorKind::Unsupported, "{refused}");
}

#[tokio::test]
async fn a_connection_without_a_transaction_is_refused_and_stores_nothing() {
    let schema = Schema::new().await;
    let queue = schema.open().await;
    let refused = Transaction::push(&mut schema.conn().await, &queue, [job()].into()).await.unwrap_err();
    assert_eq!(refused.kind(), QueueErrorKind::InvalidConfig, "{refused}");
    assert!(refused.to_string().contains("begin one"), "{refused}");
    assert_eq!(schema.rows("jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_openers_race_to_migrate_and_the_store_is_whole() {
    let schema = Schema::new().await;
    let openers = (0..8).map(|_| {
        let (url, name) = (schema.url.clone(), schema.name.clone());
        tokio::spawn(async move { Postgres::connect(&url).schema(name).await })
    });
    let openers: Vec<_> = openers.collect();
    for opener in openers {
        let queue = opener.await.unwrap().unwrap();
        assert_eq!(queue.push([job()].into()).await.unwrap(), [Pushed::Queued]);
    }
    assert_eq!(claim(&schema.open().await, 10).await.jobs.len(), 8);
}

#[tokio::test]
async fn a_newer_schema_and_a_missing_one_are_named() {
    let schema = Schema::new().await;
    let missing = schema.opening().migrate(false).await.unwrap_err();
    assert_eq!(missing.kind(), QueueErrorKind::NotFound);
    assert!(missing.to_string().contains("create it with `migrate`"), "{missing}");
    let queue = schema.open().await;
    let printed = queue.migrations();
    schema.run(&format!("INSERT INTO {}.extensions_schema (version) VALUES (999)", schema.name)).await;
    let newer = schema.opening().await.unwrap_err();
    assert_eq!(newer.kind(), QueueErrorKind::Corrupt);
    assert!(newer.to_string().contains("999"), "{newer}");
    schema.run(&format!("DROP SCHEMA {0} CASCADE; CREATE SCHEMA {0}", schema.name)).await;
    for migration in printed {
        schema.run(&migration.text).await;
    }
    let by_hand = schema.opening().migrate(false).await.unwrap();
    assert_eq!(by_hand.push([job()].into()).await.unwrap(), [Pushed::Queued]);
}

#[tokio::test(flavor = "multi_thread")]
async fn openers_race_to_migrate_also_where_transactions_are_serializable() {
    let schema = Schema::new().await;
    let database = &schema.name;
    schema.run(&format!("CREATE DATABASE {database}")).await;
    schema
        .run(&format!("ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'"))
        .await;
    let url = format!("{}?dbname={database}", schema.url);
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Postgres::connect(&url).await })
        })
        .collect();
    for opener in openers {
        let queue = opener.await.unwrap().unwrap();
        assert_eq!(queue.push([job()].into()).await.unwrap(), [Pushed::Queued]);
    }
    schema.run(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
}

#[tokio::test]
async fn a_store_that_was_made_anew_has_other_numbers_for_its_lanes() {
    let schema = Schema::new().await;
    let named = |name: &str| NewJob { handler: HandlerKey::new("OrderPlaced", name), ..job() };
    let knows = |names: &[&str]| ClaimRequest {
        handlers: names
            .iter()
            .map(|name| KnownHandler { handler: HandlerKey::new("OrderPlaced", name), max_version: 1 })
            .collect(),
        ..request(10)
    };
    let queue = schema.open().await;
    for name in ["a", "b"] {
        queue.push([named(name)].into()).await.unwrap();
    }
    for round in 0..2 {
        schema.run(&format!("DROP SCHEMA {0} CASCADE; CREATE SCHEMA {0}", schema.name)).await;
        let other = schema.open().await;
        if round == 0 {
            let mut conn = schema.conn().await;
            assert_eq!(queue.push([named("a"), named("b")].into()).await.unwrap(), [Pushed::Queued; 2]);
            let mut tx = conn.begin().await.unwrap();
            assert_eq!(tx.push(&queue, [named("a")].into()).await.unwrap(), [Pushed::Queued]);
            tx.commit().await.unwrap();
            let claimed = other.reserve(knows(&["a", "b"])).await.unwrap().jobs;
            let mut names: Vec<_> = claimed.iter().map(|job| job.handler.to_string()).collect();
            names.sort_unstable();
            assert_eq!(names, ["OrderPlaced/a", "OrderPlaced/a", "OrderPlaced/b"]);
        } else {
            for name in ["c", "b", "a"] {
                other.push([named(name)].into()).await.unwrap();
            }
            let claimed = queue.reserve(knows(&["a"])).await.unwrap().jobs;
            let names: Vec<_> = claimed.iter().map(|job| job.handler.to_string()).collect();
            assert_eq!(names, ["OrderPlaced/a"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_find_no_connection_left_are_tried_again() {
    let schema = Schema::new().await;
    drop(schema.open().await);
    let few = &format!("{}_few", schema.name);
    let grant = "GRANT ALL ON ALL {} IN SCHEMA {schema} TO {few}".replace("{schema}", &schema.name);
    let grant = |what: &str| grant.replace("{few}", few).replace("{}", what);
    schema.run(&format!("CREATE ROLE {few} LOGIN CONNECTION LIMIT 3")).await;
    schema.run(&format!("GRANT USAGE ON SCHEMA {} TO {few}", schema.name)).await;
    schema.run(&format!("{}; {}", grant("TABLES"), grant("SEQUENCES"))).await;
    let opening = Postgres::connect(&format!("{}?user={few}", schema.url)).schema(&*schema.name);
    let queue = opening.await.unwrap();
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.stats().await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_pool_of_the_application_is_enough_to_open_a_queue_also_from_a_blocked_runtime() {
    let schema = Schema::new().await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&schema.url).await.unwrap();
    let _taken = pool.acquire().await.unwrap();
    let queue = Postgres::from_pool(pool.clone()).schema(&*schema.name).prefix("q_").await.unwrap();
    let pushing = queue.clone();
    let pushed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { pushing.push([job()].into()).await })
    });
    assert_eq!(pushed.join().unwrap().unwrap(), [Pushed::Queued]);
    assert_eq!(claim(&queue, 1).await.jobs.len(), 1);
}

#[tokio::test]
async fn a_queue_that_only_polls_finds_what_another_process_pushed() {
    let schema = Schema::new().await;
    let open = || schema.opening().poll_only(Duration::from_millis(20));
    let (queue, other) = (open().await.unwrap(), open().await.unwrap());
    let cursor = claim(&queue, 1).await.cursor;
    other.push([job()].into()).await.unwrap();
    let wait = WaitRequest { queues: vec!["default".into()], cursor, timeout: Duration::from_secs(60) };
    tokio::time::timeout(Duration::from_secs(10), queue.wait(wait))
        .await
        .expect("the wait ends early")
        .unwrap();
    let claimed = claim(&queue, 1).await.jobs.remove(0);
    let end = Settlement { job: claimed.id, token: claimed.token, end: Settle::complete(false) };
    assert_eq!(queue.settle(vec![end]).await.unwrap(), [Settled::Done]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_killed_lose_no_push_and_no_settlement() {
    let schema = Schema::new().await;
    let queue =
        Postgres::connect(&schema.named_url()).schema(&*schema.name).max_connections(3).await.unwrap();
    let pushers = (0..4).map(|_| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..40 {
                let job = job();
                ids.push(job.id);
                let jobs: Arc<[NewJob]> = [job].into();
                while let Err(error) = queue.push(Arc::clone(&jobs)).await {
                    assert!(error.is_retryable(), "{error:?}");
                }
            }
            ids
        })
    });
    let pushers: Vec<_> = pushers.collect();
    let mut conn = schema.conn().await;
    let mut killed = 0;
    while !pushers.iter().all(tokio::task::JoinHandle::is_finished) {
        killed += schema.kill_connections(&mut conn).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(killed > 0, "no connection was killed");
    let mut pushed = Vec::new();
    for pusher in pushers {
        pushed.extend(pusher.await.unwrap());
    }
    let mut done = 0;
    while done < pushed.len() {
        let claimed = loop {
            match queue.reserve(request(20)).await {
                Ok(claimed) => break claimed.jobs,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        };
        let ends: Vec<_> = claimed
            .iter()
            .map(|job| Settlement { job: job.id, token: job.token, end: Settle::complete(false) })
            .collect();
        schema.kill_connections(&mut conn).await;
        let settled = loop {
            match queue.settle(ends.clone()).await {
                Ok(settled) => break settled,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        };
        assert!(settled.iter().all(|settled| *settled == Settled::Done), "{settled:?}");
        done += settled.len();
    }
    assert_eq!(done, pushed.len(), "each job was there once");
    assert!(queue.connection().up && queue.connection().losses > 0);
}

#[tokio::test]
async fn one_bad_push_fails_alone() {
    let schema = Schema::new().await;
    let queue = schema.open().await;
    let pushes = [
        vec![job()],
        vec![NewJob { queue: QueueName::from("a\0b"), ..job() }],
        vec![unique(&(0..20_000).map(|_| WorkerId::new().to_string()).collect::<String>())],
        vec![job(), job()],
    ];
    let pushes = pushes.map(|jobs| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.push(jobs.into()).await })
    });
    let mut outcomes = Vec::new();
    for push in pushes {
        outcomes.push(push.await.unwrap().map(|pushed| pushed.len()).map_err(|error| error.kind()));
    }
    assert_eq!(outcomes[0], Ok(1));
    assert_eq!(outcomes[1], Err(QueueErrorKind::InvalidConfig));
    assert_eq!(outcomes[2], Err(QueueErrorKind::Other));
    assert_eq!(outcomes[3], Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_who_push_one_key_from_two_handles_store_one_job() {
    let schema = Schema::new().await;
    let (one, two) = (schema.open().await, schema.open().await);
    for round in 0..10 {
        let key = format!("key {round}");
        let pushes = (0..16).map(|n| {
            let (queue, job) = (if n % 2 == 0 { one.clone() } else { two.clone() }, unique(&key));
            tokio::spawn(async move { (job.id, queue.push([job].into()).await.unwrap().remove(0)) })
        });
        let pushes: Vec<_> = pushes.collect();
        let mut outcomes = Vec::new();
        for push in pushes {
            outcomes.push(push.await.unwrap());
        }
        let stored: Vec<_> =
            outcomes.iter().filter(|(_, pushed)| *pushed == Pushed::Queued).map(|(id, _)| *id).collect();
        assert_eq!(stored.len(), 1);
        assert!(
            outcomes
                .iter()
                .all(|(id, pushed)| *id == stored[0] || *pushed == Pushed::Duplicate { of: stored[0] })
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_jobs_pushed_in_opposite_orders_at_once_are_stored_once() {
    let schema = Schema::new().await;
    let (one, two) = (schema.open().await, schema.open().await);
    for round in 0..20 {
        let jobs: Vec<_> = (0..40)
            .map(|n| NewJob { once: Some(Duration::from_secs(60)), ..unique(&format!("{round} {n}")) })
            .collect();
        let backwards: Vec<_> = jobs.iter().rev().cloned().collect();
        let (forth, back) = tokio::join!(one.push(jobs.into()), two.push(backwards.into()));
        assert!(forth.unwrap().iter().chain(&back.unwrap()).all(|pushed| *pushed == Pushed::Queued));
    }
    let stats = one.stats().await.unwrap();
    assert_eq!(stats[0].count(JobState::Available), 800);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_reported_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().port();
    let error = Postgres::connect(&format!("postgres://me:s3cret@127.0.0.1:{silent}/x"))
        .timeout(Duration::from_millis(300))
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (QueueErrorKind::Timeout, true));
    drop(listener);
    let error = Postgres::connect(&format!("postgres://me:s3cret@127.0.0.1:{silent}/x")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (QueueErrorKind::Unavailable, true));
    assert!(!format!("{error:?} {error:#?}").contains("s3cret"));
}

#[tokio::test]
async fn upkeep_by_many_at_once_disturbs_nobody() {
    let schema = Schema::new().await;
    let queue = schema.open().await;
    queue.push((0..50).map(|_| job()).collect()).await.unwrap();
    let rounds = (0..8).map(|_| queue.maintain(Retention::default()));
    for round in rounds.collect::<Vec<_>>() {
        round.await.unwrap();
    }
    assert_eq!(claim(&queue, 100).await.jobs.len(), 50);
}

/// How long a call may take that must not wait for somebody else's transaction: less than that lasts.
const SHORT: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_completed_a_job_holds_up_nobody_while_it_is_open() {
    let schema = Schema::new().await;
    let queue = schema.opening().timeout(SHORT).await.unwrap();
    queue.push([job(), job(), job()].into()).await.unwrap();
    let claimed = claim(&queue, 3).await.jobs;
    let mut conn = schema.conn().await;
    let mut tx = conn.begin().await.unwrap();
    assert_eq!(tx.settle(&queue, vec![completed(&claimed[0])]).await.unwrap(), [Settled::Done]);
    let lease = Duration::from_secs(60);
    assert_eq!(queue.extend(extended(&claimed), lease).await.unwrap(), [Extended::Held; 3]);
    queue.maintain(Retention::default()).await.unwrap();
    assert_eq!(queue.settle(vec![completed(&claimed[1])]).await.unwrap(), [Settled::Done]);
    queue.push([job()].into()).await.unwrap();
    assert_eq!(claim(&queue, 10).await.jobs.len(), 1);
    assert_eq!(queue.stats().await.unwrap()[0].count(JobState::Running), 3);
    tx.commit().await.unwrap();
    for (done, state) in claimed.iter().zip([JobState::Completed, JobState::Completed, JobState::Running]) {
        assert_eq!(queue_state(&queue, done.id).await, Some(state));
    }
    let answers = [Extended::LeaseLost, Extended::LeaseLost, Extended::Held];
    assert_eq!(queue.extend(extended(&claimed), lease).await.unwrap(), answers);
    assert_eq!(queue.settle(vec![completed(&claimed[2])]).await.unwrap(), [Settled::Done]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_settles_is_neither_rescued_nor_given_back_before_it_ends() {
    let schema = Schema::new().await;
    let queue = schema.opening().timeout(SHORT).await.unwrap();
    queue.push([job(), job(), job()].into()).await.unwrap();
    let hasty = ClaimRequest { lease: Duration::from_millis(50), ..request(2) };
    let claimed = queue.reserve(hasty).await.unwrap().jobs;
    let leaving = request(1);
    let given_back = queue.reserve(leaving.clone()).await.unwrap().jobs;
    let settled = vec![completed(&claimed[0]), completed(&given_back[0])];
    let mut conn = schema.conn().await;
    let mut tx = conn.begin().await.unwrap();
    assert_eq!(tx.settle(&queue, settled).await.unwrap(), [Settled::Done; 2]);
    queue.leave(leaving.worker).await.unwrap();
    let rescue =
        async || Some(queue.maintain(Retention::default()).await.unwrap().rescued).filter(|n| *n > 0);
    assert_eq!(until("the other job's rescue", &rescue).await, 1);
    assert_eq!(queue.maintain(Retention::default()).await.unwrap().rescued, 0);
    assert_eq!(claim(&queue, 10).await.jobs[0].id, claimed[1].id);
    tx.rollback().await.unwrap();
    assert_eq!(until("the job's rescue", &rescue).await, 1);
    assert_eq!(claim(&queue, 10).await.jobs[0].id, claimed[0].id);
    queue.leave(leaving.worker).await.unwrap();
    assert_eq!(claim(&queue, 10).await.jobs[0].id, given_back[0].id);
}

#[tokio::test]
async fn claims_whose_last_job_a_transaction_completed_are_cleared_away() {
    let schema = Schema::new().await;
    let queue = schema.open().await;
    queue.push([job(), job()].into()).await.unwrap();
    let hasty = ClaimRequest { lease: Duration::from_millis(50), ..request(2) };
    let claimed = queue.reserve(hasty).await.unwrap().jobs;
    assert_eq!(queue.settle(vec![completed(&claimed[0])]).await.unwrap(), [Settled::Done]);
    let mut conn = schema.conn().await;
    let mut tx = conn.begin().await.unwrap();
    assert_eq!(tx.settle(&queue, vec![completed(&claimed[1])]).await.unwrap(), [Settled::Done]);
    tx.commit().await.unwrap();
    until("the claim to go", async || {
        assert_eq!(queue.maintain(Retention::default()).await.unwrap().rescued, 0);
        schema.rows("claims").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_took_a_key_holds_up_those_who_want_it_and_nobody_else() {
    let schema = Schema::new().await;
    let queue = schema.open().await;
    let mut conn = schema.conn().await;
    let mut tx = conn.begin().await.unwrap();
    let (first, again) = (unique("k"), unique("k"));
    assert_eq!(tx.push(&queue, [first.clone()].into()).await.unwrap(), [Pushed::Queued]);
    let wanting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.push([again].into()).await }
    });
    until("somebody to wait for the key", async || {
        let sql = "SELECT count(*) FROM pg_locks l JOIN pg_locks h USING (transactionid) WHERE NOT l.granted AND h.granted AND h.pid = pg_backend_pid()";
        let waiting: i64 = sqlx::query(sql).fetch_one(&mut *tx).await.unwrap().get(0);
        waiting > 0
    })
    .await;
    assert_eq!(queue.push([job(), job()].into()).await.unwrap(), [Pushed::Queued; 2]);
    assert_eq!(queue.push([unique("another")].into()).await.unwrap(), [Pushed::Queued]);
    assert_eq!(claim(&queue, 10).await.jobs.len(), 3);
    queue.maintain(Retention::default()).await.unwrap();
    assert!(!wanting.is_finished());
    tx.commit().await.unwrap();
    assert_eq!(wanting.await.unwrap().unwrap(), [Pushed::Duplicate { of: first.id }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_while_a_transaction_is_open_that_was_refused_its_key() {
    let schema = Schema::new().await;
    let queue = schema.opening().timeout(SHORT).await.unwrap();
    let holder = unique("k");
    queue.push([holder.clone()].into()).await.unwrap();
    let claimed = claim(&queue, 1).await.jobs;
    let mut conn = schema.conn().await;
    let mut tx = conn.begin().await.unwrap();
    let refused = [Pushed::Duplicate { of: holder.id }];
    assert_eq!(tx.push(&queue, [unique("k")].into()).await.unwrap(), refused);
    assert_eq!(queue.settle(vec![completed(&claimed[0])]).await.unwrap(), [Settled::Done]);
    assert_eq!(queue.push([unique("k")].into()).await.unwrap(), [Pushed::Queued]);
    tx.commit().await.unwrap();
}

/// What went on while a server was frozen again and again.
#[derive(Default)]
struct Traffic {
    over: AtomicBool,
    /// Whether the last push has been answered.
    is_all_pushed: AtomicBool,
    pushed: Mutex<Vec<JobId>>,
    done: Mutex<Vec<JobId>>,
    /// Failed pushes, claims and settlements.
    failures: [AtomicUsize; 3],
}

impl Traffic {
    /// An answered call's value; a failure is counted.
    async fn answer<T>(&self, kind: usize, call: impl Future<Output = Result<T, QueueError>>) -> Option<T> {
        match tokio::time::timeout(PATIENCE, call).await.expect("calls are answered within their time-out") {
            Ok(value) => Some(value),
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                self.failures[kind].fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    async fn push(&self, queue: &Postgres) {
        while !self.over.load(Ordering::Relaxed) {
            let jobs: Arc<[NewJob]> = [job()].into();
            while self.answer(0, queue.push(Arc::clone(&jobs))).await.is_none() {}
            self.pushed.lock().unwrap().push(jobs[0].id);
        }
    }

    fn is_drained(&self) -> bool {
        let is_all_pushed = self.is_all_pushed.load(Ordering::Relaxed);
        let pushed = self.pushed.lock().unwrap().len();
        is_all_pushed && self.done.lock().unwrap().len() >= pushed
    }

    async fn work(&self, queue: &Postgres) {
        while !self.is_drained() {
            let Some(claimed) = self.answer(1, queue.reserve(request(5))).await else { continue };
            for job in claimed.jobs {
                let settled = loop {
                    if let Some(settled) = self.answer(2, queue.settle(vec![completed(&job)])).await {
                        break settled;
                    }
                };
                assert_eq!(settled, [Settled::Done]);
                self.done.lock().unwrap().push(job.id);
            }
        }
    }

    fn failures(&self) -> [usize; 3] {
        self.failures.each_ref().map(|failures| failures.load(Ordering::Relaxed))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_for_a_while_loses_and_doubles_nothing() {
    let server = servers::Postgres::start().await;
    let schema = Schema::on(&server);
    let queue = schema.opening().timeout(SHORT).await.unwrap();
    let traffic = Arc::new(Traffic::default());
    let task = |works: bool| {
        let (traffic, queue) = (Arc::clone(&traffic), queue.clone());
        tokio::spawn(
            async move { if works { traffic.work(&queue).await } else { traffic.push(&queue).await } },
        )
    };
    let (pushers, workers) = ([task(false), task(false)], [true; 4].map(task));
    let deadline = Instant::now() + 2 * PATIENCE;
    while traffic.failures().contains(&0) {
        assert!(Instant::now() < deadline, "calls that met the frozen server: {:?}", traffic.failures());
        let (done, failed) = (traffic.done.lock().unwrap().len(), traffic.failures().iter().sum::<usize>());
        until("jobs to be done", async || traffic.done.lock().unwrap().len() > done + 10).await;
        server.freeze().await;
        until("calls to fail", async || traffic.failures().iter().sum::<usize>() > failed + 5).await;
        server.thaw();
    }
    traffic.over.store(true, Ordering::Relaxed);
    for pusher in pushers {
        tokio::time::timeout(2 * PATIENCE, pusher).await.expect("all is pushed in the end").unwrap();
    }
    traffic.is_all_pushed.store(true, Ordering::Relaxed);
    for worker in workers {
        tokio::time::timeout(2 * PATIENCE, worker).await.expect("all is done in the end").unwrap();
    }
    let (pushed, done) = (traffic.pushed.lock().unwrap().clone(), traffic.done.lock().unwrap().clone());
    assert_eq!(done.len(), pushed.len());
    assert_eq!(done.iter().collect::<HashSet<_>>(), pushed.iter().collect());
    let all = queue.list(JobFilter { limit: usize::MAX, ..JobFilter::default() }).await.unwrap();
    assert_eq!(all.len(), pushed.len());
    assert!(all.iter().all(|record| record.state == JobState::Completed && record.attempt == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnecting_leaves_dead_connections_behind() {
    let server = servers::Postgres::start().await;
    let schema = Schema::on(&server);
    let proxy = Proxy::before(server.port()).await;
    let url = schema.url.replace(&server.port().to_string(), &proxy.port().to_string());
    let open = Postgres::connect(&url).schema(&*schema.name).timeout(2 * PATIENCE).max_connections(4);
    let queue = open.await.unwrap();
    let hasty =
        Postgres::connect(&url).schema(&*schema.name).timeout(Duration::from_millis(300)).await.unwrap();
    let calls = [(); 4].map(|()| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.stats().await })
    });
    for call in calls {
        call.await.unwrap().unwrap();
    }
    proxy.half_open();
    hasty.stats().await.expect_err("nothing passes");
    proxy.heal();
    queue.reconnect();
    let pushed = tokio::time::timeout(PATIENCE, queue.push([job()].into())).await;
    assert_eq!(pushed.expect("a new connection is made").unwrap(), [Pushed::Queued]);
    assert_eq!(claim(&queue, 1).await.jobs.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waited_for_its_key_begins_after_the_one_that_had_it() {
    let schema = Schema::new().await;
    let queue = schema.open().await;
    let first = unique("b");
    queue.push([first.clone()].into()).await.unwrap();
    let claimed = claim(&queue, 1).await.jobs.remove(0);
    // Somebody's open transaction has the other key of the push.
    let mut other = schema.conn().await;
    let mut open = other.begin().await.unwrap();
    let insert =
        format!("INSERT INTO {}.extensions_locks (key, job) VALUES ('a', gen_random_uuid())", schema.name);
    open.execute(AssertSqlSafe(insert)).await.unwrap();
    let second = unique("b");
    let both: Arc<[NewJob]> = [unique("a"), second.clone()].into();
    let waits = tokio::spawn({
        let queue = queue.clone();
        async move { queue.push(both).await }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1";
    let mut conn = schema.conn().await;
    until("the push waits", async || {
        let query = sqlx::query(waiting).bind(format!("%{}%push%", schema.name));
        query.fetch_one(&mut conn).await.unwrap().get::<i64, _>(0) > 0
    })
    .await;
    let waited_at = queue.now().await.unwrap();
    until("a later time", async || queue.now().await.unwrap() > waited_at).await;
    assert_eq!(queue.settle(vec![completed(&claimed)]).await.unwrap(), [Settled::Done]);
    open.rollback().await.unwrap();
    assert_eq!(waits.await.unwrap().unwrap(), [Pushed::Queued, Pushed::Queued]);
    let records = queue.get(vec![first.id, second.id]).await.unwrap();
    let [Some(first), Some(second)] = &records[..] else { panic!("{records:?}") };
    let ended = first.entered[&JobState::Completed];
    assert!(second.enqueued_at >= ended, "{ended}: {second:?}");
}

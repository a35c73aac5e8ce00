//! What the contract's suite does not reach of the queue in PostgreSQL. `EXTENSIONS_TEST_POSTGRES` names a server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use extensions_runtime::job::{
    FireId, HandlerKey, JobId, JobMeta, JobState, NewJob, Payload, QueueName, UniqueKey, UniqueLock,
    UniqueUntil, WorkerId,
};
use extensions_runtime::queue::{
    ClaimRequest, Claimed, KnownHandler, Memory, Postgres, Pushed, QueueAdmin, QueueBackend, QueueErrorKind,
    Retention, Settle, Settled, Settlement, TakeLost, Transaction, WaitRequest,
};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

/// A schema of its own on the server.
struct Schema {
    name: String,
    url: String,
}

impl Schema {
    async fn new() -> Option<Self> {
        let url = std::env::var("EXTENSIONS_TEST_POSTGRES").ok()?;
        let name = format!("t{}", WorkerId::new().to_string().replace('-', ""));
        let schema = Self { name, url };
        schema.run(&format!("CREATE SCHEMA {}", schema.name)).await;
        Some(schema)
    }

    async fn conn(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a server")
    }

    async fn run(&self, sql: &str) {
        self.conn().await.execute(AssertSqlSafe(sql.to_owned())).await.expect("the statement works");
    }

    async fn open(&self) -> Postgres {
        Postgres::connect(&self.url).schema(&*self.name).await.expect("the queue opens")
    }

    /// Ends every connection of this process's queues but the caller's.
    async fn kill_connections(&self, conn: &mut PgConnection) -> i64 {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
        sqlx::query(sql).bind(&self.name).fetch_one(conn).await.expect("connections end").get(0)
    }

    fn named_url(&self) -> String {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{separator}application_name={}", self.url, self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (url, sql) = (self.url.clone(), format!("DROP SCHEMA {} CASCADE", self.name));
        let _ = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut conn = PgConnection::connect(&url).await.expect("a server");
                let _ = conn.execute(AssertSqlSafe(sql)).await;
            });
        })
        .join();
    }
}

macro_rules! schema {
    () => {
        match Schema::new().await {
            Some(schema) => schema,
            None => return,
        }
    };
}

fn handler() -> HandlerKey {
    HandlerKey::new("OrderPlaced", "send")
}

fn job() -> NewJob {
    NewJob {
        id: JobId::new(),
        handler: handler(),
        point_version: 1,
        payload: Payload::from(b"{}".as_slice()),
        queue: QueueName::from("default"),
        priority: 5,
        max_attempts: 3,
        delay: Duration::ZERO,
        unique: None,
        on_failure: false,
        once: None,
        meta: JobMeta::new(FireId::new()),
    }
}

fn unique(key: &str) -> NewJob {
    let lock = UniqueLock { key: UniqueKey::from(key), ttl: None, until: UniqueUntil::End };
    NewJob { unique: Some(lock), ..job() }
}

async fn claim(queue: &Postgres, max: usize) -> Claimed {
    let request = ClaimRequest {
        worker: WorkerId::new(),
        queues: vec![QueueName::from("default")],
        handlers: [KnownHandler { handler: handler(), max_version: 1 }].into(),
        max,
        lease: Duration::from_secs(60),
        lost: TakeLost::All,
    };
    queue.reserve(request).await.expect("a claim")
}

#[tokio::test]
async fn jobs_of_a_transaction_are_there_once_it_commits_and_wake_a_worker_then() {
    let schema = schema!();
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
    let schema = schema!();
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
    let schema = schema!();
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
    let (schema, other) = (schema!(), schema!());
    let queue = schema.open().await;
    let database = other.name.clone();
    schema.run(&format!("CREATE DATABASE {database}")).await;
    let options: sqlx::postgres::PgConnectOptions = schema.url.parse().unwrap();
    let mut elsewhere = PgConnection::connect_with(&options.database(&database)).await.unwrap();
    let refused = Transaction::push(&mut elsewhere, &queue, [job()].into()).await.unwrap_err();
    assert_eq!(refused.kind(), QueueErrorKind::InvalidConfig, "{refused}");
    drop(elsewhere);
    schema.run(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
    let mut conn = schema.conn().await;
    let refused = Transaction::push(&mut conn, &Memory::new(), [job()].into()).await.unwrap_err();
    assert_eq!(refused.kind(), QueueErrorKind::Unsupported, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_openers_race_to_migrate_and_the_store_is_whole() {
    let schema = schema!();
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
    let schema = schema!();
    let missing = Postgres::connect(&schema.url).schema(&*schema.name).migrate(false).await.unwrap_err();
    assert_eq!(missing.kind(), QueueErrorKind::InvalidConfig);
    assert!(missing.to_string().contains("run its migrations"), "{missing}");
    let queue = schema.open().await;
    let printed = queue.migrations();
    schema.run(&format!("INSERT INTO {}.extensions_schema (version) VALUES (999)", schema.name)).await;
    let newer = Postgres::connect(&schema.url).schema(&*schema.name).await.unwrap_err();
    assert_eq!(newer.kind(), QueueErrorKind::Corrupt);
    assert!(newer.to_string().contains("999"), "{newer}");
    schema.run(&format!("DROP SCHEMA {0} CASCADE; CREATE SCHEMA {0}", schema.name)).await;
    for migration in printed {
        schema.run(&migration.text).await;
    }
    let by_hand = Postgres::connect(&schema.url).schema(&*schema.name).migrate(false).await.unwrap();
    assert_eq!(by_hand.push([job()].into()).await.unwrap(), [Pushed::Queued]);
}

#[tokio::test]
async fn a_pool_of_the_application_is_enough_to_open_a_queue_also_from_a_blocked_runtime() {
    let schema = schema!();
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
    let schema = schema!();
    let open = || Postgres::connect(&schema.url).schema(&*schema.name).poll_only(Duration::from_millis(20));
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
    let schema = schema!();
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
            let request = ClaimRequest {
                worker: WorkerId::new(),
                queues: vec!["default".into()],
                handlers: [KnownHandler { handler: handler(), max_version: 1 }].into(),
                max: 20,
                lease: Duration::from_secs(60),
                lost: TakeLost::All,
            };
            match queue.reserve(request).await {
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
    let schema = schema!();
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
    let schema = schema!();
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
    let schema = schema!();
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
    let schema = schema!();
    let queue = schema.open().await;
    queue.push((0..50).map(|_| job()).collect()).await.unwrap();
    let rounds = (0..8).map(|_| queue.maintain(Retention::default()));
    for round in rounds.collect::<Vec<_>>() {
        round.await.unwrap();
    }
    assert_eq!(claim(&queue, 100).await.jobs.len(), 50);
}

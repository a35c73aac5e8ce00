//! Redis where the conformance suite does not reach: what operators and accidents do to the server.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use extensions_runtime::job::{ClaimedJob, HandlerKey, JobId, JobState, NewJob};
use extensions_runtime::queue::{
    AdminOutcome, ClaimRequest, Pushed, QueueAdmin, QueueBackend, QueueError, QueueErrorKind, Redis, Settle,
    Settled, Settlement, WaitRequest,
};
use tests::kit::{claim_request, new_job, until};
use tests::servers::{PASSWORD, Persistence, Server};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// Tests that change the server for all have it for themselves.
static SERVER: RwLock<()> = RwLock::const_new(());
static STORES: AtomicU64 = AtomicU64::new(0);

/// A store with a prefix of its own, whose keys go with it.
struct Bench {
    url: String,
    prefix: String,
}

impl Bench {
    /// A store in the server that the tests share; it ends with the process, which its watchdog sees to.
    async fn new() -> Self {
        static SHARED: OnceCell<Server> = OnceCell::const_new();
        Self::on(SHARED.get_or_init(|| tests::servers::Redis::start(Persistence::None)).await)
    }

    fn on(server: &Server) -> Self {
        let prefix = format!("test-{}", STORES.fetch_add(1, Ordering::Relaxed));
        Self { url: server.url(), prefix }
    }

    async fn shared() -> (Self, RwLockReadGuard<'static, ()>) {
        (Self::new().await, SERVER.read().await)
    }

    async fn exclusive() -> (Self, RwLockWriteGuard<'static, ()>) {
        (Self::new().await, SERVER.write().await)
    }

    async fn try_open(&self) -> Result<Redis, QueueError> {
        Redis::from_url(&self.url).prefix(&self.prefix).timeout(Duration::from_secs(3)).await
    }

    async fn open(&self) -> Redis {
        self.try_open().await.expect("the queue opens")
    }

    fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(&*self.url).expect("a URL");
        let mut connection = client.get_connection().expect("a connection");
        redis::cmd(words[0]).arg(&words[1..]).query(&mut connection).expect("the server does it")
    }

    fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.prefix)
    }

    fn keys(&self) -> Vec<String> {
        let pattern = self.key("*");
        self.run::<Vec<Vec<u8>>>(&["KEYS", &pattern])
            .into_iter()
            .filter_map(|key| String::from_utf8(key).ok())
            .collect()
    }

    fn kill_connections(&self) {
        for kind in ["normal", "pubsub"] {
            self.run::<u64>(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
        }
    }
}

fn handler() -> HandlerKey {
    HandlerKey::new("OrderPlaced", "send")
}

fn job() -> NewJob {
    new_job(handler(), "{}")
}

fn request(max: usize) -> ClaimRequest {
    claim_request(handler(), max)
}

fn ends(jobs: &[ClaimedJob]) -> Vec<Settlement> {
    let end = |job: &ClaimedJob| Settlement { job: job.id, token: job.token, end: Settle::complete(false) };
    jobs.iter().map(end).collect()
}

/// Does it again for as long as that may help.
async fn insist<T, F: Future<Output = Result<T, QueueError>>>(mut step: impl FnMut() -> F) -> T {
    let tries = async {
        loop {
            match step().await {
                Ok(answer) => return answer,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
    };
    timeout(PATIENCE, tries).await.expect("the store is back in time")
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_loaded_again() {
    let (bench, _server) = Bench::shared().await;
    let queue = bench.open().await;
    for _ in 0..3 {
        bench.run::<()>(&["SCRIPT", "FLUSH"]);
        assert_eq!(queue.push(vec![job()].into()).await.unwrap(), [Pushed::Queued]);
        bench.run::<()>(&["SCRIPT", "FLUSH"]);
        let jobs = queue.reserve(request(10)).await.unwrap().jobs;
        assert_eq!(jobs.len(), 1);
        bench.run::<()>(&["SCRIPT", "FLUSH"]);
        assert_eq!(queue.settle(ends(&jobs)).await.unwrap(), [Settled::Done]);
    }
}

/// Pushes, claims and settlements without end, each made again until it is answered.
struct Load {
    calls: Arc<Calls>,
    pushers: Vec<JoinHandle<Vec<JobId>>>,
    workers: Vec<JoinHandle<()>>,
}

struct Calls {
    queue: Redis,
    over: AtomicBool,
    /// How many jobs there are to do, once that is known.
    all: AtomicUsize,
    done: Mutex<HashSet<JobId>>,
    failed_pushes: AtomicU64,
    failed_claims: AtomicU64,
    failed_settlements: AtomicU64,
}

impl Calls {
    async fn insist<T, F: Future<Output = Result<T, QueueError>>>(
        &self,
        failed: &AtomicU64,
        mut step: impl FnMut() -> F,
    ) -> T {
        insist(|| {
            let call = timeout(PATIENCE, step());
            async move {
                let answer = call.await.expect("every call is answered");
                answer.inspect_err(|_| _ = failed.fetch_add(1, Ordering::Relaxed))
            }
        })
        .await
    }

    async fn push(self: Arc<Self>) -> Vec<JobId> {
        let mut pushed = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            // A push that is repeated after its jobs were done and dropped would store them again.
            let once = || NewJob { once: Some(Duration::from_secs(3600)), ..job() };
            let batch: Arc<[NewJob]> = vec![once(), once()].into();
            self.insist(&self.failed_pushes, || self.queue.push(Arc::clone(&batch))).await;
            pushed.extend(batch.iter().map(|job| job.id));
        }
        pushed
    }

    async fn work(self: Arc<Self>) {
        while self.done() < self.all.load(Ordering::Relaxed) {
            let jobs = self.insist(&self.failed_claims, || self.queue.reserve(request(20))).await.jobs;
            let settled = self.insist(&self.failed_settlements, || self.queue.settle(ends(&jobs))).await;
            assert!(
                settled.iter().all(|settled| *settled == Settled::Done),
                "a repeated settlement is answered as before"
            );
            let mut done = self.done.lock().unwrap();
            for job in jobs {
                assert!(done.insert(job.id), "no job is done twice");
            }
        }
    }

    fn done(&self) -> usize {
        self.done.lock().unwrap().len()
    }

    fn failed(&self) -> [u64; 3] {
        [&self.failed_pushes, &self.failed_claims, &self.failed_settlements]
            .map(|failed| failed.load(Ordering::Relaxed))
    }

    /// Until a call fails that was under way.
    async fn fails(&self, before: [u64; 3]) {
        until("a call that fails", async || self.failed() != before).await;
    }

    /// Until jobs are done again.
    async fn goes_on(&self) {
        let before = self.done();
        until("jobs that are done", async || self.done() > before).await;
    }

    fn all_have_failed(&self) -> bool {
        self.failed().iter().all(|failed| *failed > 0)
    }
}

impl Load {
    fn on(queue: &Redis) -> Self {
        let calls = Arc::new(Calls {
            queue: queue.clone(),
            over: AtomicBool::new(false),
            all: AtomicUsize::new(usize::MAX),
            done: Mutex::default(),
            failed_pushes: AtomicU64::new(0),
            failed_claims: AtomicU64::new(0),
            failed_settlements: AtomicU64::new(0),
        });
        let pushers = (0..4).map(|_| tokio::spawn(Arc::clone(&calls).push())).collect();
        let workers = (0..4).map(|_| tokio::spawn(Arc::clone(&calls).work())).collect();
        Self { calls, pushers, workers }
    }

    /// All that was pushed is done, once.
    async fn ends_well(self) {
        self.calls.over.store(true, Ordering::Relaxed);
        let mut pushed = HashSet::new();
        for pusher in self.pushers {
            pushed.extend(pusher.await.unwrap());
        }
        self.calls.all.store(pushed.len(), Ordering::Relaxed);
        for worker in self.workers {
            timeout(PATIENCE, worker).await.expect("claims whose answers were lost come back").unwrap();
        }
        assert_eq!(*self.calls.done.lock().unwrap(), pushed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_killed_under_load_lose_and_double_nothing() {
    let (bench, _server) = Bench::exclusive().await;
    let queue = bench.open().await;
    let load = Load::on(&queue);
    let hit = async || {
        bench.kill_connections();
        queue.connection().losses >= 20
    };
    until("twenty lost connections", hit).await;
    load.calls.goes_on().await;
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_under_load_loses_and_doubles_nothing() {
    let server = tests::servers::Redis::start(Persistence::Always).await;
    let bench = Bench::on(&server);
    let queue = Redis::from_url(&bench.url).prefix(&bench.prefix).timeout(Duration::from_secs(1)).await;
    let load = Load::on(&queue.unwrap());
    let rounds = async {
        while !load.calls.all_have_failed() {
            load.calls.goes_on().await;
            let before = load.calls.failed();
            server.freeze().await;
            load.calls.fails(before).await;
            server.thaw();
        }
        load.calls.goes_on().await;
    };
    timeout(PATIENCE, rounds).await.expect("a push, a claim and a settlement are hit");
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_under_load_loses_and_doubles_nothing() {
    let mut server = tests::servers::Redis::start(Persistence::Always).await;
    let bench = Bench::on(&server);
    let load = Load::on(&bench.open().await);
    let rounds = async {
        while !load.calls.all_have_failed() {
            load.calls.goes_on().await;
            let before = load.calls.failed();
            server.kill().await;
            load.calls.fails(before).await;
            server.restart().await;
        }
        load.calls.goes_on().await;
    };
    timeout(PATIENCE, rounds).await.expect("a push, a claim and a settlement are hit");
    load.ends_well().await;
}

#[tokio::test]
async fn waits_end_though_their_connection_was_killed() {
    let (bench, _server) = Bench::exclusive().await;
    let (queue, other) = (bench.open().await, bench.open().await);
    for _ in 0..3 {
        let cursor = insist(|| queue.reserve(request(1))).await.cursor;
        let waiting = {
            let queue = queue.clone();
            let request =
                WaitRequest { queues: vec!["default".into()], cursor, timeout: Duration::from_secs(600) };
            tokio::spawn(async move { queue.wait(request).await.unwrap() })
        };
        bench.kill_connections();
        let batch: Arc<[NewJob]> = vec![job()].into();
        insist(|| other.push(Arc::clone(&batch))).await;
        timeout(PATIENCE, waiting).await.expect("the wait ends").unwrap();
        let jobs = insist(|| queue.reserve(request(1))).await.jobs;
        insist(|| queue.settle(ends(&jobs))).await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_a_wrong_configuration_and_is_not_shown() {
    let (bench, _server) = Bench::shared().await;
    let url = bench.url.replace(PASSWORD, "hunter2");
    let error = Redis::from_url(&url).await.expect_err("it is not the password");
    assert_eq!(error.kind(), QueueErrorKind::InvalidConfig);
    assert!(!format!("{error} {error:?} {error:#?}").contains("hunter2"), "{error:#?}");
}

#[tokio::test]
async fn a_full_server_refuses_pushes_and_lets_workers_go_on() {
    let (bench, _server) = Bench::exclusive().await;
    let queue = bench.open().await;
    queue.push(vec![job(), job()].into()).await.unwrap();
    queue.reserve(request(0)).await.unwrap();
    bench.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let batch: Arc<[NewJob]> = vec![job(), NewJob { queue: "other".into(), ..job() }].into();
    let refused = queue.push(Arc::clone(&batch)).await;
    let jobs = queue.reserve(request(10)).await;
    let settled = match &jobs {
        Ok(jobs) => queue.settle(ends(&jobs.jobs)).await,
        Err(_) => Ok(Vec::new()),
    };
    bench.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    let error = refused.expect_err("there is no room");
    assert_eq!((error.kind(), error.is_retryable()), (QueueErrorKind::Full, true), "{error:?}");
    assert!(error.to_string().contains("maxmemory"), "{error}");
    assert_eq!(settled.unwrap(), [Settled::Done, Settled::Done]);
    let found = queue.get(batch.iter().map(|job| job.id).collect()).await.unwrap();
    assert!(found.iter().all(Option::is_none), "nothing is stored half way");
    assert_eq!(queue.push(batch).await.unwrap(), [Pushed::Queued; 2]);
}

struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl tracing::Subscriber for &'static Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_server_that_evicts_is_warned_of() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(&LINES).expect("no other subscriber"));
    let (bench, _server) = Bench::exclusive().await;
    bench.run::<()>(&["CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lru"]);
    let opened = bench.try_open().await;
    bench.run::<()>(&["CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction"]);
    opened.unwrap();
    let lines = LINES.0.lock().unwrap();
    let own: Vec<_> = lines.iter().filter(|line| line.contains(&bench.prefix)).collect();
    assert_eq!(
        own.iter().filter(|line| line.contains("set `maxmemory-policy noeviction`")).count(),
        1,
        "{own:?}"
    );
}

#[tokio::test]
async fn queues_with_other_prefixes_and_other_keys_are_left_alone() {
    let (bench, _server) = Bench::shared().await;
    let neighbour = Bench::new().await;
    let strange = format!("{}-own", bench.prefix);
    bench.run::<()>(&["SET", &strange, "untouched"]);
    let (queue, other) = (bench.open().await, neighbour.open().await);
    let own = job();
    queue.push(vec![own.clone()].into()).await.unwrap();
    assert!(other.reserve(request(10)).await.unwrap().jobs.is_empty());
    other.push(vec![own.clone()].into()).await.unwrap();
    other.pause("default".into()).await.unwrap();
    let jobs = queue.reserve(request(10)).await.unwrap().jobs;
    queue.settle(ends(&jobs)).await.unwrap();
    assert!(other.get(vec![own.id]).await.unwrap()[0].is_some());
    assert_eq!(bench.run::<String>(&["GETDEL", &strange]), "untouched");
}

#[tokio::test]
async fn a_key_of_another_kind_is_named_as_such() {
    let (bench, _server) = Bench::shared().await;
    let queue = bench.open().await;
    bench.run::<()>(&["SET", &bench.key("jobs"), "garbage"]);
    let error = queue.push(vec![job()].into()).await.expect_err("the key cannot be used");
    assert_eq!((error.kind(), error.is_retryable()), (QueueErrorKind::Corrupt, false), "{error:?}");
    bench.run::<u64>(&["DEL", &bench.key("jobs")]);
    assert_eq!(queue.push(vec![job()].into()).await.unwrap(), [Pushed::Queued]);
}

#[tokio::test]
async fn a_store_that_was_emptied_is_used_on() {
    let (bench, _server) = Bench::shared().await;
    let queue = bench.open().await;
    for name in ["first", "second", "third"] {
        let strange = NewJob { handler: HandlerKey::new("OrderPlaced", name), ..job() };
        queue.push(vec![strange, job()].into()).await.unwrap();
        let jobs = queue.reserve(request(10)).await.unwrap().jobs;
        assert_eq!(jobs.iter().map(|job| &job.handler).collect::<Vec<_>>(), [&handler()]);
        for key in bench.keys() {
            bench.run::<u64>(&["UNLINK", &key]);
        }
        assert_eq!(queue.settle(ends(&jobs)).await.unwrap(), [Settled::LeaseLost]);
    }
}

fn ids(jobs: &[ClaimedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

/// Claims until nothing is left.
async fn claim_all(queue: &Redis, max: usize) -> Vec<ClaimedJob> {
    let mut all = Vec::new();
    loop {
        let claimed = queue.reserve(request(max)).await.unwrap();
        if claimed.jobs.is_empty() && claimed.next_due != Some(Duration::ZERO) {
            return all;
        }
        all.extend(claimed.jobs);
    }
}

async fn push_many(queue: &Redis, n: usize) -> Vec<JobId> {
    let jobs: Vec<_> = (0..n).map(|_| job()).collect();
    let ids = jobs.iter().map(|job| job.id).collect();
    queue.push(jobs.into()).await.unwrap();
    ids
}

async fn available(queue: &Redis) -> u64 {
    let stats = queue.stats().await.unwrap();
    stats.iter().map(|queue| queue.counts.get(&JobState::Available).copied().unwrap_or_default()).sum()
}

#[tokio::test]
async fn waiting_jobs_that_are_cancelled_leave_the_order_of_the_others_as_it_is() {
    let (bench, _server) = Bench::shared().await;
    let queue = bench.open().await;
    let pushed = push_many(&queue, 2_000).await;
    let left = |at: &usize| at % 10 == 3;
    let (kept, gone): (Vec<_>, Vec<_>) = (0..pushed.len()).partition(left);
    let gone: Vec<_> = gone.iter().map(|at| pushed[*at]).collect();
    let outcomes = queue.cancel(gone.clone(), "not wanted".into()).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == AdminOutcome::Done));
    assert_eq!(available(&queue).await, kept.len() as u64);
    let elements: usize = bench
        .keys()
        .iter()
        .filter(|key| key.contains(":r:") && key.contains('.'))
        .map(|key| bench.run::<usize>(&["LLEN", key]))
        .sum();
    assert!(elements < 3 * kept.len(), "{elements} elements for {} jobs", kept.len());
    let later = push_many(&queue, 10).await;
    let wanted: Vec<_> = kept.iter().map(|at| pushed[*at]).chain(later).collect();
    assert_eq!(ids(&claim_all(&queue, 7).await), wanted);
    assert_eq!(available(&queue).await, 0);
    let rest: Vec<_> =
        bench.keys().into_iter().filter(|key| key.contains(":r:") || key.ends_with(":stale")).collect();
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(queue.forget(gone).await.unwrap().len(), 1_800);
}

#[tokio::test]
async fn a_claim_finds_the_jobs_behind_very_many_that_were_cancelled() {
    let (bench, _server) = Bench::shared().await;
    let queue = bench.open().await;
    let pushed = push_many(&queue, 13_000).await;
    queue.cancel(pushed[..6_000].to_vec(), "not wanted".into()).await.unwrap();
    let first = queue.reserve(request(1)).await.unwrap();
    assert_eq!(
        (first.jobs.len(), first.next_due),
        (0, Some(Duration::ZERO)),
        "there is more to be had at once"
    );
    assert_eq!(ids(&claim_all(&queue, 500).await), pushed[6_000..]);
}

#[tokio::test]
async fn jobs_that_were_cut_short_are_claimed_and_keep_no_other_back() {
    let (store, _guard) = Bench::shared().await;
    let queue = store.open().await;
    let client = redis::Client::open(&*store.url).unwrap();
    let mut connection = client.get_connection().unwrap();
    for left in [0, 1, 2, 20, 30] {
        let ids = push_many(&queue, 3).await;
        let (key, field) = (store.key("jobs"), ids[1].as_bytes());
        let mut job: Vec<u8> = redis::cmd("HGET").arg(&key).arg(field).query(&mut connection).unwrap();
        job.truncate(left);
        let _: i64 = redis::cmd("HSET").arg(&key).arg(field).arg(job).query(&mut connection).unwrap();
        let claimed = claim_all(&queue, 10).await;
        let claimed: Vec<_> = claimed.into_iter().map(|job| job.id).collect();
        // Without a state it is no job that waits.
        let expected = if left == 0 { vec![ids[0], ids[2]] } else { ids };
        assert_eq!(claimed, expected, "{left} bytes");
    }
}

#[tokio::test]
async fn an_id_that_was_cancelled_forgotten_and_pushed_again_is_claimed_once() {
    let (bench, _server) = Bench::shared().await;
    let queue = bench.open().await;
    let (first, again, last) = (job(), job(), job());
    queue.push(vec![first.clone(), again.clone(), last.clone()].into()).await.unwrap();
    queue.cancel(vec![again.id], "not wanted".into()).await.unwrap();
    queue.forget(vec![again.id]).await.unwrap();
    queue.push(vec![again.clone()].into()).await.unwrap();
    queue.cancel(vec![first.id], "not wanted".into()).await.unwrap();
    // A job that is retried waits from then on: in the same millisecond it would still be the first.
    tokio::time::sleep(Duration::from_millis(2)).await;
    queue.retry(vec![first.id]).await.unwrap();
    let claimed = claim_all(&queue, 1).await;
    let mut two = ids(&claimed);
    assert_eq!(two.remove(0), last.id);
    two.sort_unstable();
    let mut wanted = vec![first.id, again.id];
    wanted.sort_unstable();
    assert_eq!(two, wanted);
    assert!(queue.settle(ends(&claimed)).await.unwrap().iter().all(|settled| *settled == Settled::Done));
}

#[tokio::test]
async fn a_replica_is_named_as_such_and_not_stormed() {
    let server = tests::servers::Redis::start(Persistence::None).await;
    let bench = Bench::on(&server);
    let queue = bench.open().await;
    bench.run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    for error in [
        queue.push(vec![job()].into()).await.expect_err("a replica only reads"),
        bench.try_open().await.expect_err("a replica only reads"),
    ] {
        assert_eq!(error.kind(), QueueErrorKind::Unavailable);
        assert!(error.to_string().contains("replica"), "{error:?}");
    }
    let info: String = bench.run(&["INFO", "stats"]);
    let connections = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    let connections: u32 = connections.and_then(|count| count.trim().parse().ok()).expect("a number");
    assert!(connections < 100, "{connections}");
    bench.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(insist(|| queue.push(vec![job()].into())).await, [Pushed::Queued]);
}

#[tokio::test]
async fn a_layout_of_a_newer_release_is_refused() {
    let (bench, _server) = Bench::shared().await;
    bench.run::<u64>(&["HSET", &bench.key("meta"), "schema", "99"]);
    let error = bench.try_open().await.expect_err("it cannot be read");
    assert_eq!(error.kind(), QueueErrorKind::Corrupt);
    assert!(error.to_string().contains("layout 99"), "{error}");
}

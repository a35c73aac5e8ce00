//! Times of the steps of a job: encoding it, storing it, claiming and settling a hundred: `cargo bench -p benches --bench queue`.

use std::sync::Arc;
use std::time::Duration;

use benches::payload::OrderPlaced;
use benches::stores::{SETTINGS, Stores};
use divan::Bencher;
use divan::counter::ItemsCount;
use extensions::job::{FireId, HandlerKey, JobId, JobMeta, NewJob, Payload, QueueName, WorkerId};
use extensions::queue::{
    ClaimRequest, KnownHandler, Memory, QueueBackend, Settle, Settlement, TakeLost, connect,
};
use tokio::runtime::Runtime;

/// Jobs in one call.
const BATCH: u64 = 100;

const BACKENDS: [&str; 4] = ["memory", "sqlite", "postgres", "redis"];

fn main() {
    divan::main();
}

fn handler() -> HandlerKey {
    HandlerKey::new("bench.order_placed", "count")
}

fn new_job(n: u64) -> NewJob {
    NewJob {
        id: JobId::new(),
        handler: handler(),
        point_version: 1,
        payload: Payload::from(OrderPlaced::json(n).as_bytes()),
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

/// A store of the backend, and what keeps its server alive.
struct Store {
    runtime: Runtime,
    queue: Arc<dyn QueueBackend>,
    _server: Option<Stores>,
}

impl Store {
    fn of(backend: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let (queue, server) = runtime.block_on(async {
            let Some(setting) = SETTINGS.into_iter().find(|setting| setting.backend == backend) else {
                return (Arc::new(Memory::new()) as Arc<dyn QueueBackend>, None);
            };
            let stores = Stores::start(setting).await.expect("a store");
            (connect(&stores.fresh_url()).await.expect("a queue"), Some(stores))
        });
        Self { runtime, queue, _server: server }
    }

    fn push(&self) {
        let jobs: Arc<[NewJob]> = (0..BATCH).map(new_job).collect();
        self.runtime.block_on(self.queue.push(jobs)).expect("jobs are stored");
    }

    fn claim(&self) -> Vec<Settlement> {
        let request = ClaimRequest {
            worker: WorkerId::new(),
            queues: vec![QueueName::from("default")],
            handlers: [KnownHandler { handler: handler(), max_version: 1 }].into(),
            max: 100,
            lease: Duration::from_secs(30),
            lost: TakeLost::All,
        };
        let claimed = self.runtime.block_on(self.queue.reserve(request)).expect("jobs are claimed");
        assert_eq!(claimed.jobs.len() as u64, BATCH);
        let end = |job: &extensions::job::ClaimedJob| Settlement {
            job: job.id,
            token: job.token,
            end: Settle::complete(false),
        };
        claimed.jobs.iter().map(end).collect()
    }

    fn settle(&self, ends: Vec<Settlement>) {
        self.runtime.block_on(self.queue.settle(ends)).expect("jobs are settled");
    }
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(|| new_job(7)).bench_refs(|job| {
        (serde_json::to_string(&OrderPlaced::new(7)), serde_json::to_string(&job.meta), JobId::new())
    });
}

#[divan::bench(args = BACKENDS)]
fn push(bencher: Bencher<'_, '_>, backend: &str) {
    let store = Store::of(backend);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| store.push());
}

#[divan::bench(args = BACKENDS)]
fn claim(bencher: Bencher<'_, '_>, backend: &str) {
    let store = Store::of(backend);
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| store.push())
        .bench_local_values(|()| store.claim());
}

#[divan::bench(args = BACKENDS)]
fn settle(bencher: Bencher<'_, '_>, backend: &str) {
    let store = Store::of(backend);
    let claimed = || {
        store.push();
        store.claim()
    };
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(claimed)
        .bench_local_values(|ends| store.settle(ends));
}

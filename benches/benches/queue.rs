//! Times of the steps of a job: encoding it, storing it, claiming and settling a hundred: `cargo bench -p benches --bench queue`.

use std::sync::Arc;

use benches::payload::OrderPlaced;
use benches::stores::{SETTINGS, Stores};
use divan::Bencher;
use divan::counter::ItemsCount;
use extensions::job::ClaimedJob;
use extensions::prelude::*;
use extensions::queue::{Memory, QueueBackend, Settle, Settlement, connect};
use tests::kit::{claim_request, new_job};
use tokio::runtime::Runtime;

/// Jobs in one call.
const BATCH: usize = 100;

const HANDLER: &str = "bench.order_placed/count";

const BACKENDS: [&str; 4] = ["memory", "sqlite", "postgres", "redis"];

fn main() {
    divan::main();
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
        let jobs = (0..BATCH as u64).map(|n| new_job(HANDLER, OrderPlaced::json(n))).collect();
        self.runtime.block_on(self.queue.push(jobs)).expect("jobs are stored");
    }

    fn claim(&self) -> Vec<Settlement> {
        let request = claim_request(HANDLER, BATCH);
        let claimed = self.runtime.block_on(self.queue.reserve(request)).expect("jobs are claimed");
        assert_eq!(claimed.jobs.len(), BATCH);
        let end =
            |job: &ClaimedJob| Settlement { job: job.id, token: job.token, end: Settle::complete(false) };
        claimed.jobs.iter().map(end).collect()
    }

    fn settle(&self, ends: Vec<Settlement>) {
        self.runtime.block_on(self.queue.settle(ends)).expect("jobs are settled");
    }
}

struct Count;

impl AsyncHandler<OrderPlaced> for Count {
    async fn handle(&self, _: &OrderPlaced, _: &Job) -> HandlerResult {
        Ok(())
    }
}

/// A point becomes a job: all that a fire does, with a store that is only a map.
#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let builder = Extensions::builder().queue(Memory::new());
    let builder = builder.register_async::<OrderPlaced, _>(Count, AsyncOptions::new().name("count"));
    let ext = runtime.block_on(builder.build()).expect("an instance");
    bencher
        .with_inputs(|| OrderPlaced::new(7))
        .bench_local_values(|order| runtime.block_on(ext.fire(order)).expect("a job is stored"));
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

//! Case `inline`: one fire with k plain inline handlers, against the same closures in a loop; and case `awaited`.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll, Waker};

use extensions::prelude::*;

use crate::peers;
use crate::report::{Better, Row};
use crate::rounds::{Subject, nanoseconds};

#[derive(ExtensionPoint)]
#[expect(dead_code, reason = "the handlers only count")]
struct OrderSeen {
    order_id: u64,
    total_cents: u64,
}

#[derive(ExtensionPoint)]
#[expect(dead_code, reason = "the handlers only count")]
struct OrderAwaited {
    order_id: u64,
    total_cents: u64,
}

struct Counts(Arc<AtomicU64>);

impl AwaitedHandler<OrderAwaited> for Counts {
    async fn handle(&self, _: &mut OrderAwaited, _: &Context) -> HandlerResult {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

type BoxedHandler = Box<dyn Fn(&mut OrderSeen) -> Result<(), BoxError> + Send + Sync>;
type ReadyFuture<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

trait Step: Send + Sync {
    fn call<'a>(&'a self, point: &'a mut OrderAwaited) -> ReadyFuture<'a>;
}

impl Step for Counts {
    fn call<'a>(&'a self, _: &'a mut OrderAwaited) -> ReadyFuture<'a> {
        Box::pin(async {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }
}

#[inline(never)]
fn call_all(handlers: &[BoxedHandler], mut point: OrderSeen) -> Result<OrderSeen, BoxError> {
    for handler in handlers {
        handler(&mut point)?;
    }
    Ok(point)
}

#[inline(never)]
async fn await_all(handlers: &[Box<dyn Step>], mut point: OrderAwaited) -> Result<OrderAwaited, BoxError> {
    for handler in handlers {
        handler.call(&mut point).await?;
    }
    Ok(point)
}

/// Runs a future that never waits.
fn ready<F: Future>(future: F) -> F::Output {
    let mut cx = TaskContext::from_waker(Waker::noop());
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut cx) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("handlers that are ready at once"),
    }
}

fn seen(i: u64) -> OrderSeen {
    black_box(OrderSeen { order_id: i, total_cents: i * 3 })
}

fn awaited(i: u64) -> OrderAwaited {
    black_box(OrderAwaited { order_id: i, total_cents: i * 3 })
}

async fn plain_instance(k: u64, hits: &Arc<AtomicU64>) -> Result<Extensions, BoxError> {
    let mut builder = Extensions::builder();
    for i in 0..k {
        let hits = Arc::clone(hits);
        let count = move |_: &mut OrderSeen, _: &Context| {
            hits.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        builder = builder.register_fn::<OrderSeen>(format!("h{i}"), count, HandlerOptions::new());
    }
    Ok(builder.build().await?)
}

async fn awaited_instance(k: u64, hits: &Arc<AtomicU64>) -> Result<Extensions, BoxError> {
    let mut builder = Extensions::builder();
    for i in 0..k {
        let options = HandlerOptions::new().name(format!("h{i}"));
        builder = builder.register_awaited::<OrderAwaited, _>(Counts(Arc::clone(hits)), options);
    }
    Ok(builder.build().await?)
}

fn boxed_handlers(k: u64, hits: &Arc<AtomicU64>) -> Vec<BoxedHandler> {
    let boxed = |_| {
        let hits = Arc::clone(hits);
        Box::new(move |_: &mut OrderSeen| {
            hits.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }) as BoxedHandler
    };
    black_box((0..k).map(boxed).collect())
}

fn boxed_awaited(k: u64, hits: &Arc<AtomicU64>) -> Vec<Box<dyn Step>> {
    black_box((0..k).map(|_| Box::new(Counts(Arc::clone(hits))) as Box<dyn Step>).collect())
}

/// The rows `inline k` (with `fire_sync`), `inline k await`, for k = 0, 1, 4, 16.
///
/// # Errors
///
/// If an instance cannot be built.
pub async fn inline(rounds: usize, runs: u64) -> Result<Vec<Row>, BoxError> {
    let mut rows = Vec::new();
    for (k, sync_goal, await_goal) in
        [(0, f64::INFINITY, f64::INFINITY), (1, 1.9, 3.0), (4, 1.4, 1.6), (16, 1.2, 1.25)]
    {
        let hits = Arc::new(AtomicU64::new(0));
        let ext = plain_instance(k, &hits).await?;
        let handlers = boxed_handlers(k, &hits);
        let runs = runs / (1 + k / 2);
        let mut subjects: Vec<Subject<'_>> = vec![
            Box::new(|runs| (0..runs).for_each(|i| drop(black_box(ext.fire_sync(seen(i)))))),
            Box::new(|runs| (0..runs).for_each(|i| drop(black_box(ready(ext.fire(seen(i))))))),
            Box::new(|runs| (0..runs).for_each(|i| drop(black_box(call_all(&handlers, seen(i)))))),
        ];
        let mut bevy = peers::Observers::new(k, runs);
        let figures = nanoseconds(rounds, runs, &mut subjects, || bevy.round());
        let peers = bevy.medians()?;
        for (case, ours, goal) in [
            (format!("inline {k}"), &figures[0], sync_goal),
            (format!("inline {k} await"), &figures[1], await_goal),
        ] {
            let row = Row::new(case, ours, "ns").limit(&figures[2]).peers(peers.clone(), Better::Less);
            rows.push(if k == 0 { row } else { row.at_most(goal).not_behind() });
        }
    }
    Ok(rows)
}

/// The rows `awaited k`, for k = 1, 4, 16.
///
/// # Errors
///
/// If an instance cannot be built.
pub async fn awaited_ready(rounds: usize, runs: u64) -> Result<Vec<Row>, BoxError> {
    let mut rows = Vec::new();
    for k in [1, 4, 16] {
        let hits = Arc::new(AtomicU64::new(0));
        let ext = awaited_instance(k, &hits).await?;
        let handlers = boxed_awaited(k, &hits);
        let runs = runs / (4 * k);
        let mut subjects: Vec<Subject<'_>> = vec![
            Box::new(|runs| (0..runs).for_each(|i| drop(black_box(ready(ext.fire(awaited(i))))))),
            Box::new(|runs| (0..runs).for_each(|i| drop(black_box(ready(await_all(&handlers, awaited(i))))))),
        ];
        let figures = nanoseconds(rounds, runs, &mut subjects, || {});
        rows.push(Row::new(format!("awaited {k}"), &figures[0], "ns").limit(&figures[1]).at_most(1.2));
    }
    Ok(rows)
}

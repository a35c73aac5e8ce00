//! The inline path as `compare` measures it, in a package that needs nothing but the framework, so that its instructions are counted after
//! a short build.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll, Waker};

use extensions::prelude::*;

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

/// A way to run k handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// `fire_sync` with plain handlers.
    Sync,
    /// `fire().await` with plain handlers.
    Await,
    /// `fire().await` with awaited handlers that are ready at once.
    Awaited,
    /// The limit of plain handlers: boxed closures in a loop.
    Loop,
    /// The limit of awaited ones: boxed futures in a loop.
    Futures,
}

/// Goes that way as often as it is told.
pub type Runs = Box<dyn FnMut(u64) + Send>;

/// A subject with k handlers.
///
/// # Errors
///
/// If the instance cannot be built.
pub async fn subject(path: Path, k: u64) -> Result<Runs, BoxError> {
    let hits = Arc::new(AtomicU64::new(0));
    Ok(match path {
        Path::Sync => {
            let ext = plain_instance(k, &hits).await?;
            Box::new(move |runs| (0..runs).for_each(|i| drop(black_box(ext.fire_sync(seen(i))))))
        }
        Path::Await => {
            let ext = plain_instance(k, &hits).await?;
            Box::new(move |runs| (0..runs).for_each(|i| drop(black_box(ready(ext.fire(seen(i)))))))
        }
        Path::Awaited => {
            let ext = awaited_instance(k, &hits).await?;
            Box::new(move |runs| (0..runs).for_each(|i| drop(black_box(ready(ext.fire(awaited(i)))))))
        }
        Path::Loop => {
            let handlers = boxed_handlers(k, &hits);
            Box::new(move |runs| (0..runs).for_each(|i| drop(black_box(call_all(&handlers, seen(i))))))
        }
        Path::Futures => {
            let handlers = boxed_awaited(k, &hits);
            let await_all = move |i| ready(await_all(&handlers, awaited(i)));
            Box::new(move |runs| (0..runs).for_each(|i| drop(black_box(await_all(i)))))
        }
    })
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

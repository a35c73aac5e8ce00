//! What hostile code and hostile timing must not break: handlers that drop what they hold at the worst moment, futures that are dropped
//! at every await, panics where none is expected, and counters that have to come back to zero.

mod counters_come_back_to_zero;
mod fakes;
mod huge;
mod in_place;
mod layers;
mod names;
mod open_circuits;
mod panics;
mod pipelines_and_fires;
mod the_quick_way_and_the_long_one;
mod what_calls_itself;
mod what_is_dropped_under_a_change;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use extensions::fire::{
    FireInfo, FireLayer, FireOutcome, NextFire, NextPush, PushLayer, SkipReason, StageFate,
};
use extensions::job::NewJob;
use extensions::prelude::*;
use extensions::queue::{Pushed, QueueError};
use extensions::{BreakerStatus, ExtensionsBuilder, Fired, Registration, SwitchGuard};
use serde::{Deserialize, Serialize};
use tests::kit::{by_hand, in_time, on_memory, work};

#[derive(Debug, Default, Clone, ExtensionPoint)]
struct Tick {
    seen: Vec<String>,
}

#[derive(Debug, Default, Clone, ExtensionPoint)]
struct Beat;

#[derive(Debug, Default, Clone, ExtensionPoint)]
#[extension_point(interruptible)]
struct Asked;

#[derive(Debug, Default, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Sent {
    id: u64,
}

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

async fn built(builder: ExtensionsBuilder) -> Extensions {
    builder.build().await.unwrap()
}

/// Does a thing that must not block for ever, on a thread of its own.
fn ends<T: Send + 'static>(what: &str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(call()));
    ended.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{what} never ends"))
}

/// Whether a fire of a plain point is as cheap as on the day of the start-up.
fn is_quiet(ext: &Extensions) -> bool {
    ext.fire_sync(Beat).unwrap();
    allocation_counter::measure(|| drop(ext.fire_sync(Beat))).count_total == 0
}

fn with_beat(builder: ExtensionsBuilder) -> ExtensionsBuilder {
    builder.register_fn::<Beat>("beat", |_, _| Ok(()), HandlerOptions::new())
}

/// An await that a future can be dropped at.
async fn pause() {
    tokio::task::yield_now().await;
}

/// Polls a future so often, and drops it. Answers whether it ended before.
async fn drop_after<F: Future>(polls: u32, future: F) -> bool {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if std::future::poll_fn(|task| Poll::Ready(future.as_mut().poll(task).is_ready())).await {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

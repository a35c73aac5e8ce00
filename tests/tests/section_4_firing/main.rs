//! Product 4, item by item: firing. What comes later: 4.6, 4.9, 4.11, 4.13, and the layers of attempts (4.12).

mod item_4_10_fire_many;
mod item_4_12_observers_and_layers;
mod item_4_1_order;
mod item_4_2_the_report;
mod item_4_3_a_failed_push;
mod item_4_4_panics;
mod item_4_5_nested_fires;
mod item_4_7_fire_sync;
mod item_4_8_options_of_one_fire;

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use extensions::fire::{
    FireInfo, FireLayer, FireOutcome, NextFire, NextPush, Observed, PushLayer, SkipReason,
};
use extensions::job::{JobState, NewJob};
use extensions::prelude::*;
use extensions::queue::{Memory, Pushed, QueueError, QueueErrorKind};
use extensions::testing::FaultyQueue;
use extensions::{ExtensionsBuilder, FireErrorKind};
use serde::{Deserialize, Serialize};
use tests::kit::{Log, in_time, jobs, kind, lines, on, on_memory, skips};

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

/// What the tests fire: it notes who had it, and says who is to err or to veto.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Placed {
    seen: Vec<String>,
    errs: String,
    vetoes: String,
}

fn placed(errs: &str, vetoes: &str) -> Placed {
    Placed { seen: vec![], errs: errs.to_owned(), vetoes: vetoes.to_owned() }
}

fn step(name: &'static str) -> impl Fn(&mut Placed, &Context) -> HandlerResult<Verdict> + Send + Sync {
    move |point, _| {
        point.seen.push(name.to_owned());
        if point.errs == name {
            return Err(format!("{name} errs").into());
        }
        Ok(if point.vetoes == name {
            Verdict::veto(format!("{name} is against it"))
        } else {
            Verdict::Continue
        })
    }
}

struct Mail;
impl AsyncHandler<Placed> for Mail {
    async fn handle(&self, point: &Placed, job: &Job) -> HandlerResult {
        job.resource::<Log>().unwrap().add(format!("mail {}", point.seen.join("+")));
        Ok(())
    }
}
struct Book;
impl AsyncHandler<Placed> for Book {
    async fn handle(&self, point: &Placed, job: &Job) -> HandlerResult {
        job.resource::<Log>().unwrap().add(format!("book {}", point.seen.join("+")));
        Ok(())
    }
}

/// Two inline handlers, and two async ones whose places are before and between them.
fn shop() -> ExtensionsBuilder {
    Extensions::builder()
        .register_async::<Placed, _>(Mail, AsyncOptions::new().order(-5))
        .register_fn::<Placed>("second", step("second"), at(20))
        .register_fn::<Placed>("first", step("first"), at(10))
        .register_async::<Placed, _>(Book, AsyncOptions::new().order(15).queue("books"))
}

/// Counts pushes, with their sizes.
#[derive(Clone, Default)]
struct Pushes(Arc<Mutex<Vec<usize>>>);
impl PushLayer for Pushes {
    async fn push(&self, jobs: Arc<[NewJob]>, next: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
        self.0.lock().unwrap().push(jobs.len());
        next.run(jobs).await
    }
}

//! Between fires and jobs: fires in transactions (4.6), idempotency keys, follow-ups, results, ends in transactions, handles (4.13).

mod completion;
mod follow_ups;
mod handles;
mod idempotency;
mod within;

use std::sync::Arc;

use extensions::ExtensionsBuilder;
use extensions::prelude::*;
use extensions::queue::QueueBackend;
use serde::{Deserialize, Serialize};
use tests::kit::{self, Log};
use tests::transactional::Transactional;

/// What the tests fire. Its handlers write into the log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Placed {
    id: u32,
}

/// What handlers of `Placed` fire.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Shipped {
    id: u32,
}

struct Mail;
impl AsyncHandler<Placed> for Mail {
    async fn handle(&self, placed: &Placed, job: &Job) -> HandlerResult {
        log(job, format!("mail {}", placed.id))
    }
}

struct Label;
impl AsyncHandler<Shipped> for Label {
    async fn handle(&self, shipped: &Shipped, job: &Job) -> HandlerResult {
        log(job, format!("label {}", shipped.id))
    }
}

fn log(job: &Job, line: impl Into<String>) -> HandlerResult {
    job.resource::<Log>().unwrap().add(line);
    Ok(())
}

fn placed(id: u32) -> Placed {
    Placed { id }
}

fn options() -> AsyncOptions {
    AsyncOptions::new()
}

/// `Mail` for `Placed` and `Label` for `Shipped`.
fn shop() -> ExtensionsBuilder {
    Extensions::builder()
        .register_async::<Placed, _>(Mail, options())
        .register_async::<Shipped, _>(Label, options())
}

/// An instance on a queue that takes part in transactions.
async fn transactional(builder: ExtensionsBuilder) -> (Extensions, Arc<dyn QueueBackend>) {
    kit::on(builder, Arc::new(Transactional::default())).await
}

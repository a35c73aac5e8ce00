//! Product 5, second half: pipelines.

mod points;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use extensions::fire::{SkipReason, StageFate};
use extensions::prelude::*;
use extensions::queue::JobFilter;
use extensions::{BreakerStatus, ExtensionsBuilder, FireErrorKind, Piped};
use serde::{Deserialize, Serialize};
use tests::kit::on_memory;

async fn plain() -> Extensions {
    Extensions::builder().build().await.unwrap()
}

fn failed(error: &str) -> StageFate {
    StageFate::Failed { error: error.to_owned() }
}

const fn skipped(reason: SkipReason) -> StageFate {
    StageFate::Skipped { reason }
}

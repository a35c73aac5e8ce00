//! Product 6, item by item: safety. Breaker state that is shared between processes comes later.

mod item_6_1_graceful;
mod item_6_2_strict;
mod item_6_3_circuit_breakers;
mod item_6_4_mute_and_silence;
mod item_6_5_async_handlers;
mod item_6_6_fail_closed_guards;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use extensions::breaker::{BreakerError, BreakerReport, CircuitBreaker, SharedBreakers};
use extensions::fire::SkipReason;
use extensions::job::JobState;
use extensions::prelude::*;
use extensions::queue::{Memory, QueueBackend};
use extensions::time::{Clock, ManualClock};
use extensions::{BreakerStatus, ExtensionsBuilder};
use serde::{Deserialize, Serialize};
use tests::kit::{by_hand, in_time, jobs, kind, lines, on, on_memory, skips, until, until_state, work};
use tokio::sync::{Semaphore, SemaphorePermit};

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

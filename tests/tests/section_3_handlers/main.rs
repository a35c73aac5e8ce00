//! Product 3, item by item: handlers and registration.
//!
//! Every handler that is attached by attribute stands in a module of its item. Tests that take in all of them give a [`Log`].

mod item_3_10_introspection;
mod item_3_11_deprecated;
mod item_3_12_declared;
mod item_3_1_by_attribute;
mod item_3_2_found_at_link_time;
mod item_3_3_priorities;
mod item_3_4_by_hand;
mod item_3_5_resources;
mod item_3_6_conditions;
mod item_3_7_tags_and_groups;
mod item_3_8_scopes;
mod item_3_9_wildcards;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use extensions::ExtensionsBuilder;
use extensions::fire::SkipReason;
use extensions::job::JobState;
use extensions::prelude::*;
use extensions::queue::Memory;
use serde::{Deserialize, Serialize};
use tests::kit::{Log, by_hand, in_time, jobs, lines, names, on_memory, skips, until, until_state, work};

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

/// What handlers of this file want to be given.
struct Wanted(u32);

/// Everything that is linked into this file.
fn discovered() -> ExtensionsBuilder {
    Extensions::builder().discover().resource(Wanted(3))
}

/// Notes who is called.
fn note<P: ExtensionPoint<Output = ()>>(
    what: &'static str,
) -> impl Fn(&mut P, &Context) -> HandlerResult + Send + Sync + 'static {
    move |_, cx| {
        cx.resource::<Log>().unwrap().add(what);
        Ok(())
    }
}

//! The observers of bevy_ecs: `inline --handlers K --runs N`.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bevy_ecs::prelude::{Event, On, World};
use common::{BoxError, Figures, answer};

#[derive(Event)]
#[expect(dead_code, reason = "the observers only count")]
struct OrderSeen {
    order_id: u64,
    total_cents: u64,
}

fn seen(i: u64) -> OrderSeen {
    black_box(OrderSeen { order_id: i, total_cents: i * 3 })
}

fn main() -> ExitCode {
    answer(arguments().map(|(handlers, runs)| Figures::Value(inline(handlers, runs))))
}

fn arguments() -> Result<(u64, u64), BoxError> {
    use lexopt::prelude::{Long, Value, ValueExt};
    let (mut case, mut handlers, mut runs) = (None, None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Value(name) if case.is_none() => case = Some(name.string()?),
            Long("handlers") => handlers = Some(parser.value()?.parse()?),
            Long("runs") => runs = Some(parser.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if case.as_deref() != Some("inline") {
        return Err("unsupported: bevy_ecs has observers, and no jobs; its one case is `inline`".into());
    }
    let handlers = handlers.ok_or("say how many handlers, with --handlers")?;
    let runs = runs.filter(|runs| *runs > 0).ok_or("say how many runs, with --runs")?;
    Ok((handlers, runs))
}

/// Nanoseconds per event with so many observers, after a warm-up.
fn inline(handlers: u64, runs: u64) -> f64 {
    let hits = Arc::new(AtomicU64::new(0));
    let mut world = World::new();
    for _ in 0..handlers {
        let hits = Arc::clone(&hits);
        world.add_observer(move |_: On<'_, '_, OrderSeen>| {
            hits.fetch_add(1, Ordering::Relaxed);
        });
    }
    world.flush();
    let mut fire = |runs| {
        (0..runs).for_each(|i| {
            let mut event = seen(i);
            world.trigger_ref(&mut event);
            black_box(&event);
        });
    };
    fire(runs / 4);
    let start = Instant::now();
    fire(runs);
    #[allow(clippy::cast_precision_loss)]
    let nanoseconds = start.elapsed().as_nanos() as f64 / runs as f64;
    nanoseconds
}

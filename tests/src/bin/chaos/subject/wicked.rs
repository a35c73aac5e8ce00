//! Handlers that hurt the worker that runs them.

use std::time::{Duration, Instant};

use extensions::prelude::*;
use serde::{Deserialize, Serialize};
use tests::crash::{LedgerWriter, Outcome, Wickedness};

use super::handlers::{Running, TellOfFailure};

/// Longer than the time-out and the five seconds after which a handler counts as stuck.
const TOO_LONG: Duration = Duration::from_secs(9);

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
pub(super) struct Wicked {
    pub(super) fire: u64,
    pub(super) how: Wickedness,
}

#[extension_handler(Wicked)]
#[async_handler(
    queue = "wicked",
    max_attempts = 2,
    timeout = "1s",
    backoff = fixed("50ms"),
    on_failure = TellOfFailure
)]
async fn harm(wicked: &Wicked, job: &Job, ledger: Res<LedgerWriter>) -> HandlerResult {
    let run = Running::start(&ledger, job).await;
    match wicked.how {
        Wickedness::Panics => panic!("{}", run.panics().await),
        Wickedness::Overflows => drop(dig(1)),
        Wickedness::Aborts => std::process::abort(),
        Wickedness::Blocks | Wickedness::NeverYields if job.attempt() > 1 => {
            return run.end(Outcome::Done).await;
        }
        Wickedness::Blocks => std::thread::sleep(TOO_LONG),
        Wickedness::NeverYields => compute(TOO_LONG),
    }
    run.end_late(Outcome::Outlived)
}

fn compute(long: Duration) {
    let started = Instant::now();
    while started.elapsed() < long {
        std::hint::spin_loop();
    }
}

/// Never comes back: each call needs the one below it.
#[allow(unconditional_recursion)]
fn dig(depth: u64) -> [u64; 64] {
    let below = dig(std::hint::black_box(depth + 1));
    std::array::from_fn(|at| below[63 - at].wrapping_add(depth))
}

//! Whether the worker's runtime still runs tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::runtime::Handle;

/// Felt from another thread, and only when somebody asks.
#[derive(Debug)]
pub(super) struct Pulse {
    runtime: Handle,
    asked: Option<(Instant, Arc<AtomicBool>)>,
}

impl Pulse {
    pub(super) const fn new(runtime: Handle) -> Self {
        Self { runtime, asked: None }
    }

    /// Whether the runtime has not answered since an earlier call. The first call asks and knows nothing yet.
    pub(super) fn is_missing(&mut self) -> bool {
        self.missing_since().is_some()
    }

    /// Since when the runtime has not answered.
    pub(super) fn missing_since(&mut self) -> Option<Instant> {
        match &self.asked {
            Some((since, answered)) if !answered.load(Ordering::Relaxed) => Some(*since),
            _ => {
                let answered = Arc::new(AtomicBool::new(false));
                self.asked = Some((Instant::now(), Arc::clone(&answered)));
                self.runtime.spawn(async move { answered.store(true, Ordering::Relaxed) });
                None
            }
        }
    }

    pub(super) const fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

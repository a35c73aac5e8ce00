//! The instance that is fired through without being named: the installed one, or the one of a task.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::Extensions;

static INSTALLED: OnceLock<Extensions> = OnceLock::new();
/// Whether any task of this process ever had an instance of its own, so that those that never do pay nothing.
static IS_LOOKED_FOR: AtomicBool = AtomicBool::new(false);

tokio::task_local! {
    static AROUND: Around;
}

/// What a task hands on to the jobs that it runs in place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Around {
    global: Option<Extensions>,
    /// How many jobs that are run in place the task is inside of.
    pub(crate) depth: u32,
}

impl Around {
    pub(crate) fn current() -> Option<Self> {
        AROUND.try_with(Self::clone).ok()
    }

    /// Runs a future inside of this.
    pub(crate) async fn carry<F: Future>(self, future: F) -> F::Output {
        AROUND.scope(self, future).await
    }

    /// Runs a call inside of what was around where it was started.
    pub(crate) fn carry_sync<T>(around: Option<Self>, call: impl FnOnce() -> T) -> T {
        match around {
            Some(around) => AROUND.sync_scope(around, call),
            None => call(),
        }
    }
}

impl Extensions {
    /// Makes this the instance of [`extensions::fire`](crate::fire()).
    ///
    /// # Panics
    ///
    /// If another instance was installed before.
    #[track_caller]
    pub fn install_global(&self) {
        let installed = INSTALLED.get_or_init(|| self.clone());
        assert!(
            Arc::ptr_eq(&installed.0, &self.0),
            "another instance is installed already; install one, once, at start-up"
        );
    }

    /// The instance of the current task ([`as_global`](Self::as_global)), else the installed one, if there is one.
    #[must_use]
    pub fn global() -> Option<Self> {
        let of_the_task = || Around::current()?.global;
        let looked_for = IS_LOOKED_FOR.load(Ordering::Relaxed).then(of_the_task).flatten();
        looked_for.or_else(|| INSTALLED.get().cloned())
    }

    /// Runs a future in which this is the instance of [`extensions::fire`](crate::fire()), whichever is installed: for tests of code
    /// that fires through the installed instance.
    ///
    /// It holds for the task alone: tasks and threads that the future spawns do not inherit it, and fires beside it see nothing of
    /// it. The jobs that a worker runs which was started inside, [`run_queued`](Self::run_queued) above all, have it too.
    pub async fn as_global<F: Future>(&self, future: F) -> F::Output {
        IS_LOOKED_FOR.store(true, Ordering::Relaxed);
        let around = Around::current().unwrap_or_default();
        Around { global: Some(self.clone()), ..around }.carry(future).await
    }
}

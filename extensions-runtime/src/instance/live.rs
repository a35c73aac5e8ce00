//! What may change while an instance runs: read without a lock, changed one step at a time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use super::Switches;
use crate::registry::Registry;

/// What is registered and switched off at one time.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) registry: Arc<Registry>,
    pub(crate) switches: Switches,
}

/// What one fire goes by, from its begin to its end.
pub(crate) enum View<'a> {
    /// Nothing changed since start-up.
    Base(&'a Arc<Registry>),
    Changed(Arc<Snapshot>),
}

impl View<'_> {
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        match self {
            Self::Base(registry) => registry,
            Self::Changed(snapshot) => &snapshot.registry,
        }
    }

    /// What is switched off, if anything is.
    pub(crate) fn switches(&self) -> Option<&Switches> {
        match self {
            Self::Base(_) => None,
            Self::Changed(snapshot) => Some(&snapshot.switches),
        }
    }
}

/// The changes since start-up, if there are any.
#[derive(Default)]
pub(super) struct Live {
    current: ArcSwapOption<Snapshot>,
    changing: Mutex<()>,
}

impl Live {
    pub(super) fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// Makes one change; `attention` counts one while anything differs from `base`.
    pub(super) fn change<T, E>(
        &self,
        base: &Arc<Registry>,
        attention: &AtomicU32,
        change: impl FnOnce(&mut Snapshot) -> Result<T, E>,
    ) -> Result<T, E> {
        // Dropped after the lock: the last of a handler may be in it, whose own drop may want to change something.
        let before;
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        before = self.current();
        let mut snapshot = before
            .as_deref()
            .cloned()
            .unwrap_or_else(|| Snapshot { registry: Arc::clone(base), switches: Switches::default() });
        let result = change(&mut snapshot)?;
        if snapshot.registry.has_handlers_of(base) {
            snapshot.registry = Arc::clone(base);
        }
        let is_base = Arc::ptr_eq(&snapshot.registry, base) && snapshot.switches.is_empty();
        let after = (!is_base).then(|| Arc::new(snapshot));
        if before.is_none() && after.is_some() {
            attention.fetch_add(1, Ordering::AcqRel);
        }
        self.current.store(after.clone());
        if before.is_some() && after.is_none() {
            attention.fetch_sub(1, Ordering::AcqRel);
        }
        Ok(result)
    }
}

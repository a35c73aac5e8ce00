//! What is registered: collected at start-up from the link and by hand, checked as a whole, then immutable.

mod error;
mod linked;
mod registrar;
mod resources;
mod runner;
mod table;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::error::{BuildError, BuildProblem};
pub use self::linked::{
    BreakerDecl, ConditionDecl, HandlerDecl, LinkedAsyncOptions, LinkedDeclaration, LinkedHandler,
    LinkedPoint, OnUnavailable, Predicate,
};
pub use self::registrar::Registrar;
pub(crate) use self::registrar::{Renames, Wanted};
#[doc(hidden)]
pub use self::resources::FieldDefault;
pub use self::resources::{Injectable, Injector, Res, Resources};
pub(crate) use self::runner::{JobRunner, RunError};
pub(crate) use self::table::{InlineCall, InlineEntry, PointTable, QueuedEntry};
use crate::handler::HandlerInfo;
use crate::job::HandlerKey;
use crate::point::{ExtensionPoint, Location};
use crate::queue::KnownHandler;

/// Everything that is registered in an instance.
#[derive(Debug)]
pub struct Registry {
    /// By slot of the point's type.
    tables: Box<[Option<Box<dyn table::AnyTable>>]>,
    points: Vec<RegisteredPoint>,
    handlers: Vec<Arc<HandlerInfo>>,
    runners: HashMap<HandlerKey, Arc<dyn JobRunner>>,
    known: Arc<[KnownHandler]>,
}

/// A point as registered in an instance.
#[derive(Debug, Clone, serde::Serialize)]
#[non_exhaustive]
pub struct RegisteredPoint {
    /// Its wire name in this instance.
    pub name: String,
    /// The type: `shop::orders::OrderPlaced`.
    pub path: String,
    /// The version of its payload.
    pub version: u32,
    /// Whether it may have async handlers.
    pub queued: bool,
    /// Whether its inline handlers can veto.
    pub interruptible: bool,
    /// Where it is defined.
    pub location: Location,
    /// How many handlers it has.
    pub handlers: usize,
}

impl Registry {
    #[inline]
    pub(crate) fn table<P: ExtensionPoint>(&self) -> Option<&PointTable<P>> {
        let table = self.tables.get(P::__slot().index())?.as_ref()?;
        table.as_any().downcast_ref::<PointTable<P>>()
    }

    /// The points that have handlers here or are linked into this binary, by name.
    #[must_use]
    pub fn points(&self) -> &[RegisteredPoint] {
        &self.points
    }

    /// All handlers, by point, priority and name.
    #[must_use]
    pub fn handlers(&self) -> &[Arc<HandlerInfo>] {
        &self.handlers
    }

    /// The handlers of a point, in the order in which they run.
    #[must_use]
    pub fn handlers_of<P: ExtensionPoint>(&self) -> Vec<Arc<HandlerInfo>> {
        self.table::<P>().map(PointTable::infos).unwrap_or_default()
    }

    /// How many handlers a point has.
    #[must_use]
    pub fn count_handlers<P: ExtensionPoint>(&self) -> usize {
        self.table::<P>().map_or(0, PointTable::len)
    }

    /// Whether a point has any handler.
    #[must_use]
    pub fn has_handlers<P: ExtensionPoint>(&self) -> bool {
        self.count_handlers::<P>() > 0
    }

    pub(crate) fn runner(&self, key: &HandlerKey) -> Option<&Arc<dyn JobRunner>> {
        self.runners.get(key)
    }

    /// What a worker of this instance can run, aliases included.
    pub(crate) fn known(&self) -> Arc<[KnownHandler]> {
        Arc::clone(&self.known)
    }
}

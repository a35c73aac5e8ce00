//! What is registered: collected at start-up from the link and by hand, checked as a whole, then immutable.

mod attached;
mod error;
mod linked;
mod point_builder;
mod premises;
mod registrar;
mod registrations;
mod resources;
mod runner;
mod table;
mod wanted;
mod wildcard;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::attached::{Attached, Check};
pub use self::error::{BuildError, BuildProblem};
pub use self::linked::{
    BreakerDecl, ConditionDecl, HandlerDecl, LinkedAsyncOptions, LinkedDeclaration, LinkedHandler,
    LinkedPoint, Predicate,
};
pub(crate) use self::premises::{Premises, Renames};
pub use self::registrar::Registrar;
pub use self::registrations::Registrations;
#[doc(hidden)]
pub use self::resources::FieldDefault;
pub use self::resources::{Injectable, Injector, Res, Resources};
pub(crate) use self::runner::{JobRunner, decode};
use self::table::AnyTable;
pub(crate) use self::table::{InlineCall, InlineEntry, PointTable, QueuedEntry};
pub(crate) use self::wanted::Wanted;
pub(crate) use self::wildcard::Wildcard;
use crate::handler::{HandlerId, HandlerInfo};
use crate::job::HandlerKey;
use crate::point::{Deprecation, ExtensionPoint, Location, PointInfo};
use crate::queue::KnownHandler;

/// Everything that is registered in an instance.
#[derive(Debug, Default)]
pub struct Registry {
    /// By slot of the point's type.
    tables: Box<[Option<Arc<dyn AnyTable>>]>,
    wildcards: Box<[Wildcard]>,
    /// The points that are linked or have a table, by address.
    infos: BTreeMap<usize, &'static PointInfo>,
    points: Vec<RegisteredPoint>,
    handlers: Vec<Arc<HandlerInfo>>,
    runners: HashMap<HandlerKey, Arc<JobRunner>>,
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
    /// Set where its type is marked `#[deprecated]`.
    pub deprecated: Option<Deprecation>,
    /// The wire name as declared, which is that of a boxed point wherever it is renamed.
    #[serde(skip)]
    #[cfg_attr(not(feature = "console"), allow(dead_code))]
    pub(crate) declared: &'static str,
}

impl Registry {
    fn assemble(
        tables: Box<[Option<Arc<dyn AnyTable>>]>,
        wildcards: Box<[Wildcard]>,
        infos: BTreeMap<usize, &'static PointInfo>,
        renames: &Renames,
    ) -> Self {
        let mut handlers: Vec<_> = tables.iter().flatten().flat_map(|table| table.infos()).collect();
        handlers.sort_by(|a, b| (&a.point, a.place()).cmp(&(&b.point, b.place())));
        let of_runner = |runner: Arc<JobRunner>| {
            let keys: Vec<_> = runner.info().keys().collect();
            keys.into_iter().map(move |key| (key, Arc::clone(&runner)))
        };
        let runners: HashMap<_, _> =
            tables.iter().flatten().flat_map(|table| table.runners()).flat_map(of_runner).collect();
        let mut known: Vec<_> = runners
            .iter()
            .map(|(key, runner)| KnownHandler { handler: key.clone(), max_version: runner.max_version() })
            .collect();
        known.sort();
        let points = registered_points(&infos, &handlers, renames);
        Self { tables, wildcards, infos, points, handlers, runners, known: known.into() }
    }

    /// The registry without some handlers; none if it has none of them.
    pub(crate) fn without(
        &self,
        gone: &dyn Fn(HandlerId, &PointInfo) -> bool,
        renames: &Renames,
    ) -> Option<Self> {
        let mut changed = false;
        let tables = self.tables.iter().map(|table| {
            let table = table.as_ref()?;
            let without = table.without(&|id| gone(id, table.point()));
            changed |= without.is_some();
            without.or_else(|| Some(Arc::clone(table)))
        });
        let tables = tables.collect();
        let is_left = |wildcard: &&Wildcard| self.infos.values().any(|point| !gone(wildcard.id(), point));
        let wildcards: Box<[_]> = self.wildcards.iter().filter(is_left).cloned().collect();
        changed |= wildcards.len() < self.wildcards.len();
        changed.then(|| Self::assemble(tables, wildcards, self.infos.clone(), renames))
    }

    /// The handlers that are here and not there.
    pub(crate) fn new_since(&self, before: &Self) -> Vec<HandlerId> {
        let old: HashSet<_> = before.ids().collect();
        self.ids().filter(|id| !old.contains(id)).collect()
    }

    /// Whether the handlers of both are the same.
    pub(crate) fn has_handlers_of(&self, other: &Self) -> bool {
        self.handlers.len() == other.handlers.len()
            && self.wildcards.len() == other.wildcards.len()
            && self.handlers.iter().zip(&other.handlers).all(|(a, b)| a.id == b.id)
    }

    /// Whether nothing is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handlers.is_empty() && self.wildcards.is_empty()
    }

    fn ids(&self) -> impl Iterator<Item = HandlerId> {
        let wildcards = self.wildcards.iter().map(Wildcard::id);
        self.handlers.iter().map(|info| info.id).chain(wildcards)
    }

    /// All tags that handlers have.
    #[must_use]
    pub fn tags(&self) -> BTreeSet<&str> {
        self.handlers.iter().flat_map(|info| &info.tags).map(String::as_str).collect()
    }

    /// All groups that handlers are in.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<&str> {
        self.handlers.iter().filter_map(|info| info.group.as_deref()).collect()
    }

    /// The handlers with a tag, by point, priority and name.
    pub fn tagged<'a>(&'a self, tag: &str) -> impl Iterator<Item = &'a Arc<HandlerInfo>> {
        self.handlers.iter().filter(move |info| info.tags.iter().any(|one| one == tag))
    }

    /// The table of a point, if it has any handler.
    #[inline]
    pub(crate) fn table<P: ExtensionPoint>(&self) -> Option<&PointTable<P>> {
        self.any_table::<P>().filter(|table| table.len() > 0)
    }

    /// The table of a point. It is empty where the handlers have gone, or where no wildcard matches the point.
    #[inline]
    pub(crate) fn any_table<P: ExtensionPoint>(&self) -> Option<&PointTable<P>> {
        let table: &dyn Any = &**self.tables.get(P::__slot().index())?.as_ref()?;
        table.downcast_ref()
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
        self.table::<P>().map(AnyTable::infos).unwrap_or_default()
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

    /// The problem that its async handlers are without a queue.
    pub(crate) fn needs_queue(&self) -> Option<BuildProblem> {
        let queued = self.handlers.iter().filter(|info| info.kind.is_queued());
        let handlers: Vec<_> = queued.map(|info| format!("`{}`", info.key())).collect();
        (!handlers.is_empty()).then_some(BuildProblem::NoQueue { handlers })
    }

    pub(crate) fn runner(&self, key: &HandlerKey) -> Option<&Arc<JobRunner>> {
        self.runners.get(key)
    }

    /// How long until the breaker of a handler lets a job through; none if it would now.
    pub(crate) fn retry_in(&self, key: &HandlerKey) -> Option<Duration> {
        self.runner(key)?.breaker()?.retry_in()
    }

    /// What a worker of this instance can run, aliases included.
    pub(crate) fn known(&self) -> Arc<[KnownHandler]> {
        Arc::clone(&self.known)
    }
}

fn registered_points(
    infos: &BTreeMap<usize, &'static PointInfo>,
    handlers: &[Arc<HandlerInfo>],
    renames: &Renames,
) -> Vec<RegisteredPoint> {
    let point = |info: &&'static PointInfo| {
        let name = renames.point(info).into_owned();
        RegisteredPoint {
            handlers: handlers.iter().filter(|handler| handler.point == name).count(),
            name,
            path: info.path(),
            version: info.version,
            queued: info.queued,
            interruptible: info.interruptible,
            location: info.location,
            deprecated: info.deprecated,
            declared: info.name,
        }
    };
    let mut points: Vec<_> = infos.values().map(point).collect();
    points.sort_by(|a, b| a.name.cmp(&b.name));
    points
}

//! Collects registrations, checks them as a whole, and makes the registry.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::attached::Attached;
use super::point_builder::{AnyBuilder, PointBuilder};
use super::premises::{Premises, wrong_name};
use super::runner::{AsyncWork, BlockingWork, Work};
use super::wildcard::Wildcard;
use super::{
    BuildProblem, HandlerDecl, Injector, InlineCall, InlineEntry, JobRunner, LinkedAsyncOptions,
    LinkedDeclaration, LinkedHandler, LinkedPoint, Predicate, QueuedEntry, Registry, Wanted,
};
use crate::handler::{
    AnyHandler, AsyncHandler, AsyncOptions, AwaitedHandler, BlockingHandler, BreakerChoice, Callbacks,
    Handler, HandlerId, HandlerInfo, HandlerKind, JobOptions, Stage,
};
use crate::point::{ExtensionPoint, PointInfo, QueuedType};

type AnyArc = Arc<dyn Any + Send + Sync>;

/// Collects everything that is to be registered in one instance.
#[doc(hidden)]
pub struct Registrar<'a> {
    premises: &'a Premises,
    /// What is registered already.
    base: Option<&'a Registry>,
    problems: Vec<BuildProblem>,
    points: BTreeMap<usize, Box<dyn AnyBuilder>>,
    wildcards: Vec<Wildcard>,
    infos: BTreeMap<usize, &'static PointInfo>,
    paths: BTreeSet<String>,
    made: HashMap<TypeId, AnyArc>,
}

impl<'a> Registrar<'a> {
    /// The registrations of a new instance.
    pub(crate) fn new(premises: &'a Premises) -> Self {
        Self {
            premises,
            base: None,
            problems: Vec::new(),
            points: BTreeMap::new(),
            wildcards: Vec::new(),
            infos: BTreeMap::new(),
            paths: BTreeSet::new(),
            made: HashMap::new(),
        }
    }

    /// Further registrations, beside those of `base`.
    pub(crate) fn onto(premises: &'a Premises, base: &'a Registry) -> Self {
        let wildcards = base.wildcards.to_vec();
        Self { base: Some(base), wildcards, infos: base.infos.clone(), ..Self::new(premises) }
    }

    /// Takes in everything that is linked into this binary.
    pub(crate) fn discover(&mut self) {
        for linked in inventory::iter::<LinkedPoint> {
            self.note_point(linked.info);
        }
        for linked in inventory::iter::<LinkedHandler> {
            (linked.register)(self);
        }
        for linked in inventory::iter::<LinkedDeclaration> {
            (linked.register)(self);
        }
    }

    /// Makes sure that a point is known, even if it has no handlers.
    pub fn point<P: ExtensionPoint>(&mut self) {
        self.builder::<P>();
    }

    fn note_point(&mut self, info: &'static PointInfo) {
        self.infos.insert(std::ptr::from_ref(info).addr(), info);
    }

    /// The options that `#[async_handler]` gave a type that is registered by hand.
    pub(crate) fn linked_options<H: 'static>() -> AsyncOptions {
        let linked = inventory::iter::<LinkedAsyncOptions>
            .into_iter()
            .find(|linked| (linked.type_id)() == TypeId::of::<H>());
        linked.map(|linked| (linked.options)()).unwrap_or_default()
    }

    /// One for all the points that a type is attached to. Little of it is generic: a binary holds that once for each type.
    fn make<H: Send + Sync + 'static>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<H>,
    ) -> Option<Arc<H>> {
        let made = self.made(decl, TypeId::of::<H>(), &|injector| Some(Arc::new(make(injector)?)))?;
        made.downcast::<H>().ok()
    }

    fn made(
        &mut self,
        decl: &'static HandlerDecl,
        type_id: TypeId,
        make: &dyn Fn(&mut Injector<'_>) -> Option<AnyArc>,
    ) -> Option<AnyArc> {
        if let Some(made) = self.made.get(&type_id) {
            return Some(Arc::clone(made));
        }
        let mut injector =
            Injector { resources: &self.premises.resources, decl, problems: &mut self.problems };
        let handler = make(&mut injector)?;
        self.made.insert(type_id, Arc::clone(&handler));
        Some(handler)
    }

    /// Registers a plain inline handler.
    pub fn inline<P: ExtensionPoint, H: Handler<P>>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<H>,
        predicates: &[Predicate<P>],
    ) {
        if let Some(handler) = self.make(decl, make) {
            let wanted = Wanted::from_decl::<P>(decl, Some(TypeId::of::<H>()), predicates);
            self.add_inline::<P>(&wanted, InlineCall::Plain(handler));
        }
    }

    /// Registers an awaited inline handler.
    pub fn awaited<P: ExtensionPoint, H: AwaitedHandler<P>>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<H>,
        predicates: &[Predicate<P>],
    ) {
        if let Some(handler) = self.make(decl, make) {
            let wanted = Wanted::from_decl::<P>(decl, Some(TypeId::of::<H>()), predicates);
            self.add_inline::<P>(&wanted, InlineCall::awaited(handler));
        }
    }

    /// Registers a stage of the point's pipeline.
    pub fn stage<P: ExtensionPoint, S: Stage<P>>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<S>,
        predicates: &[Predicate<P>],
    ) {
        if let Some(stage) = self.make(decl, make) {
            let wanted = Wanted::from_decl::<P>(decl, Some(TypeId::of::<S>()), predicates);
            self.add_inline::<P>(&wanted, InlineCall::stage(stage));
        }
    }

    /// Registers an async handler.
    pub fn queued<P: QueuedType, H: AsyncHandler<P>>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<H>,
        options: AsyncOptions,
        predicates: &[Predicate<P>],
    ) {
        if let Some(handler) = self.make(decl, make) {
            self.add_queued::<P, H>(
                Wanted::from_decl::<P>(decl, Some(TypeId::of::<H>()), predicates),
                handler,
                options,
            );
        }
    }

    /// Registers a blocking async handler.
    pub fn blocking<P: QueuedType, H: BlockingHandler<P>>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<H>,
        options: AsyncOptions,
        predicates: &[Predicate<P>],
    ) {
        if let Some(handler) = self.make(decl, make) {
            let wanted = Wanted::from_decl::<P>(decl, Some(TypeId::of::<H>()), predicates);
            self.add_job::<P>(wanted, HandlerKind::Blocking, options, Some(Box::new(BlockingWork(handler))));
        }
    }

    /// Registers a handler whose code is in another binary.
    pub fn declare<P: QueuedType>(&mut self, decl: &'static HandlerDecl, options: AsyncOptions) {
        let wanted = Wanted::from_decl::<P>(decl, None, &[]);
        self.add_job::<P>(wanted, HandlerKind::Declared, options, None);
    }

    pub(crate) fn add_inline<P: ExtensionPoint>(&mut self, wanted: &Wanted, call: InlineCall<P>) {
        let kind = match call {
            InlineCall::Plain(_) => HandlerKind::Inline,
            InlineCall::Awaited(_) => HandlerKind::Awaited,
            InlineCall::Wildcard(_) => HandlerKind::Wildcard,
            InlineCall::Stage(_) => HandlerKind::Stage,
        };
        let at = self.attach::<P>(wanted, kind, None);
        self.builder::<P>().inline.push(InlineEntry { call, at });
    }

    pub(crate) fn add_queued<P: QueuedType, H: AsyncHandler<P>>(
        &mut self,
        wanted: Wanted,
        handler: Arc<H>,
        options: AsyncOptions,
    ) {
        self.add_job::<P>(wanted, HandlerKind::Async, options, Some(Box::new(AsyncWork(handler))));
    }

    /// Registers a handler of every point that matches a pattern.
    pub(crate) fn add_wildcard(&mut self, wanted: Wanted, pattern: &str, handler: Arc<dyn AnyHandler>) {
        self.paths.insert(wanted.path.clone());
        if pattern.is_empty() {
            let message = "the pattern of a wildcard handler is empty; write `*` for every point".to_owned();
            let (handler, location) = (wanted.path, wanted.location);
            return self.problems.push(BuildProblem::Option { handler, location, message });
        }
        let info = self.info(&wanted, "", HandlerKind::Wildcard, None);
        self.wildcards.push(Wildcard::new(pattern, handler, info, wanted.conditions));
    }

    fn add_job<P: QueuedType>(
        &mut self,
        mut wanted: Wanted,
        kind: HandlerKind,
        options: AsyncOptions,
        work: Option<Box<dyn Work<P>>>,
    ) {
        let options = options.or(&self.premises.defaults);
        let (path, location) = (wanted.path.clone(), wanted.location);
        let (resolved, callbacks) = match resolved::<P>(&options) {
            Ok(both) => both,
            Err(messages) => {
                let option = |message| BuildProblem::Option { handler: path.clone(), location, message };
                self.problems.extend(messages.into_iter().map(option));
                return;
            }
        };
        if resolved.unique.is_some() && self.premises.capabilities.is_some_and(|can| !can.unique) {
            let message =
                "`unique` needs a queue that can keep unique locks, which this one cannot".to_owned();
            self.problems.push(BuildProblem::Unsupported { handler: path, location, message });
        }
        for tag in &resolved.tags {
            if !wanted.tags.contains(tag) {
                wanted.tags.push(tag.clone());
            }
        }
        let at = self.attach::<P>(&wanted, kind, Some(resolved.clone()));
        let info = Arc::clone(&at.info);
        let (breaker, key) = (at.breaker.clone(), info.key());
        let runner =
            work.map(|work| Arc::new(JobRunner::new::<P>(info, resolved.clone(), breaker, work, callbacks)));
        let builder = self.builder::<P>();
        builder.encode = Some(P::__to_vec);
        builder.queued.push(QueuedEntry { at, key, options: Arc::new(resolved), runner });
    }

    fn builder<P: ExtensionPoint>(&mut self) -> &mut PointBuilder<P> {
        self.note_point(P::info());
        let (premises, base) = (self.premises, self.base);
        let entry = self.points.entry(P::__slot().index()).or_insert_with(|| {
            let table = base.and_then(|base| Some((base.any_table::<P>()?, base.wildcards.len())));
            Box::new(match table {
                Some((table, wildcards_seen)) => PointBuilder::onto(table, wildcards_seen),
                None => PointBuilder::new(&premises.renames),
            })
        });
        entry.as_any_mut().downcast_mut().expect("a slot belongs to one type")
    }

    fn attach<P: ExtensionPoint>(
        &mut self,
        wanted: &Wanted,
        kind: HandlerKind,
        options: Option<JobOptions>,
    ) -> Arc<Attached<P>> {
        let builder = self.builder::<P>();
        let (point, state) = (Arc::clone(&builder.name), Arc::clone(&builder.state));
        self.paths.insert(wanted.path.clone());
        let info = self.info(wanted, &point, kind, options);
        Arc::new(Attached::new(info, &wanted.conditions, &state, self.premises, &mut self.problems))
    }

    fn info(
        &mut self,
        wanted: &Wanted,
        point: &str,
        kind: HandlerKind,
        options: Option<JobOptions>,
    ) -> HandlerInfo {
        let renamed = self.premises.renames.handler(&wanted.path);
        let name = renamed.map_or_else(|| wanted.name.clone(), Cow::Owned);
        for name in wanted.aliases.iter().map(String::as_str).chain([&*name]) {
            if let Some(wrong) = wrong_name(name) {
                let message = format!("the name {name:?} cannot be: {wrong}");
                self.problems.push(BuildProblem::Option {
                    handler: wanted.path.clone(),
                    location: wanted.location,
                    message,
                });
            }
        }
        let breaker = wanted.breaker.resolve(self.premises.breaker);
        let own = breaker.filter(|_| wanted.breaker != BreakerChoice::Default);
        for message in own.and_then(|options| options.check().err()).into_iter().flatten() {
            let (handler, location) = (wanted.path.clone(), wanted.location);
            self.problems.push(BuildProblem::Option { handler, location, message });
        }
        HandlerInfo {
            name,
            aliases: wanted.aliases.clone(),
            point: point.to_owned().into(),
            kind,
            priority: wanted.priority,
            tags: wanted.tags.clone(),
            group: wanted.group.clone(),
            options,
            path: wanted.path.clone(),
            location: wanted.location,
            deprecated: wanted.deprecated,
            conditions: wanted.conditions.iter().map(ToString::to_string).collect(),
            on_unavailable: wanted.on_unavailable,
            breaker,
            type_id: wanted.type_id,
            id: HandlerId::fresh(),
        }
    }

    /// Checks everything as a whole.
    pub(crate) fn finish(mut self) -> Result<Registry, Vec<BuildProblem>> {
        if !self.wildcards.is_empty() {
            for linked in inventory::iter::<LinkedPoint> {
                (linked.register)(&mut self);
            }
        }
        let mut tables = self.base.map(|base| base.tables.to_vec()).unwrap_or_default();
        for (slot, builder) in std::mem::take(&mut self.points) {
            if tables.len() <= slot {
                tables.resize_with(slot + 1, || None);
            }
            tables[slot] = Some(builder.finish(&self.wildcards, self.premises, &mut self.problems));
        }
        self.check_points();
        if self.base.is_none() {
            let points = self.infos.values().map(|info| info.path());
            let registered = self.paths.iter().cloned().chain(points).collect();
            self.premises.renames.check(&registered, &mut self.problems);
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        Ok(Registry::assemble(tables.into(), self.wildcards.into(), self.infos, &self.premises.renames))
    }

    fn check_points(&mut self) {
        let mut by_name: BTreeMap<Cow<'_, str>, &'static PointInfo> = BTreeMap::new();
        let mut infos: Vec<_> = self.infos.values().copied().collect();
        infos.sort_by_key(|info| (info.path(), info.location));
        for info in infos {
            let name = self.premises.renames.point(info);
            if let Some(other) = by_name.insert(name.clone(), info) {
                self.problems.push(BuildProblem::DuplicatePoint {
                    name: name.into_owned(),
                    first: (other.path(), other.location),
                    second: (info.path(), info.location),
                });
            }
        }
    }
}

impl std::fmt::Debug for Registrar<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registrar").field("problems", &self.problems).finish_non_exhaustive()
    }
}

fn resolved<P: QueuedType>(options: &AsyncOptions) -> Result<(JobOptions, Callbacks<P>), Vec<String>> {
    let callbacks = options.callbacks_for::<P>().map_err(|other| {
        vec![format!(
            "a callback is for the point `{other}`, not for `{}`; write `.on_failure::<{}, _>(…)`",
            P::info().name,
            P::info().type_name
        )]
    });
    match (options.resolve(P::info()), callbacks) {
        (Ok(resolved), Ok(callbacks)) => Ok((resolved, callbacks)),
        (Err(mut wrong), Err(more)) => {
            wrong.extend(more);
            Err(wrong)
        }
        (Err(wrong), _) | (_, Err(wrong)) => Err(wrong),
    }
}

//! Collects registrations, checks them as a whole, and makes the registry.

use std::any::{Any, TypeId, type_name};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::runner::{AsyncRunner, BlockingRunner, Common};
use super::table::{AnyTable, AwaitedShim, Encode};
use super::{
    BuildProblem, HandlerDecl, Injector, InlineCall, InlineEntry, JobRunner, LinkedAsyncOptions,
    LinkedDeclaration, LinkedHandler, LinkedPoint, PointTable, Predicate, QueuedEntry, RegisteredPoint,
    Registry, Resources,
};
use crate::handler::{
    AsyncHandler, AsyncOptions, AwaitedHandler, BlockingHandler, Callbacks, DEFAULT_PRIORITY, Handler,
    HandlerInfo, HandlerKind, HandlerOptions, JobOptions,
};
use crate::job::HandlerKey;
use crate::point::{Deprecation, ExtensionPoint, Location, PointInfo, QueuedType};
use crate::queue::{Capabilities, KnownHandler};

/// New names for points and handlers of other people's crates, by path.
#[derive(Debug, Default)]
pub(crate) struct Renames {
    pub(crate) points: BTreeMap<String, String>,
    pub(crate) handlers: BTreeMap<String, String>,
    used: RefCell<BTreeSet<String>>,
}

impl Renames {
    fn point(&self, info: &PointInfo) -> Cow<'static, str> {
        self.look_up(&self.points, &info.path()).map_or(Cow::Borrowed(info.name), Cow::Owned)
    }

    fn handler(&self, path: &str) -> Option<String> {
        self.look_up(&self.handlers, path)
    }

    fn look_up(&self, names: &BTreeMap<String, String>, path: &str) -> Option<String> {
        let name = names.get(path)?;
        self.used.borrow_mut().insert(path.to_owned());
        Some(name.clone())
    }

    fn check(&self, problems: &mut Vec<BuildProblem>) {
        let used = self.used.borrow();
        for (what, names) in [("rename_point", &self.points), ("rename_handler", &self.handlers)] {
            for (path, name) in names {
                if !used.contains(path) {
                    let message = format!(
                        "`.{what}(\"{path}\", …)` names nothing that is registered; write its full path as the listing shows it"
                    );
                    problems.push(BuildProblem::Rename { message });
                }
                if let Some(wrong) = wrong_name(name) {
                    problems.push(BuildProblem::Rename {
                        message: format!("`.{what}(\"{path}\", {name:?})`: {wrong}"),
                    });
                }
            }
        }
    }
}

/// Why a text cannot be the name of a point or handler.
fn wrong_name(name: &str) -> Option<&'static str> {
    let bad = name.is_empty()
        || name.len() > 200
        || name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
    bad.then_some("a name has 1 to 200 bytes, without spaces and `/`")
}

/// What a registration says of a handler, however it was made.
pub(crate) struct Wanted {
    name: Cow<'static, str>,
    aliases: Vec<String>,
    priority: i32,
    tags: Vec<String>,
    group: Option<String>,
    deprecated: Option<Deprecation>,
    path: String,
    location: Location,
    type_id: Option<TypeId>,
}

impl Wanted {
    fn from_decl<H: 'static>(decl: &'static HandlerDecl) -> Self {
        Self {
            name: Cow::Borrowed(decl.name),
            aliases: decl.aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            priority: decl.priority,
            tags: decl.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            group: decl.group.map(str::to_owned),
            deprecated: decl.deprecated,
            path: decl.path(),
            location: decl.location,
            type_id: Some(TypeId::of::<H>()),
        }
    }

    /// A registration by hand. A closure must be given a name; a type has its own.
    pub(crate) fn by_hand<H: 'static>(options: HandlerOptions, location: Location) -> Self {
        let path = type_name::<H>().split('<').next().unwrap_or_default().to_owned();
        let own = path.rsplit("::").next().unwrap_or(&path).to_owned();
        Self {
            name: options.name.map_or(Cow::Owned(own), Cow::Owned),
            aliases: options.aliases,
            priority: options.priority.unwrap_or(DEFAULT_PRIORITY),
            tags: options.tags,
            group: options.group,
            deprecated: None,
            path,
            location,
            type_id: Some(TypeId::of::<H>()),
        }
    }
}

/// Collects everything that is to be registered in one instance.
#[doc(hidden)]
pub struct Registrar<'a> {
    resources: &'a Resources,
    defaults: &'a AsyncOptions,
    renames: &'a Renames,
    capabilities: Option<Capabilities>,
    problems: Vec<BuildProblem>,
    points: BTreeMap<usize, Box<dyn AnyBuilder>>,
    infos: BTreeMap<usize, &'static PointInfo>,
    made: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl<'a> Registrar<'a> {
    pub(crate) fn new(
        resources: &'a Resources,
        defaults: &'a AsyncOptions,
        renames: &'a Renames,
        capabilities: Option<Capabilities>,
    ) -> Self {
        Self {
            resources,
            defaults,
            renames,
            capabilities,
            problems: Vec::new(),
            points: BTreeMap::new(),
            infos: BTreeMap::new(),
            made: HashMap::new(),
        }
    }

    /// Takes in everything that is linked into this binary.
    pub(crate) fn discover(&mut self) {
        for linked in inventory::iter::<LinkedPoint> {
            self.infos.insert(std::ptr::from_ref(linked.info).addr(), linked.info);
        }
        for linked in inventory::iter::<LinkedHandler> {
            (linked.register)(self);
        }
        for linked in inventory::iter::<LinkedDeclaration> {
            (linked.register)(self);
        }
    }

    /// The options that `#[async_handler]` gave a type that is registered by hand.
    pub(crate) fn linked_options<H: 'static>() -> AsyncOptions {
        let linked = inventory::iter::<LinkedAsyncOptions>
            .into_iter()
            .find(|linked| (linked.type_id)() == TypeId::of::<H>());
        linked.map(|linked| (linked.options)()).unwrap_or_default()
    }

    fn make<H: Send + Sync + 'static>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<H>,
    ) -> Option<Arc<H>> {
        if let Some(made) = self.made.get(&TypeId::of::<H>()) {
            return Arc::clone(made).downcast::<H>().ok();
        }
        let mut injector = Injector { resources: self.resources, decl, problems: &mut self.problems };
        let handler = Arc::new(make(&mut injector)?);
        self.made.insert(TypeId::of::<H>(), Arc::clone(&handler) as _);
        Some(handler)
    }

    /// Gives a point its table, even if it has no handlers.
    pub fn point<P: ExtensionPoint>(&mut self) {
        self.builder::<P>();
    }

    /// Registers a plain inline handler.
    pub fn inline<P: ExtensionPoint, H: Handler<P>>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<H>,
        _predicates: &[Predicate<P>],
    ) {
        if let Some(handler) = self.make(decl, make) {
            self.add_inline::<P>(Wanted::from_decl::<H>(decl), InlineCall::Plain(handler));
        }
    }

    /// Registers an awaited inline handler.
    pub fn awaited<P: ExtensionPoint, H: AwaitedHandler<P>>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<H>,
        _predicates: &[Predicate<P>],
    ) {
        if let Some(handler) = self.make(decl, make) {
            self.add_awaited::<P, H>(Wanted::from_decl::<H>(decl), handler);
        }
    }

    /// Registers an async handler.
    pub fn queued<P: QueuedType, H: AsyncHandler<P>>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<H>,
        options: AsyncOptions,
        _predicates: &[Predicate<P>],
    ) {
        if let Some(handler) = self.make(decl, make) {
            self.add_queued::<P, H>(Wanted::from_decl::<H>(decl), handler, options);
        }
    }

    /// Registers a blocking async handler.
    pub fn blocking<P: QueuedType, H: BlockingHandler<P>>(
        &mut self,
        decl: &'static HandlerDecl,
        make: fn(&mut Injector<'_>) -> Option<H>,
        options: AsyncOptions,
        _predicates: &[Predicate<P>],
    ) {
        if let Some(handler) = self.make(decl, make) {
            let wanted = Wanted::from_decl::<H>(decl);
            self.add_job::<P>(wanted, HandlerKind::Blocking, options, |common| {
                Some(Arc::new(BlockingRunner { handler, common }))
            });
        }
    }

    /// Registers a handler whose code is in another binary.
    pub fn declare<P: QueuedType>(&mut self, decl: &'static HandlerDecl, options: AsyncOptions) {
        let wanted = Wanted { type_id: None, ..Wanted::from_decl::<()>(decl) };
        self.add_job::<P>(wanted, HandlerKind::Declared, options, |_| None);
    }

    pub(crate) fn add_inline<P: ExtensionPoint>(&mut self, wanted: Wanted, call: InlineCall<P>) {
        let kind = match call {
            InlineCall::Plain(_) => HandlerKind::Inline,
            InlineCall::Awaited(_) => HandlerKind::Awaited,
        };
        let builder = self.builder::<P>();
        let point = Arc::clone(&builder.name);
        let info = self.info(wanted, &point, kind, None);
        self.builder::<P>().inline.push(InlineEntry { call, info });
    }

    pub(crate) fn add_awaited<P: ExtensionPoint, H: AwaitedHandler<P>>(
        &mut self,
        wanted: Wanted,
        handler: Arc<H>,
    ) {
        self.add_inline::<P>(wanted, InlineCall::Awaited(Arc::new(AwaitedShim(handler))));
    }

    pub(crate) fn add_queued<P: QueuedType, H: AsyncHandler<P>>(
        &mut self,
        wanted: Wanted,
        handler: Arc<H>,
        options: AsyncOptions,
    ) {
        self.add_job::<P>(wanted, HandlerKind::Async, options, |common| {
            Some(Arc::new(AsyncRunner { handler, common }))
        });
    }

    fn add_job<P: QueuedType>(
        &mut self,
        mut wanted: Wanted,
        kind: HandlerKind,
        options: AsyncOptions,
        runner: impl FnOnce(Common<P>) -> Option<Arc<dyn JobRunner>>,
    ) {
        let options = options.or(self.defaults);
        let (path, location) = (wanted.path.clone(), wanted.location);
        let (resolved, callbacks) = match resolved::<P>(&options) {
            Ok(both) => both,
            Err(messages) => {
                let option = |message| BuildProblem::Option { handler: path.clone(), location, message };
                self.problems.extend(messages.into_iter().map(option));
                return;
            }
        };
        if resolved.unique.is_some() && self.capabilities.is_some_and(|can| !can.unique) {
            let message =
                "`unique` needs a queue that can keep unique locks, which this one cannot".to_owned();
            self.problems.push(BuildProblem::Unsupported { handler: path, location, message });
        }
        for tag in &resolved.tags {
            if !wanted.tags.contains(tag) {
                wanted.tags.push(tag.clone());
            }
        }
        let point = Arc::clone(&self.builder::<P>().name);
        let info = self.info(wanted, &point, kind, Some(resolved.clone()));
        let runner = runner(Common { info: Arc::clone(&info), options: resolved.clone(), callbacks });
        let builder = self.builder::<P>();
        builder.encode = Some(P::__to_vec);
        builder.runners.extend(runner);
        builder.queued.push(QueuedEntry { info, options: resolved });
    }

    fn builder<P: ExtensionPoint>(&mut self) -> &mut PointBuilder<P> {
        let (renames, info) = (self.renames, P::info());
        self.infos.insert(std::ptr::from_ref(info).addr(), info);
        let entry = self.points.entry(P::__slot().index()).or_insert_with(|| {
            Box::new(PointBuilder::<P> {
                name: renames.point(info).into(),
                inline: Vec::new(),
                queued: Vec::new(),
                runners: Vec::new(),
                encode: None,
            })
        });
        entry.as_any_mut().downcast_mut().expect("a slot belongs to one type")
    }

    fn info(
        &mut self,
        wanted: Wanted,
        point: &str,
        kind: HandlerKind,
        options: Option<JobOptions>,
    ) -> Arc<HandlerInfo> {
        let name = self.renames.handler(&wanted.path).map_or(wanted.name, Cow::Owned);
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
        Arc::new(HandlerInfo {
            name,
            aliases: wanted.aliases,
            point: point.to_owned().into(),
            kind,
            priority: wanted.priority,
            tags: wanted.tags,
            group: wanted.group,
            options,
            path: wanted.path,
            location: wanted.location,
            deprecated: wanted.deprecated,
            type_id: wanted.type_id,
        })
    }

    /// Checks everything as a whole.
    pub(crate) fn finish(mut self) -> Result<Registry, Vec<BuildProblem>> {
        let mut registry = Registry {
            tables: Box::default(),
            points: Vec::new(),
            handlers: Vec::new(),
            runners: HashMap::new(),
            known: Arc::new([]),
        };
        let mut tables: Vec<Option<Box<dyn AnyTable>>> = Vec::new();
        let mut counts = HashMap::new();
        for (slot, builder) in std::mem::take(&mut self.points) {
            let finished = builder.finish(&mut self.problems);
            if tables.len() <= slot {
                tables.resize_with(slot + 1, || None);
            }
            tables[slot] = Some(finished.table);
            counts.insert(finished.point, finished.handlers.len());
            registry.handlers.extend(finished.handlers);
            for runner in finished.runners {
                for key in keys(runner.info()) {
                    registry.runners.insert(key, Arc::clone(&runner));
                }
            }
        }
        registry.tables = tables.into();
        registry
            .handlers
            .sort_by(|a, b| (&a.point, a.priority, &a.name).cmp(&(&b.point, b.priority, &b.name)));
        registry.points = self.registered_points(&counts);
        let mut known: Vec<_> = registry
            .runners
            .iter()
            .map(|(key, runner)| KnownHandler { handler: key.clone(), max_version: runner.max_version() })
            .collect();
        known.sort();
        registry.known = known.into();
        self.renames.check(&mut self.problems);
        if self.problems.is_empty() { Ok(registry) } else { Err(self.problems) }
    }

    fn registered_points(&mut self, counts: &HashMap<String, usize>) -> Vec<RegisteredPoint> {
        let mut by_name: BTreeMap<String, &'static PointInfo> = BTreeMap::new();
        let mut infos: Vec<_> = self.infos.values().copied().collect();
        infos.sort_by_key(|info| (info.path(), info.location));
        for info in infos {
            let name = self.renames.point(info).into_owned();
            if let Some(other) = by_name.insert(name.clone(), info) {
                self.problems.push(BuildProblem::DuplicatePoint {
                    name,
                    first: (other.path(), other.location),
                    second: (info.path(), info.location),
                });
            }
        }
        let point = |(name, info): (String, &'static PointInfo)| RegisteredPoint {
            handlers: counts.get(&name).copied().unwrap_or(0),
            name,
            path: info.path(),
            version: info.version,
            queued: info.queued,
            interruptible: info.interruptible,
            location: info.location,
        };
        by_name.into_iter().map(point).collect()
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

/// The names under which jobs of a handler may be stored.
fn keys(info: &HandlerInfo) -> impl Iterator<Item = HandlerKey> {
    let aliases = info.aliases.iter().map(|alias| HandlerKey::new(&info.point, alias));
    aliases.chain([info.key()])
}

/// A point's registrations while they are collected.
struct PointBuilder<P: ExtensionPoint> {
    name: Arc<str>,
    inline: Vec<InlineEntry<P>>,
    queued: Vec<QueuedEntry>,
    runners: Vec<Arc<dyn JobRunner>>,
    encode: Option<Encode<P>>,
}

struct Finished {
    point: String,
    table: Box<dyn AnyTable>,
    handlers: Vec<Arc<HandlerInfo>>,
    runners: Vec<Arc<dyn JobRunner>>,
}

trait AnyBuilder {
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn finish(self: Box<Self>, problems: &mut Vec<BuildProblem>) -> Finished;
}

impl<P: ExtensionPoint> AnyBuilder for PointBuilder<P> {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn finish(mut self: Box<Self>, problems: &mut Vec<BuildProblem>) -> Finished {
        drop_matched_declarations(&mut self.queued, problems);
        self.inline.sort_by(|a, b| in_order(&a.info, &b.info));
        self.queued.sort_by(|a, b| in_order(&a.info, &b.info));
        let inline = self.inline.iter().map(|entry| &entry.info);
        let handlers: Vec<_> = inline.chain(self.queued.iter().map(|entry| &entry.info)).cloned().collect();
        check_names(&handlers, problems);
        let table = PointTable {
            all_plain: self.inline.iter().all(|entry| matches!(entry.call, InlineCall::Plain(_))),
            inline: self.inline.into(),
            queued: self.queued.into(),
            encode: self.encode,
            warned_large: false.into(),
            name: Arc::clone(&self.name),
        };
        Finished { point: self.name.to_string(), table: Box::new(table), handlers, runners: self.runners }
    }
}

fn in_order(a: &HandlerInfo, b: &HandlerInfo) -> std::cmp::Ordering {
    (a.priority, &a.name).cmp(&(b.priority, &b.name))
}

/// A declaration whose definition (or equal declaration) is linked too goes; one that says something else is a problem.
fn drop_matched_declarations(queued: &mut Vec<QueuedEntry>, problems: &mut Vec<BuildProblem>) {
    queued.sort_by_key(|entry| (entry.info.kind == HandlerKind::Declared, entry.info.location));
    let mut kept: Vec<QueuedEntry> = Vec::with_capacity(queued.len());
    for entry in queued.drain(..) {
        let same = kept.iter().find(|other| other.info.name == entry.info.name);
        match same {
            Some(other) if entry.info.kind == HandlerKind::Declared => {
                let differences = differences(&entry.options, &other.options);
                if !differences.is_empty() {
                    problems.push(BuildProblem::DeclarationDiffers {
                        handler: entry.info.key().to_string(),
                        declared: entry.info.location,
                        defined: other.info.location,
                        differences,
                    });
                }
            }
            _ => kept.push(entry),
        }
    }
    *queued = kept;
}

/// How a declaration's options differ from the definition's; callbacks are the definition's own affair.
fn differences(declared: &JobOptions, defined: &JobOptions) -> String {
    let callbacks =
        |options: &JobOptions| JobOptions { on_failure: false, on_retry: false, ..options.clone() };
    let as_map = |options: JobOptions| match serde_json::to_value(options) {
        Ok(serde_json::Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    let (declared, defined) = (as_map(callbacks(declared)), as_map(callbacks(defined)));
    let differing = declared.iter().filter(|(key, value)| defined.get(*key) != Some(value));
    let said: Vec<_> =
        differing.map(|(key, value)| format!("`{key}` {value} against {}", defined[key])).collect();
    said.join(", ")
}

fn check_names(handlers: &[Arc<HandlerInfo>], problems: &mut Vec<BuildProblem>) {
    let mut by_name: HashMap<&str, &Arc<HandlerInfo>> = HashMap::new();
    for info in handlers {
        for name in info.aliases.iter().map(String::as_str).chain([&*info.name]) {
            if let Some(other) = by_name.insert(name, info) {
                problems.push(BuildProblem::DuplicateHandler {
                    point: info.point.to_string(),
                    name: name.to_owned(),
                    first: (other.path.clone(), other.location),
                    second: (info.path.clone(), info.location),
                });
            }
        }
    }
}

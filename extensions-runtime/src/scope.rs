//! Scopes: values and handlers that follow a task, and its jobs.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwapOption;

use crate::handler::{AwaitedHandler, Context, Handler, HandlerId, HandlerOptions, HandlerResult, Stage};
use crate::instance::{Extensions, InstanceId};
use crate::job::JobMeta;
use crate::point::{ExtensionPoint, PointInfo};
use crate::registry::{BuildError, BuildProblem, Registrar, Registrations, Registry};

/// What a scope stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ScopeKind {
    /// Anything: an import, a migration, a test.
    Custom,
    /// A tenant.
    Tenant,
    /// A user.
    User,
    /// A request.
    Request,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    kind: ScopeKind,
    name: String,
}

/// A scope of an instance: `ext.scope("import-123")`, `ext.tenant("acme")`, `ext.user("7")`, `ext.request("4bf9")`.
///
/// Fires inside [`run`](Self::run) see the handlers that are registered in a scope of the same kind and name, beside those of the
/// instance and in one order with them. Their jobs carry the scope along: a worker runs them inside it. Handlers that were registered
/// through this value are gone when it is dropped.
///
/// Custom scopes add up where they are nested. Of tenants, users and requests only the inmost one of each kind counts.
pub struct Scope {
    extensions: Extensions,
    shared: Arc<Shared>,
    /// What was registered through this value.
    mine: Mutex<Vec<HandlerId>>,
}

/// What all values of one scope have in common.
#[derive(Debug)]
struct Shared {
    key: Key,
    registry: ArcSwapOption<Registry>,
    changing: Mutex<()>,
}

/// The scopes of an instance that somebody holds.
#[derive(Debug, Default)]
pub(crate) struct Scopes(Mutex<HashMap<Key, Weak<Shared>>>);

impl Scopes {
    fn get(&self, key: Key) -> Arc<Shared> {
        let mut live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = live.get(&key).and_then(Weak::upgrade) {
            return shared;
        }
        if live.len() == live.capacity() {
            live.retain(|_, shared| shared.strong_count() > 0);
        }
        let shared = Arc::new(Shared {
            key: key.clone(),
            registry: ArcSwapOption::empty(),
            changing: Mutex::default(),
        });
        live.insert(key, Arc::downgrade(&shared));
        shared
    }

    /// The scopes that have handlers, each with its name and them.
    pub(crate) fn with_handlers(&self) -> Vec<(String, Arc<Registry>)> {
        let live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = live.values().filter_map(Weak::upgrade);
        let mut found: Vec<_> =
            shared.filter_map(|shared| Some((shared.key.to_string(), shared.registry()?))).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }
}

impl Shared {
    fn registry(&self) -> Option<Arc<Registry>> {
        self.registry.load_full()
    }
}

impl Key {
    /// Whether inside this scope an outer one does not count: there is one tenant, one user, one request at a time.
    fn stands_for(&self, outer: &Self) -> bool {
        self.kind == outer.kind && (self.kind != ScopeKind::Custom || self.name == outer.name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ScopeKind::Custom => f.write_str(&self.name),
            ScopeKind::Tenant => write!(f, "tenant {}", self.name),
            ScopeKind::User => write!(f, "user {}", self.name),
            ScopeKind::Request => write!(f, "request {}", self.name),
        }
    }
}

impl Scope {
    fn new(extensions: &Extensions, kind: ScopeKind, name: String) -> Self {
        let shared = extensions.scopes().get(Key { kind, name });
        Self { extensions: extensions.clone(), shared, mine: Mutex::default() }
    }

    /// What it stands for.
    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        self.shared.key.kind
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.key.name
    }

    /// Registers a plain inline handler in this scope.
    ///
    /// # Panics
    ///
    /// If it cannot be registered; [`register_many`](Self::register_many) answers with an error instead.
    #[track_caller]
    pub fn register<P: ExtensionPoint, H: Handler<P>>(&self, handler: H, options: HandlerOptions) -> &Self {
        self.expect(Registrations::new().register::<P, H>(handler, options))
    }

    /// Registers a closure as a plain inline handler in this scope, under a name of its own.
    ///
    /// # Panics
    ///
    /// As [`register`](Self::register).
    #[track_caller]
    pub fn register_fn<P: ExtensionPoint>(
        &self,
        name: impl Into<String>,
        handler: impl Fn(&mut P, &Context) -> HandlerResult<P::Output> + Send + Sync + 'static,
        options: HandlerOptions,
    ) -> &Self {
        self.expect(Registrations::new().register_fn::<P>(name, handler, options))
    }

    /// Registers an awaited inline handler in this scope.
    ///
    /// # Panics
    ///
    /// As [`register`](Self::register).
    #[track_caller]
    pub fn register_awaited<P: ExtensionPoint, H: AwaitedHandler<P>>(
        &self,
        handler: H,
        options: HandlerOptions,
    ) -> &Self {
        self.expect(Registrations::new().register_awaited::<P, H>(handler, options))
    }

    /// Registers a stage of the point's pipeline in this scope.
    ///
    /// # Panics
    ///
    /// As [`register`](Self::register).
    #[track_caller]
    pub fn register_stage<P: ExtensionPoint, S: Stage<P>>(&self, stage: S, options: HandlerOptions) -> &Self {
        self.expect(Registrations::new().register_stage::<P, S>(stage, options))
    }

    #[track_caller]
    fn expect(&self, registrations: Registrations) -> &Self {
        if let Err(error) = self.register_many(registrations) {
            panic!("the handler cannot be registered in the scope {}: {error}", self.shared.key);
        }
        self
    }

    /// Registers all handlers of a list in this scope, in one step.
    ///
    /// # Errors
    ///
    /// [`BuildError`] with everything that is wrong: a name that is taken in this scope, options that cannot be, async handlers. An
    /// async handler runs later and elsewhere, where the scope's handlers need not be; register it in the instance, with a condition
    /// if need be.
    pub fn register_many(&self, registrations: Registrations) -> Result<(), BuildError> {
        let added = self.add(&registrations);
        // Behind the lock, as in `Extensions::register_many`.
        drop(registrations);
        added
    }

    fn add(&self, registrations: &Registrations) -> Result<(), BuildError> {
        let _one_at_a_time = self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let base = self.shared.registry().unwrap_or_default();
        let mut registrar = Registrar::onto(self.extensions.premises(), &base);
        registrations.apply(&mut registrar);
        let next = registrar.finish().map_err(BuildError::while_running)?;
        let queued = next.handlers().iter().filter(|info| info.kind.is_queued());
        let problems: Vec<_> = queued
            .map(|info| BuildProblem::Option {
                handler: info.path.clone(),
                location: info.location,
                message: "an async handler cannot be in a scope; register it in the instance".to_owned(),
            })
            .collect();
        if !problems.is_empty() {
            return Err(BuildError::while_running(problems));
        }
        self.mine.lock().unwrap_or_else(PoisonError::into_inner).extend(next.new_since(&base));
        self.shared.registry.store(Some(Arc::new(next)));
        Ok(())
    }

    /// Runs a future inside this scope. The scope follows the task: tasks that it spawns are outside, and so are other tasks on the
    /// same thread.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        Frame::enter(&self.extensions, What::Scope(Arc::clone(&self.shared)), future).await
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let mine = self.mine.get_mut().unwrap_or_else(PoisonError::into_inner);
        if mine.is_empty() {
            return;
        }
        // Dropped after the lock, as in `Live::change`.
        let before;
        let _one_at_a_time = self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        before = self.shared.registry();
        let Some(registry) = &before else { return };
        let gone = |id, _: &PointInfo| mine.contains(&id);
        if let Some(left) = registry.without(&gone, &self.extensions.premises().renames) {
            self.shared.registry.store((!left.is_empty()).then(|| Arc::new(left)));
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.shared.key).finish()
    }
}

tokio::task_local! {
    static FRAME: Arc<Frame>;
}

/// What the current task is inside of, inmost first.
pub(crate) struct Frame {
    instance: InstanceId,
    what: What,
    outer: Option<Arc<Frame>>,
}

enum What {
    Scope(Arc<Shared>),
    Silence,
}

impl Frame {
    fn current() -> Option<Arc<Self>> {
        FRAME.try_with(Arc::clone).ok()
    }

    /// What the current task is inside of in this instance, if it is inside anything.
    pub(crate) fn of(instance: InstanceId) -> Option<Arc<Self>> {
        Self::current().filter(|frame| frame.all(instance).next().is_some())
    }

    async fn enter<F: Future>(extensions: &Extensions, what: What, future: F) -> F::Output {
        let _noticed = extensions.notice();
        let frame = Self { instance: extensions.id(), what, outer: Self::current() };
        FRAME.scope(Arc::new(frame), future).await
    }

    fn all(&self, instance: InstanceId) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |frame| frame.outer.as_deref())
            .filter(move |frame| frame.instance == instance)
    }

    fn scopes(&self, instance: InstanceId) -> impl Iterator<Item = &Shared> {
        self.all(instance).filter_map(|frame| match &frame.what {
            What::Scope(shared) => Some(&**shared),
            What::Silence => None,
        })
    }

    pub(crate) fn is_silenced(&self, instance: InstanceId) -> bool {
        self.all(instance).any(|frame| matches!(frame.what, What::Silence))
    }

    /// The name of the inmost scope of a kind.
    pub(crate) fn name(&self, instance: InstanceId, kind: ScopeKind) -> Option<&str> {
        self.scopes(instance).find(|shared| shared.key.kind == kind).map(|shared| &*shared.key.name)
    }

    /// The handlers of the scopes that count, inmost first.
    pub(crate) fn registries(&self, instance: InstanceId) -> Vec<Arc<Registry>> {
        let mut counting: Vec<&Shared> = Vec::new();
        for shared in self.scopes(instance) {
            if !counting.iter().any(|inner| inner.key.stands_for(&shared.key)) {
                counting.push(shared);
            }
        }
        counting.into_iter().filter_map(Shared::registry).collect()
    }

    /// Notes the scopes in what travels with a job.
    pub(crate) fn describe(&self, instance: InstanceId, meta: &mut JobMeta) {
        let name = |kind| self.name(instance, kind).map(str::to_owned);
        meta.tenant = name(ScopeKind::Tenant);
        meta.user = name(ScopeKind::User);
        meta.request = name(ScopeKind::Request);
        let custom = self.scopes(instance).filter(|shared| shared.key.kind == ScopeKind::Custom);
        meta.scopes = custom.map(|shared| shared.key.name.clone()).collect();
        meta.scopes.reverse();
    }
}

/// The name of the inmost scope of a request that the current task is inside of, whichever instance it is of.
#[cfg(feature = "axum")]
pub(crate) fn current_request() -> Option<String> {
    let frame = Frame::current()?;
    std::iter::successors(Some(&*frame), |frame| frame.outer.as_deref())
        .find_map(|frame| frame.name(frame.instance, ScopeKind::Request).map(str::to_owned))
}

/// What the current task is inside of, to go on inside of it in another place.
#[cfg(feature = "axum")]
pub(crate) struct Inside {
    frame: Arc<Frame>,
    _noticed: crate::instance::Notice,
}

#[cfg(feature = "axum")]
impl Inside {
    pub(crate) fn current(extensions: &Extensions) -> Option<Self> {
        Some(Self { frame: Frame::current()?, _noticed: extensions.notice() })
    }

    pub(crate) fn sync<T>(&self, call: impl FnOnce() -> T) -> T {
        FRAME.sync_scope(Arc::clone(&self.frame), call)
    }
}

/// # Scopes
impl Extensions {
    /// A scope of the application's own.
    #[must_use = "a scope is entered with `.run(async { … })`"]
    pub fn scope(&self, name: impl Into<String>) -> Scope {
        Scope::new(self, ScopeKind::Custom, name.into())
    }

    /// The scope of a tenant.
    #[must_use = "a scope is entered with `.run(async { … })`"]
    pub fn tenant(&self, name: impl Into<String>) -> Scope {
        Scope::new(self, ScopeKind::Tenant, name.into())
    }

    /// The scope of a user.
    #[must_use = "a scope is entered with `.run(async { … })`"]
    pub fn user(&self, name: impl Into<String>) -> Scope {
        Scope::new(self, ScopeKind::User, name.into())
    }

    /// The scope of a request.
    #[must_use = "a scope is entered with `.run(async { … })`"]
    pub fn request(&self, id: impl Into<String>) -> Scope {
        Scope::new(self, ScopeKind::Request, id.into())
    }

    /// Runs a future in which fires of this instance run nothing and queue nothing; other tasks are not concerned. As with
    /// [`silence`](Self::silence), a question to guards is answered with an error.
    pub async fn silenced<F: Future>(&self, future: F) -> F::Output {
        Frame::enter(self, What::Silence, future).await
    }

    /// A call that is inside the current task's scopes, on whatever thread it is made.
    pub(crate) fn carry<T, F: FnOnce() -> T>(&self, call: F) -> impl FnOnce() -> T + use<T, F> {
        let inside = Frame::current().map(|frame| (frame, self.notice()));
        move || match inside {
            None => call(),
            Some((frame, _noticed)) => FRAME.sync_scope(frame, call),
        }
    }

    /// Runs a job's attempt inside the scopes in which its fire ran.
    pub(crate) async fn within_scopes_of<F: Future>(&self, meta: &JobMeta, future: F) -> F::Output {
        let named = [
            (ScopeKind::Tenant, meta.tenant.as_ref()),
            (ScopeKind::User, meta.user.as_ref()),
            (ScopeKind::Request, meta.request.as_ref()),
        ];
        let named = named.into_iter().filter_map(|(kind, name)| Some((kind, name?)));
        let custom = meta.scopes.iter().map(|name| (ScopeKind::Custom, name));
        let frame = named.chain(custom).fold(None, |outer, (kind, name)| {
            let shared = self.scopes().get(Key { kind, name: name.clone() });
            Some(Arc::new(Frame { instance: self.id(), what: What::Scope(shared), outer }))
        });
        match frame {
            None => future.await,
            Some(frame) => {
                let _noticed = self.notice();
                FRAME.scope(frame, future).await
            }
        }
    }
}

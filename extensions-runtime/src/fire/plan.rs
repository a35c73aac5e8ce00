//! What a fire would do, handler by handler, without doing it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::builder::Mode;
use super::dispatch::scoped;
use super::gate::{Gate, Held};
use super::jobs::options_of;
use super::report::SkipReason;
use super::{Fire, FireErrorKind};
use crate::handler::{Context, HandlerError, HandlerId, HandlerInfo, JobOptions};
use crate::instance::Extensions;
use crate::job::QueueName;
use crate::point::{ExtensionPoint, QueuedPoint};
use crate::registry::{Attached, InlineCall, InlineEntry, PointTable, QueuedEntry, Registry};
use crate::scope::Frame;
use crate::task;

/// What a fire would do now: [`Extensions::plan`]. As text it is a table.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The point's wire name.
    pub point: String,
    /// Whether the fire would run nothing because it is silenced.
    pub silenced: bool,
    /// The point's handlers: the inline ones in the order in which they run, then the async ones in the order in which they are queued.
    pub handlers: Vec<Planned>,
}

/// What would become of one handler.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Planned {
    /// The handler.
    pub handler: Arc<HandlerInfo>,
    /// The scope that it is registered in: `import-123`, `tenant acme`.
    pub scope: Option<String>,
    /// What would become of it.
    pub fate: Fate,
    /// Its job, if it is an async handler: as this fire would queue it.
    pub job: Option<PlannedJob>,
}

/// What would become of a handler in a fire.
#[derive(Debug, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// It runs, or is queued.
    Run,
    /// It is passed over.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// One of its conditions panics, or its options cannot be for this fire.
    Fails {
        /// What it says.
        error: HandlerError,
    },
    /// The fire is over before: a guard that cannot be asked denies, or a condition fails.
    NotReached,
}

/// A job that would be queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedJob {
    /// Its queue.
    pub queue: QueueName,
    /// How long it waits at least.
    pub delay: Duration,
    /// Its rank in the queue: 0 first, 9 last.
    pub priority: u8,
    /// How often it is tried at most, the first time included.
    pub max_attempts: u32,
}

impl Plan {
    /// What would become of the handler of this name, if the point has it.
    #[must_use]
    pub fn fate_of(&self, handler: &str) -> Option<&Fate> {
        self.handlers.iter().find(|planned| planned.handler.name == handler).map(|planned| &planned.fate)
    }

    /// The handlers that would run or be queued.
    pub fn running(&self) -> impl Iterator<Item = &Planned> {
        self.handlers.iter().filter(|planned| matches!(planned.fate, Fate::Run))
    }
}

impl Fate {
    /// Whether it runs, or is queued.
    #[must_use]
    pub const fn is_run(&self) -> bool {
        matches!(self, Self::Run)
    }

    /// Why it is passed over, if it is.
    #[must_use]
    pub const fn skip_reason(&self) -> Option<SkipReason> {
        match self {
            Self::Skipped { reason } => Some(*reason),
            _ => None,
        }
    }
}

/// # Plans
impl Extensions {
    /// What [`fire`](Self::fire) would do now with this point, handler by handler with the reasons. It runs and queues nothing: only
    /// predicates and feature flags are asked, and circuit breakers looked at.
    ///
    /// Handlers of scopes that the current task is not inside of are listed too, with the reason [`SkipReason::Scope`]. What depends on
    /// what handlers do, a veto or an error of theirs, no plan can know.
    #[must_use]
    pub fn plan<P: ExtensionPoint>(&self, point: &P) -> Plan {
        Planner::plan(self, point, self.default_mode())
    }
}

impl Extensions {
    /// As [`plan`](Self::plan), of a queued point whose type is not known here.
    #[must_use]
    pub fn plan_boxed(&self, point: &dyn QueuedPoint) -> Plan {
        point.__plan_boxed(self)
    }
}

impl<P: ExtensionPoint, To> Fire<'_, P, To> {
    /// What this fire would do now, with all that was chosen for it ([`Extensions::plan`]).
    #[must_use]
    pub fn plan(&self) -> Plan {
        let plan = async { Planner::plan(self.extensions, &self.point, &self.mode) };
        match self.mode.tenant() {
            None => task::block_on(plan),
            Some(tenant) => task::block_on(self.extensions.tenant(tenant).run(plan)),
        }
    }
}

struct Planner<'a, P> {
    gate: Gate<'a>,
    point: &'a P,
    /// The scopes of handlers that belong to one.
    scopes: HashMap<HandlerId, String>,
    inside: HashSet<HandlerId>,
    silenced: bool,
    over: bool,
}

impl<P: ExtensionPoint> Planner<'_, P> {
    fn plan(extensions: &Extensions, point: &P, mode: &Mode) -> Plan {
        let (view, frame) = (extensions.view(), Frame::of(extensions.id()));
        let inside = scoped::<P>(extensions, frame.as_deref());
        let everywhere = extensions.scopes().with_handlers();
        let cx = Context::within(extensions.id(), P::info(), frame);
        let gate = Gate { extensions, switches: view.switches(), mode, cx: &cx };
        let mut planner = Planner {
            gate,
            point,
            scopes: everywhere.iter().flat_map(|(name, registry)| ids::<P>(name, registry)).collect(),
            inside: inside.iter().flat_map(|registry| ids::<P>("", registry)).map(|(id, _)| id).collect(),
            silenced: gate.silence(Some(P::info())).is_some(),
            over: false,
        };
        let tables = view.registry().table::<P>().into_iter();
        let scoped = everywhere.iter().filter_map(|(_, registry)| registry.table::<P>());
        let tables: Vec<_> = tables.chain(scoped).collect();
        let mut inline: Vec<_> = tables.iter().flat_map(|table| &table.inline).collect();
        inline.sort_by(|a, b| a.at.info.place().cmp(&b.at.info.place()));
        let queued = tables.iter().flat_map(|table| &table.queued);
        let mut handlers: Vec<_> = inline.into_iter().map(|entry| planner.inline(entry)).collect();
        handlers.extend(queued.map(|entry| planner.queued(entry)));
        let name = tables.first().map_or(P::info().name, |table: &&PointTable<P>| &*table.name);
        Plan { point: name.to_owned(), silenced: planner.silenced, handlers }
    }

    fn inline(&mut self, entry: &InlineEntry<P>) -> Planned {
        let asked = |planner: &Self| match entry.call {
            InlineCall::Stage(_) => Err(Held::Skipped(SkipReason::Stage)),
            _ => planner.gate.would_admit(&entry.at, planner.point),
        };
        let fate = self.fate(&entry.at, asked);
        let denies = |reason: SkipReason| {
            P::info().interruptible && reason.is_unavailable() && entry.at.info.denies_when_unavailable()
        };
        self.over |= !self.silenced && fate.skip_reason().is_some_and(denies);
        self.planned(&entry.at, fate, None)
    }

    fn queued(&mut self, entry: &QueuedEntry<P>) -> Planned {
        let options = options_of(entry, self.gate.mode);
        let job = options.as_deref().ok().map(PlannedJob::new);
        let asked = |planner: &Self| {
            planner.gate.applies(&entry.at, planner.point)?;
            options.map(drop).map_err(|kind| Held::Failed(refused(kind)))
        };
        let fate = self.fate(&entry.at, asked);
        self.planned(&entry.at, fate, job)
    }

    fn fate(&mut self, at: &Attached<P>, asked: impl FnOnce(&Self) -> Result<(), Held>) -> Fate {
        let id = at.info.id;
        if self.scopes.contains_key(&id) && !self.inside.contains(&id) {
            return Fate::Skipped { reason: SkipReason::Scope };
        }
        if self.over {
            return Fate::NotReached;
        }
        if self.silenced {
            return Fate::Skipped { reason: SkipReason::Silenced };
        }
        match asked(self) {
            Ok(()) => Fate::Run,
            Err(Held::Skipped(reason)) => Fate::Skipped { reason },
            Err(Held::Failed(error)) => {
                self.over = !self.gate.mode.graceful;
                Fate::Fails { error }
            }
        }
    }

    fn planned(&self, at: &Attached<P>, fate: Fate, job: Option<PlannedJob>) -> Planned {
        let scope = self.scopes.get(&at.info.id).cloned();
        Planned { handler: Arc::clone(&at.info), scope, fate, job }
    }
}

fn ids<P: ExtensionPoint>(scope: &str, registry: &Registry) -> Vec<(HandlerId, String)> {
    let attached = registry.table::<P>().into_iter().flat_map(PointTable::attached);
    attached.map(|at| (at.info.id, scope.to_owned())).collect()
}

fn refused(kind: FireErrorKind) -> HandlerError {
    match kind {
        FireErrorKind::Option(message) => message.into(),
        other => format!("{other:?}").into(),
    }
}

impl PlannedJob {
    fn new(options: &JobOptions) -> Self {
        Self {
            queue: options.queue.clone(),
            delay: options.delay,
            priority: options.priority,
            max_attempts: options.max_attempts,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("runs"),
            Self::Skipped { reason } => write!(f, "skipped: {reason}"),
            Self::Fails { error } => write!(f, "fails: {error}"),
            Self::NotReached => f.write_str("not reached"),
        }
    }
}

impl fmt::Display for PlannedJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue {}", self.queue)?;
        if !self.delay.is_zero() {
            write!(f, ", after {:?}", self.delay)?;
        }
        write!(f, ", priority {}, at most {} attempts", self.priority, self.max_attempts)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.handlers.iter().map(|planned| planned.handler.name.len());
        let width = names.max().unwrap_or_default();
        write!(f, "{}", self.point)?;
        if self.handlers.is_empty() {
            f.write_str(": no handlers")?;
        }
        for Planned { handler, scope, fate, job } in &self.handlers {
            let (priority, name, kind) = (handler.priority, &handler.name, handler.kind);
            write!(f, "\n{priority:>6}  {name:<width$}  {kind:<8}  ")?;
            match job {
                Some(job) if fate.is_run() => write!(f, "is queued: {job}")?,
                _ => write!(f, "{fate}")?,
            }
            if let Some(scope) = scope {
                write!(f, " (scope {scope})")?;
            }
        }
        Ok(())
    }
}

//! What is known of a registered handler.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::Context;
use super::condition::Condition;
use super::options::JobOptions;
use crate::job::HandlerKey;
use crate::point::{Deprecation, ExtensionPoint, Location};
use crate::policy::BreakerOptions;

/// The default priority of a handler.
pub(crate) const DEFAULT_PRIORITY: i32 = 100;

/// How a handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HandlerKind {
    /// Before `fire` returns, as a plain call.
    Inline,
    /// Before `fire` returns, awaited.
    Awaited,
    /// In a worker, as a future.
    Async,
    /// In a worker, on the blocking pool.
    Blocking,
    /// In another program's worker: this one only queues jobs for it.
    Declared,
    /// Before `fire` returns, as a plain call, on every point that matches its pattern.
    Wildcard,
    /// In a pipeline, awaited, around the stages behind it.
    Stage,
}

impl HandlerKind {
    /// Whether it runs from a queue.
    #[must_use]
    pub const fn is_queued(self) -> bool {
        matches!(self, Self::Async | Self::Blocking | Self::Declared)
    }
}

impl fmt::Display for HandlerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Inline => "inline",
            Self::Awaited => "awaited",
            Self::Async => "async",
            Self::Blocking => "blocking",
            Self::Declared => "declared",
            Self::Wildcard => "wildcard",
            Self::Stage => "stage",
        })
    }
}

/// A handler as registered on one point.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct HandlerInfo {
    /// Its name, unique on its point.
    pub name: Cow<'static, str>,
    /// Earlier names under which jobs may still be stored.
    pub aliases: Vec<String>,
    /// The wire name of its point.
    pub point: Cow<'static, str>,
    /// How it runs.
    pub kind: HandlerKind,
    /// Its place among the point's handlers: lower first, default 100.
    pub priority: i32,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its group.
    pub group: Option<String>,
    /// What holds for its jobs, if it is queued.
    pub options: Option<JobOptions>,
    /// The type or function: `shop::mail::SendConfirmation`.
    pub path: String,
    /// Where it was written or registered.
    pub location: Location,
    /// Set where it is marked `#[deprecated]`.
    pub deprecated: Option<Deprecation>,
    /// What must hold for it to take part in a fire: `env = production`, `feature = new-billing`, `predicate`.
    pub conditions: Vec<String>,
    /// What becomes of the question where it is a guard and could not run.
    pub on_unavailable: OnUnavailable,
    /// Its circuit breaker; none where it has been turned off.
    pub breaker: Option<BreakerOptions>,
    #[serde(skip)]
    pub(crate) type_id: Option<TypeId>,
    #[serde(skip)]
    pub(crate) id: HandlerId,
}

/// What a registration says of its circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BreakerChoice {
    /// As the instance has it.
    #[default]
    Default,
    Off,
    /// The instance's, with these numbers changed.
    Changed {
        threshold: Option<u32>,
        timeout: Option<Duration>,
        half_open_max: Option<u32>,
    },
    Exactly(BreakerOptions),
}

impl BreakerChoice {
    /// What holds, given what the instance has.
    pub(crate) fn resolve(self, default: Option<BreakerOptions>) -> Option<BreakerOptions> {
        match self {
            Self::Default => default,
            Self::Off => None,
            Self::Exactly(options) => Some(options),
            Self::Changed { threshold, timeout, half_open_max } => {
                let base = default.unwrap_or_default();
                let base = threshold.map_or(base, |threshold| base.threshold(threshold));
                let base = timeout.map_or(base, |timeout| base.timeout(timeout));
                Some(half_open_max.map_or(base, |max| base.half_open_max(max)))
            }
        }
    }
}

/// One registration: no two have the same, in any instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HandlerId(u64);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl HandlerId {
    pub(crate) fn fresh() -> Self {
        Self(NEXT_ID.fetch_add(1, Ordering::Relaxed))
    }
}

/// What becomes of a question to guards, the inline handlers of an interruptible point, when one of them could not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnavailable {
    /// The answer is no.
    #[default]
    Deny,
    /// The guard does not count.
    Allow,
}

/// A handler, by type or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    Type(TypeId),
    Name(String),
}

impl Which {
    pub(crate) const fn of<H: 'static>() -> Self {
        Self::Type(TypeId::of::<H>())
    }

    pub(crate) fn is(&self, info: &HandlerInfo) -> bool {
        match self {
            Self::Type(id) => info.type_id == Some(*id),
            Self::Name(name) => info.name == name.as_str(),
        }
    }
}

impl HandlerInfo {
    /// A stage of a pipeline that was made by hand.
    pub(crate) fn of_stage(name: String, path: String, location: Location, type_id: Option<TypeId>) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            point: "pipeline".into(),
            kind: HandlerKind::Stage,
            priority: DEFAULT_PRIORITY,
            tags: Vec::new(),
            group: None,
            options: None,
            path,
            location,
            deprecated: None,
            conditions: Vec::new(),
            on_unavailable: OnUnavailable::Allow,
            breaker: None,
            type_id,
            id: HandlerId::fresh(),
        }
    }

    /// The name under which a queue knows it.
    #[must_use]
    pub fn key(&self) -> HandlerKey {
        HandlerKey::new(&self.point, &self.name)
    }

    /// Whether, on an interruptible point, the answer is no where it could not be asked.
    pub(crate) fn denies_when_unavailable(&self) -> bool {
        let is_guard = matches!(self.kind, HandlerKind::Inline | HandlerKind::Awaited);
        is_guard && self.on_unavailable == OnUnavailable::Deny
    }

    /// The names under which its jobs may be stored.
    pub(crate) fn keys(&self) -> impl Iterator<Item = HandlerKey> {
        let aliases = self.aliases.iter().map(|alias| HandlerKey::new(&self.point, alias));
        aliases.chain([self.key()])
    }

    /// What the order of a point's handlers goes by.
    pub(crate) fn place(&self) -> (i32, &str, HandlerId) {
        (self.priority, &self.name, self.id)
    }

    pub(crate) fn is<H: 'static>(&self) -> bool {
        self.type_id == Some(TypeId::of::<H>())
    }
}

/// The options of a handler that is registered by hand.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct HandlerOptions {
    pub(crate) name: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) priority: Option<i32>,
    pub(crate) tags: Vec<String>,
    pub(crate) group: Option<String>,
    pub(crate) on_unavailable: OnUnavailable,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) breaker: BreakerChoice,
}

impl HandlerOptions {
    /// Everything at its default: the type's name, priority 100, no tags, no group, no conditions.
    pub fn new() -> Self {
        Self::default()
    }

    /// The handler's name; default: the type's own name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Earlier names under which jobs may still be stored.
    pub fn aliases<S: Into<String>>(mut self, aliases: impl IntoIterator<Item = S>) -> Self {
        self.aliases.extend(aliases.into_iter().map(Into::into));
        self
    }

    /// The handler's place: lower runs first, default 100.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Adds tags.
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// The handler's group.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// What becomes of the question where this guard could not run; default: the answer is no.
    pub fn on_unavailable(mut self, on_unavailable: OnUnavailable) -> Self {
        self.on_unavailable = on_unavailable;
        self
    }

    /// The numbers of its circuit breaker, instead of the instance's.
    pub fn circuit_breaker(mut self, options: BreakerOptions) -> Self {
        self.breaker = BreakerChoice::Exactly(options);
        self
    }

    /// No circuit breaker.
    pub fn without_circuit_breaker(mut self) -> Self {
        self.breaker = BreakerChoice::Off;
        self
    }

    /// Takes part only where the instance's environment is one of these.
    pub fn when_env<S: Into<String>>(mut self, environments: impl IntoIterator<Item = S>) -> Self {
        self.conditions.push(Condition::Environment(environments.into_iter().map(Into::into).collect()));
        self
    }

    /// Takes part only while this feature flag is on, for the tenant and scope of the fire.
    pub fn when_feature(mut self, feature: impl Into<String>) -> Self {
        self.conditions.push(Condition::Feature { name: feature.into(), active: true });
        self
    }

    /// Takes part only while this feature flag is off, for the tenant and scope of the fire.
    pub fn when_not_feature(mut self, feature: impl Into<String>) -> Self {
        self.conditions.push(Condition::Feature { name: feature.into(), active: false });
        self
    }

    /// Takes part only in fires for which `predicate` answers yes. It is asked once a fire, before the handler's turn, and
    /// should change nothing. A predicate for another point than the handler's stops start-up.
    pub fn when<P: ExtensionPoint>(
        mut self,
        predicate: impl Fn(&P, &Context) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.conditions.push(Condition::predicate(predicate));
        self
    }
}

//! What is known of a registered handler.

use std::any::TypeId;
use std::borrow::Cow;

use serde::Serialize;

use crate::handler::options::JobOptions;
use crate::job::HandlerKey;
use crate::point::{Deprecation, Location};

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
}

impl HandlerKind {
    /// Whether it runs from a queue.
    #[must_use]
    pub const fn is_queued(self) -> bool {
        matches!(self, Self::Async | Self::Blocking | Self::Declared)
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
    #[serde(skip)]
    pub(crate) type_id: Option<TypeId>,
}

impl HandlerInfo {
    /// The name under which a queue knows it.
    #[must_use]
    pub fn key(&self) -> HandlerKey {
        HandlerKey::new(&self.point, &self.name)
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
}

impl HandlerOptions {
    /// Everything at its default: the type's name, priority 100, no tags, no group.
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
}

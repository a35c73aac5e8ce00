//! Handlers of every point that matches a pattern.

use std::sync::Arc;

use wildmatch::WildMatch;

use super::attached::Attached;
use super::premises::Premises;
use super::table::PointState;
use super::{BuildProblem, InlineCall, InlineEntry};
use crate::handler::{AnyHandler, Condition, HandlerId, HandlerInfo};
use crate::point::{ExtensionPoint, PointInfo};

/// A handler of many points, before it is attached to any.
#[derive(Clone)]
pub(crate) struct Wildcard {
    pattern: WildMatch,
    /// Whether the pattern is for paths of types, and not for wire names.
    on_path: bool,
    handler: Arc<dyn AnyHandler>,
    info: HandlerInfo,
    conditions: Vec<Condition>,
}

impl Wildcard {
    pub(super) fn new(
        pattern: &str,
        handler: Arc<dyn AnyHandler>,
        info: HandlerInfo,
        conditions: Vec<Condition>,
    ) -> Self {
        let on_path = pattern.contains("::");
        Self { pattern: WildMatch::new(pattern), on_path, handler, info, conditions }
    }

    pub(crate) const fn id(&self) -> HandlerId {
        self.info.id
    }

    pub(super) fn matches(&self, name: &str, point: &PointInfo) -> bool {
        if self.on_path { self.pattern.matches(&point.path()) } else { self.pattern.matches(name) }
    }

    pub(super) fn entry<P: ExtensionPoint>(
        &self,
        point: &str,
        state: &PointState,
        premises: &Premises,
        problems: &mut Vec<BuildProblem>,
    ) -> InlineEntry<P> {
        let info = HandlerInfo { point: point.to_owned().into(), ..self.info.clone() };
        let at = Arc::new(Attached::new(info, &self.conditions, state, premises, problems));
        InlineEntry { call: InlineCall::Wildcard(Arc::clone(&self.handler)), at }
    }
}

impl std::fmt::Debug for Wildcard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wildcard").field("pattern", &self.pattern).field("handler", &self.info.name).finish()
    }
}

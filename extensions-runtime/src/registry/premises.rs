//! What registrations are checked against: all that an instance knows before it knows a handler.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{BuildProblem, Resources};
use crate::breaker::Breakers;
use crate::features::FeatureFlags;
use crate::handler::AsyncOptions;
use crate::point::PointInfo;
use crate::policy::BreakerOptions;
use crate::queue::Capabilities;

/// What holds for every registration in an instance, at start-up and later.
#[derive(Debug)]
pub(crate) struct Premises {
    pub(crate) resources: Resources,
    pub(crate) defaults: AsyncOptions,
    pub(crate) renames: Renames,
    /// What the queue can do; none without a queue.
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) environment: String,
    pub(crate) features: Arc<dyn FeatureFlags>,
    /// The numbers of the breakers of handlers that say nothing themselves; none: they have no breaker.
    pub(crate) breaker: Option<BreakerOptions>,
    pub(crate) breakers: Arc<Breakers>,
}

/// New names for points and handlers of other people's crates, by path.
#[derive(Debug, Default)]
pub(crate) struct Renames {
    pub(crate) points: BTreeMap<String, String>,
    pub(crate) handlers: BTreeMap<String, String>,
}

impl Renames {
    /// A point's wire name in the instance.
    pub(crate) fn point(&self, info: &PointInfo) -> Cow<'static, str> {
        self.points.get(&info.path()).map_or(Cow::Borrowed(info.name), |name| Cow::Owned(name.clone()))
    }

    pub(super) fn handler(&self, path: &str) -> Option<String> {
        self.handlers.get(path).cloned()
    }

    /// What is wrong with them, given the paths of everything that is registered.
    pub(super) fn check(&self, registered: &BTreeSet<String>, problems: &mut Vec<BuildProblem>) {
        for (what, names) in [("rename_point", &self.points), ("rename_handler", &self.handlers)] {
            for (path, name) in names {
                if !registered.contains(path) {
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
pub(super) fn wrong_name(name: &str) -> Option<&'static str> {
    let bad = name.is_empty()
        || name.len() > 200
        || name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
    bad.then_some("a name has 1 to 200 bytes, without spaces and `/`")
}

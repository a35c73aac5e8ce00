//! What every handler on a point has, however it runs.

use std::sync::Arc;

use super::BuildProblem;
use super::premises::Premises;
use super::table::PointState;
use crate::breaker::Breaker;
use crate::handler::{Condition, DynPredicate, HandlerInfo};
use crate::point::ExtensionPoint;

/// A handler's registration on the point `P`, without the handler.
pub(crate) struct Attached<P> {
    pub(crate) info: Arc<HandlerInfo>,
    pub(crate) conditions: Box<[Check<P>]>,
    pub(crate) breaker: Option<Arc<Breaker>>,
}

impl<P: ExtensionPoint> Attached<P> {
    pub(super) fn new(
        info: HandlerInfo,
        conditions: &[Condition],
        state: &PointState,
        premises: &Premises,
        problems: &mut Vec<BuildProblem>,
    ) -> Self {
        let checks = conditions.iter().filter_map(|condition| {
            let check = Check::new(condition, &premises.environment);
            let problem = |message| {
                let (handler, location) = (info.path.clone(), info.location);
                problems.push(BuildProblem::Option { handler, location, message });
            };
            check.map_err(problem).ok()
        });
        let conditions = checks.collect();
        let breaker = info.breaker.map(|options| {
            let breakers = &premises.breakers;
            let restless = if info.kind.is_queued() { breakers.restless_jobs() } else { &state.restless };
            breakers.make(info.key().to_string(), options, Arc::clone(restless))
        });
        Self { info: Arc::new(info), conditions, breaker }
    }
}

/// A condition, ready to be asked.
pub(crate) enum Check<P> {
    /// Known at start-up.
    Environment(bool),
    Feature {
        name: String,
        active: bool,
    },
    Predicate(Arc<DynPredicate<P>>),
}

impl<P: ExtensionPoint> Check<P> {
    /// The condition for handlers of `P`, or why it cannot be one.
    fn new(condition: &Condition, environment: &str) -> Result<Self, String> {
        match condition {
            Condition::Environment(names) => {
                Ok(Self::Environment(names.iter().any(|name| name == environment)))
            }
            Condition::Feature { name, active } => Ok(Self::Feature { name: name.clone(), active: *active }),
            Condition::Predicate(predicate) => predicate.of::<P>().map(Self::Predicate).ok_or_else(|| {
                format!(
                    "a predicate is for the point `{}`, not for `{}`; write `.when::<{}>(…)`",
                    predicate.point_name,
                    P::info().type_name,
                    P::info().type_name
                )
            }),
        }
    }
}

//! Whether a handler takes part in a fire.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::builder::Mode;
use super::report::SkipReason;
use crate::breaker::{Breaker, Pass};
use crate::features::FlagScope;
use crate::handler::{Context, HandlerError, HandlerInfo};
use crate::instance::{Extensions, Silence, Switches};
use crate::point::{ExtensionPoint, PointInfo};
use crate::registry::{Attached, Check};

/// Decides for each handler of one fire, by what was switched off when the fire began.
#[derive(Clone, Copy)]
pub(super) struct Gate<'a> {
    pub(super) extensions: &'a Extensions,
    pub(super) switches: Option<&'a Switches>,
    pub(super) mode: &'a Mode,
    pub(super) cx: &'a Context,
}

/// Why a handler does not run.
pub(super) enum Held {
    Skipped(SkipReason),
    /// One of its conditions panicked.
    Failed(HandlerError),
}

impl Gate<'_> {
    /// The silence over a fire of this point or over a pipeline, of its task or of the instance.
    pub(super) fn silence(&self, point: Option<&PointInfo>) -> Option<Silence> {
        if self.cx.frame().is_some_and(|frame| frame.is_silenced(self.extensions.id())) {
            return Some(Silence { allows_guards: false });
        }
        self.switches?.silence(point)
    }

    /// Whether a handler of any kind takes part.
    pub(super) fn applies<P: ExtensionPoint>(&self, at: &Attached<P>, point: &P) -> Result<(), Held> {
        if let Some(reason) = self.switched_off(&at.info) {
            // What is no part of the fire is not missed either.
            let is_part = at.conditions.iter().all(|check| self.holds(check, point).unwrap_or(true));
            return Err(Held::Skipped(if is_part { reason } else { SkipReason::Condition }));
        }
        match self.conditions_hold(at, point) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Held::Skipped(SkipReason::Condition)),
            Err(error) => Err(Held::Failed(error)),
        }
    }

    /// Whether all conditions of a handler hold.
    pub(super) fn conditions_hold<P: ExtensionPoint>(
        &self,
        at: &Attached<P>,
        point: &P,
    ) -> Result<bool, HandlerError> {
        for check in &at.conditions {
            if !self.holds(check, point)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether an inline handler runs now. What passes its breaker is settled with the handler's result.
    pub(super) fn admit<P: ExtensionPoint>(&self, at: &Attached<P>, point: &P) -> Result<Option<Pass>, Held> {
        self.applies(at, point)?;
        self.pass(at.breaker.as_ref())
    }

    /// Whether a breaker lets a call through now.
    pub(super) fn pass(&self, breaker: Option<&Arc<Breaker>>) -> Result<Option<Pass>, Held> {
        match breaker {
            Some(breaker) if !self.mode.bypass_breaker => {
                breaker.admit().map(Some).map_err(|_| Held::Skipped(SkipReason::CircuitOpen))
            }
            _ => Ok(None),
        }
    }

    /// Whether an inline handler would run now; its breaker is not told of the question.
    pub(super) fn would_admit<P: ExtensionPoint>(&self, at: &Attached<P>, point: &P) -> Result<(), Held> {
        self.applies(at, point)?;
        match &at.breaker {
            Some(breaker) if !self.mode.bypass_breaker && breaker.retry_in().is_some() => {
                Err(Held::Skipped(SkipReason::CircuitOpen))
            }
            _ => Ok(()),
        }
    }

    /// Why a handler takes no part, whatever is fired.
    pub(super) fn switched_off(&self, info: &HandlerInfo) -> Option<SkipReason> {
        if self.mode.overrides.as_ref().is_some_and(|overrides| !overrides.chooses(info)) {
            return Some(SkipReason::NotChosen);
        }
        let switches = self.switches?;
        if switches.is_muted(info) {
            return Some(SkipReason::Muted);
        }
        switches.is_disabled(info).then_some(SkipReason::Disabled)
    }

    fn holds<P: ExtensionPoint>(&self, check: &Check<P>, point: &P) -> Result<bool, HandlerError> {
        let asked = match check {
            Check::Environment(holds) => return Ok(*holds),
            Check::Feature { name, active } => {
                catch_unwind(AssertUnwindSafe(|| self.is_active(name) == *active))
            }
            Check::Predicate(predicate) => catch_unwind(AssertUnwindSafe(|| predicate(point, self.cx))),
        };
        asked.map_err(HandlerError::panicked)
    }

    fn is_active(&self, feature: &str) -> bool {
        let cx = self.cx;
        let scope = FlagScope::new(cx.tenant(), cx.user(), cx.request(), cx.scope());
        self.extensions.premises().features.is_active(feature, &scope)
    }
}

//! Observers: told of every fire when it is over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::Arc;

use super::{FireError, FireOutcome, FireReport, Fired};
use crate::handler::panic_text;
use crate::instance::Extensions;
use crate::point::{AnyPoint, ExtensionPoint, PointInfo};
use crate::telemetry::names::event;
use crate::telemetry::record;

/// Told of every fire when it is over: of those that succeeded, were vetoed, failed or were silenced, nested ones included.
///
/// It runs on the path of the fire, after the push. A closure `Fn(&Observed<'_>)` is one too. A panic in it is logged and changes
/// nothing.
pub trait Observer: Send + Sync + 'static {
    /// Told of a fire.
    fn fired(&self, fire: &Observed<'_>);
}

impl<F: Fn(&Observed<'_>) + Send + Sync + 'static> Observer for F {
    fn fired(&self, fire: &Observed<'_>) {
        self(fire);
    }
}

/// A fire that is over.
#[derive(Debug)]
pub struct Observed<'a> {
    info: &'static PointInfo,
    point: Option<AnyPoint<'a>>,
    report: &'a FireReport,
    error: Option<&'a FireError>,
}

impl<'a> Observed<'a> {
    /// The description of the point's type.
    #[must_use]
    pub const fn info(&self) -> &'static PointInfo {
        self.info
    }

    /// The point, as the handlers left it; none if it was lost with the error.
    #[must_use]
    pub const fn point(&self) -> Option<AnyPoint<'a>> {
        self.point
    }

    /// What the fire did.
    #[must_use]
    pub const fn report(&self) -> &'a FireReport {
        self.report
    }

    /// The error that ended it, if one did.
    #[must_use]
    pub const fn error(&self) -> Option<&'a FireError> {
        self.error
    }
}

impl Extensions {
    pub(super) fn observe<P: ExtensionPoint>(&self, fired: &Result<Fired<P>, FireError>) {
        self.observe_all(slice::from_ref(fired));
    }

    pub(super) fn observe_all<P: ExtensionPoint>(&self, fired: &[Result<Fired<P>, FireError>]) {
        self.count(fired);
        fired.iter().for_each(|fired| self.tell(fired, &self.settings().observers));
    }

    /// Tells a fake alone, of a fire that observers are not to know of.
    pub(super) fn record<P: ExtensionPoint>(&self, fired: &Result<Fired<P>, FireError>) {
        self.count(slice::from_ref(fired));
        self.tell(fired, &[]);
    }

    /// Counts fires of a point with async handlers; of any, while profiling is on.
    pub(super) fn count<P: ExtensionPoint>(&self, fired: &[Result<Fired<P>, FireError>]) {
        let is_queued = || self.view().registry().table::<P>().is_some_and(|table| !table.queued.is_empty());
        if cfg!(feature = "metrics") && (self.profiling() || is_queued()) {
            for alike in fired.chunk_by(|one, other| FireOutcome::of(one) == FireOutcome::of(other)) {
                record::fired(P::info().name, FireOutcome::of(&alike[0]).name(), alike.len() as u64);
            }
        }
    }

    fn tell<P: ExtensionPoint>(&self, fired: &Result<Fired<P>, FireError>, observers: &[Arc<dyn Observer>]) {
        let fake = self.settings().fake.as_deref();
        if observers.is_empty() && fake.is_none() {
            return;
        }
        let name = &*self.premises().renames.point(P::info());
        let fresh = FireReport::new(P::info().name);
        let fire = match fired {
            Ok(fired) => Observed {
                info: P::info(),
                point: Some(AnyPoint::new(name, fired.point())),
                report: fired.report().unwrap_or(&fresh),
                error: None,
            },
            Err(error) => Observed {
                info: P::info(),
                point: error.point::<P>().map(|point| AnyPoint::new(name, point)),
                report: error.report(),
                error: Some(error),
            },
        };
        let fake = fake.map(|fake| fake as &dyn Observer);
        for observer in fake.into_iter().chain(observers.iter().map(|observer| &**observer)) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| observer.fired(&fire))) {
                tracing::error!(name: event::OBSERVER_PANICKED, point = name, panic = panic_text(panic), "an observer panicked");
            }
        }
    }
}

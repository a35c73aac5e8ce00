//! Observers: told of every fire when it is over.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{FireError, FireReport, Fired};
use crate::instance::Extensions;
use crate::point::{AnyPoint, ExtensionPoint};

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
    point: Option<AnyPoint<'a>>,
    report: &'a FireReport,
    error: Option<&'a FireError>,
}

impl<'a> Observed<'a> {
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
        let observers = &self.settings().observers;
        if observers.is_empty() {
            return;
        }
        let name = &*self.premises().renames.point(P::info());
        let fresh = FireReport::new(P::info().name);
        let fire = match fired {
            Ok(fired) => Observed {
                point: Some(AnyPoint::new(name, fired.point())),
                report: fired.report().unwrap_or(&fresh),
                error: None,
            },
            Err(error) => Observed {
                point: error.point::<P>().map(|point| AnyPoint::new(name, point)),
                report: error.report(),
                error: Some(error),
            },
        };
        for observer in observers {
            if catch_unwind(AssertUnwindSafe(|| observer.fired(&fire))).is_err() {
                tracing::error!(point = name, "an observer panicked");
            }
        }
    }
}

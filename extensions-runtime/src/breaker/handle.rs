//! A breaker as the application sees it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Breaker;
use crate::handler::HandlerInfo;
use crate::instance::Extensions;
use crate::point::ExtensionPoint;
use crate::policy::{BreakerOptions, BreakerStatus};
use crate::task;

/// A circuit breaker of an instance: of a handler, or a named one for the application's own calls. Cheap to clone.
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Breaker>);

/// How a circuit breaker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BreakerReport {
    /// Its name; of a handler's: `point/handler`.
    pub name: String,
    /// Its state.
    pub status: BreakerStatus,
    /// How many failures in a row it has seen.
    pub failures: u32,
    /// How long until a call may be let through; none if it would be now, `Duration::MAX` where it was opened by hand.
    pub retry_in: Option<Duration>,
}

/// Why a guarded call gave no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum BreakerError<E> {
    /// The circuit is open: the call was not made.
    Open {
        /// How long until a call may be let through; zero while enough are under way, `Duration::MAX` where it was opened by hand.
        retry_in: Duration,
    },
    /// The call's own error.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for BreakerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { retry_in } if *retry_in == Duration::MAX => {
                f.write_str("the circuit was opened by hand")
            }
            Self::Open { retry_in } => write!(f, "the circuit is open; try again in {retry_in:?}"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for BreakerError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { .. } => None,
            Self::Failed(error) => error.source(),
        }
    }
}

impl CircuitBreaker {
    /// Makes a call through the breaker. An `Err` counts as a failure, and so does a panic, which goes on; a call that is dropped
    /// before its end counts as nothing.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] where the call was not made; [`BreakerError::Failed`] with its own error.
    pub async fn call<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, BreakerError<E>> {
        let pass = self.0.admit().map_err(|retry_in| BreakerError::Open { retry_in })?;
        match task::catching(call).await {
            Ok(result) => {
                pass.settle(result.is_ok());
                result.map_err(BreakerError::Failed)
            }
            Err(panic) => {
                pass.settle(false);
                std::panic::resume_unwind(panic)
            }
        }
    }

    /// Whether a call would be let through now.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.report().retry_in.is_none()
    }

    /// Its state.
    #[must_use]
    pub fn status(&self) -> BreakerStatus {
        self.report().status
    }

    /// How many failures in a row it has seen.
    #[must_use]
    pub fn failure_count(&self) -> u32 {
        self.report().failures
    }

    /// All of it at one time.
    #[must_use]
    pub fn report(&self) -> BreakerReport {
        self.0.report()
    }

    /// Opens it until [`close`](Self::close) or [`reset`](Self::reset): no time-out ends that.
    pub fn open(&self) {
        self.0.step(|machine, _| ((), machine.force_open()));
    }

    /// Closes it.
    pub fn close(&self) {
        self.0.step(|machine, _| ((), machine.close()));
    }

    /// Makes it as new: closed, without failures, and no call that is under way counts any more.
    pub fn reset(&self) {
        self.0.step(|machine, _| ((), machine.reset()));
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// # Circuit breakers
impl Extensions {
    /// The breaker of this name for the application's own calls, made at its first use with the instance's options.
    pub fn circuit_breaker(&self, name: &str) -> CircuitBreaker {
        self.circuit_breaker_with(name, self.premises().breaker.unwrap_or_default())
    }

    /// The breaker of this name for the application's own calls, made at its first use with these options.
    ///
    /// # Panics
    ///
    /// If no breaker can work with the options ([`BreakerOptions::check`]).
    #[track_caller]
    pub fn circuit_breaker_with(&self, name: &str, options: BreakerOptions) -> CircuitBreaker {
        if let Err(wrong) = options.check() {
            panic!("the circuit breaker {name:?}: {}", wrong.join("; "));
        }
        CircuitBreaker(self.premises().breakers.named(name, options))
    }

    /// The breaker of the handler of type `H` on the point `P`, unless it has none. Handlers of scopes are not looked at.
    pub fn breaker_of<P: ExtensionPoint, H: 'static>(&self) -> Option<CircuitBreaker> {
        self.breaker_where::<P>(HandlerInfo::is::<H>)
    }

    /// The breaker of the handler of this name on the point `P`, unless it has none. Handlers of scopes are not looked at.
    pub fn breaker_of_named<P: ExtensionPoint>(&self, handler: &str) -> Option<CircuitBreaker> {
        self.breaker_where::<P>(|info| info.name == handler)
    }

    fn breaker_where<P: ExtensionPoint>(&self, is: impl Fn(&HandlerInfo) -> bool) -> Option<CircuitBreaker> {
        let registry = self.registry();
        let at = registry.table::<P>()?.attached().find(|at| is(&at.info))?;
        at.breaker.clone().map(CircuitBreaker)
    }

    /// How all breakers are, by name.
    #[must_use]
    pub fn breakers(&self) -> Vec<BreakerReport> {
        self.premises().breakers.all().iter().map(|breaker| breaker.report()).collect()
    }
}

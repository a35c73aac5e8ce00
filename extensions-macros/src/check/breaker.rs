//! The model of a handler's circuit breaker: only what was written, since defaults can come from elsewhere.

use std::time::Duration;

use crate::errors::Errors;
use crate::parse::circuit_breaker::CircuitBreaker;

#[derive(Default, PartialEq, Eq)]
pub(crate) struct Breaker {
    pub(crate) off: bool,
    pub(crate) threshold: Option<u32>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) half_open_max: Option<u32>,
}

pub(crate) fn check(options: CircuitBreaker, errors: &mut Errors) -> Breaker {
    let off = options.off.value().is_some_and(|on| on.0);
    let others = [options.threshold.key(), options.timeout.key(), options.half_open_max.key()];
    for key in others.into_iter().flatten().filter(|_| off) {
        errors.at(key.span(), format!("`{key}` has no effect without a breaker; remove it, or remove `off`"));
    }
    Breaker {
        off,
        threshold: options.threshold.into_value().map(|failures| failures.0),
        timeout: options.timeout.into_value().map(|pause| pause.0),
        half_open_max: options.half_open_max.into_value().map(|probes| probes.0),
    }
}

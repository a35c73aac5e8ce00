//! The model of an async handler's options: only what was written, since defaults can come from elsewhere.

use std::time::Duration;

use syn::{ExprPath, Ident};

use super::names;
use crate::errors::Errors;
use crate::keys;
use crate::parse::async_handler::AsyncOptions;
use crate::parse::backoff::{BackoffCall, BackoffValue, Jitter};
use crate::slot::Slot;
use crate::value::{FieldNames, Strategy, Timeout, Waits};

/// The base of a strategy for which none was written.
const DEFAULT_BASE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) queue: Option<String>,
    pub(crate) delay: Option<Duration>,
    pub(crate) attempts: Option<Attempts>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) priority: Option<u8>,
    pub(crate) tags: Vec<String>,
    pub(crate) unique: Option<bool>,
    pub(crate) unique_for: Option<Duration>,
    pub(crate) unique_by: Vec<String>,
    pub(crate) unique_until_start: bool,
    pub(crate) retry_until: Option<Duration>,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) discard_missing: Option<bool>,
    pub(crate) on_failure: Option<ExprPath>,
    pub(crate) on_retry: Option<ExprPath>,
}

/// One number under two names; the name is kept for what the macro writes.
pub(crate) struct Attempts {
    pub(crate) method: &'static str,
    pub(crate) number: u32,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Backoff {
    Growing { strategy: Strategy, base: Duration, max: Option<Duration>, jitter: Option<Jitter> },
    List(Vec<Duration>),
}

pub(crate) fn check(options: AsyncOptions, errors: &mut Errors) -> Options {
    check_unique(&options, errors);
    check_expiry(&options, errors);
    Options {
        queue: names::queue(options.queue.value(), errors),
        attempts: attempts(&options, errors),
        tags: names::words(options.tags.value(), "a tag", errors),
        unique_by: fields(options.unique_by.value(), errors),
        backoff: backoff(options.backoff, options.backoff_seconds, errors),
        delay: options.delay.into_value().map(|delay| delay.0),
        timeout: options.timeout.into_value(),
        priority: options.priority.into_value().map(|rank| rank.0),
        unique: options.unique.into_value().map(|on| on.0),
        unique_for: options.unique_for.into_value().map(|length| length.0),
        unique_until_start: options.unique_until.into_value().is_some_and(|until| until.0),
        retry_until: options.retry_until.into_value().map(|length| length.0),
        expires_in: options.expires_in.into_value().map(|length| length.0),
        discard_missing: options.missing.into_value().map(|missing| missing.0),
        on_failure: options.on_failure.into_value().map(|path| path.0),
        on_retry: options.on_retry.into_value().map(|path| path.0),
    }
}

fn attempts(options: &AsyncOptions, errors: &mut Errors) -> Option<Attempts> {
    if let (Some(_), Some(second)) = (options.retries.key(), options.max_attempts.key()) {
        errors.at(
            second.span(),
            "`retries` and `max_attempts` are one option under two names; keep one of them",
        );
    }
    let retries = options.retries.value().map(|n| Attempts { method: keys::RETRIES, number: n.0 });
    retries.or_else(|| {
        options.max_attempts.value().map(|n| Attempts { method: keys::MAX_ATTEMPTS, number: n.0 })
    })
}

fn check_unique(options: &AsyncOptions, errors: &mut Errors) {
    let unknown = options.unique.key().is_some() && options.unique.value().is_none();
    if unknown || options.unique.value().is_some_and(|on| on.0) {
        return;
    }
    let keys = [options.unique_for.key(), options.unique_by.key(), options.unique_until.key()];
    for key in keys.into_iter().flatten() {
        errors.at(key.span(), format!("`{key}` has no effect without uniqueness; add `unique = true`"));
    }
}

fn check_expiry(options: &AsyncOptions, errors: &mut Errors) {
    let (Some(key), Some(expires)) = (options.expires_in.key(), options.expires_in.value()) else { return };
    if options.delay.value().is_some_and(|delay| delay.0 >= expires.0) {
        errors.at(
            key.span(),
            "its jobs would expire before their `delay` is over; make `expires_in` longer than `delay`",
        );
    }
}

fn fields(given: Option<&FieldNames>, errors: &mut Errors) -> Vec<String> {
    let mut fields = Vec::new();
    for field in given.map_or(&[][..], |given| &given.0) {
        if field.name.trim().is_empty() {
            errors.at(field.span, "a field's name cannot be empty");
        } else if fields.contains(&field.name) {
            errors.at(field.span, format!("`{}` is given twice; remove one of them", field.name));
        } else {
            fields.push(field.name.clone());
        }
    }
    fields
}

fn backoff(strategy: Slot<BackoffValue>, seconds: Slot<Waits>, errors: &mut Errors) -> Option<Backoff> {
    match (strategy.into_given(), seconds.into_given()) {
        (None, None) => None,
        (None, Some(waits)) => Some(match waits.value {
            Waits::Base(base) => plain(Strategy::Exponential, base),
            Waits::List(waits) => Backoff::List(waits),
        }),
        (Some(strategy), None) => Some(match strategy.value {
            BackoffValue::Strategy(strategy) => plain(strategy, DEFAULT_BASE),
            BackoffValue::Call(call) => called(&call),
        }),
        (Some(strategy), Some(waits)) => match (strategy.value, waits.value) {
            (BackoffValue::Strategy(strategy), Waits::Base(base)) => Some(plain(strategy, base)),
            (BackoffValue::Strategy(_), Waits::List(_)) => {
                refuse(&waits.key, "a list of waits is a back-off of its own; remove `backoff`", errors)
            }
            (BackoffValue::Call(call), _) => {
                refuse(&waits.key, &format!("the call has the base in it; {}", in_call(&call)), errors)
            }
        },
    }
}

fn in_call(call: &BackoffCall) -> String {
    let name = match call.strategy {
        Strategy::Fixed => "fixed",
        Strategy::Linear => "linear",
        Strategy::Exponential => "exponential",
    };
    format!("write `backoff = {name}(…)` and remove `backoff_seconds`")
}

fn refuse(key: &Ident, message: &str, errors: &mut Errors) -> Option<Backoff> {
    errors.at(key.span(), message);
    None
}

fn plain(strategy: Strategy, base: Duration) -> Backoff {
    Backoff::Growing { strategy, base, max: None, jitter: None }
}

fn called(call: &BackoffCall) -> Backoff {
    Backoff::Growing {
        strategy: call.strategy,
        base: call.base.unwrap_or(DEFAULT_BASE),
        max: call.max,
        jitter: call.jitter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff_of(text: &str) -> Result<Option<Backoff>, String> {
        let mut errors = Errors::new();
        let options = AsyncOptions::parse(text.parse().expect("tokens"), &mut errors);
        let backoff = check(options, &mut errors).backoff;
        errors.finish().map_or(Ok(backoff), |errors| Err(errors.to_string()))
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_form_has_its_base() {
        for (text, strategy, base) in [
            ("backoff = \"linear\"", Strategy::Linear, 10),
            ("backoff = \"fixed\", backoff_seconds = 3", Strategy::Fixed, 3),
            ("backoff_seconds = 7", Strategy::Exponential, 7),
            ("backoff_seconds = \"2m\"", Strategy::Exponential, 120),
            ("backoff = linear(5)", Strategy::Linear, 5),
            ("backoff = exponential()", Strategy::Exponential, 10),
        ] {
            assert_eq!(backoff_of(text), Ok(Some(plain(strategy, secs(base)))), "{text}");
        }
        assert_eq!(backoff_of("queue = \"a\""), Ok(None));
        assert_eq!(
            backoff_of("backoff_seconds = [10, \"1m\"]"),
            Ok(Some(Backoff::List(vec![secs(10), secs(60)])))
        );
    }

    #[test]
    fn a_call_takes_ceiling_and_jitter() {
        let call = |jitter| {
            let (strategy, base, max) = (Strategy::Exponential, secs(10), Some(secs(3_600)));
            Ok(Some(Backoff::Growing { strategy, base, max, jitter: Some(jitter) }))
        };
        assert_eq!(
            backoff_of("backoff = exponential(\"10s\", max = \"1h\", jitter = 0.1)"),
            call(Jitter::Fraction(0.1))
        );
        assert_eq!(
            backoff_of("backoff = exponential(\"10s\", jitter = \"full\", max = \"1h\")"),
            call(Jitter::Full)
        );
    }

    #[test]
    fn contradictions_are_refused() {
        for text in [
            "backoff = \"linear\", backoff_seconds = [1, 2]",
            "backoff = linear(5), backoff_seconds = 5",
            "backoff = exponential(\"1h\", max = \"1m\")",
            "backoff = linear",
            "backoff = 10",
            "backoff = \"quadratic\"",
            "backoff = linear(5, jitter = 2)",
            "backoff = linear(5, jitter = 0.1, jitter = 0.2)",
            "backoff_seconds = []",
        ] {
            assert!(backoff_of(text).is_err(), "{text}");
        }
    }
}

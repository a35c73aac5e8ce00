//! `#[circuit_breaker(…)]`

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use syn::Ident;
use syn::parse::{ParseStream, Parser};

use super::options;
use crate::errors::Errors;
use crate::keys;
use crate::slot::{Slot, Value, here};
use crate::suggest;
use crate::value::{Length, Switch, whole};

#[derive(Default)]
pub(crate) struct CircuitBreaker {
    pub(crate) off: Slot<Switch>,
    pub(crate) threshold: Slot<Threshold>,
    pub(crate) timeout: Slot<Pause>,
    pub(crate) half_open_max: Slot<Probes>,
}

impl CircuitBreaker {
    /// `at` is where missing options are reported.
    pub(crate) fn parse(args: TokenStream, at: Span, errors: &mut Errors) -> Self {
        if args.is_empty() {
            errors.at(
                at,
                "the options are missing; write `#[circuit_breaker(threshold = 3)]`, or `#[circuit_breaker(off)]` \
                 for no breaker",
            );
        }
        let mut all = Self::default();
        let read = (|input: ParseStream<'_>| {
            options::each(input, errors, |key, input, errors| all.read(key, input, errors));
            Ok(())
        })
        .parse2(args);
        errors.take(read);
        all
    }

    fn read(&mut self, key: &Ident, input: ParseStream<'_>, errors: &mut Errors) {
        match key.to_string().as_str() {
            keys::OFF => self.off.read(key, input, errors),
            keys::THRESHOLD => self.threshold.read(key, input, errors),
            keys::TIMEOUT => self.timeout.read(key, input, errors),
            keys::HALF_OPEN_MAX => self.half_open_max.read(key, input, errors),
            other => {
                let hint = suggest::hint(other, keys::CIRCUIT_BREAKER);
                errors.at(key.span(), format!("unknown option `{other}`; {hint}"));
            }
        }
    }
}

/// A number that is refused, with `zero`, if it is none.
fn at_least_one(input: ParseStream<'_>, expected: &str, zero: &str) -> syn::Result<u32> {
    let span = here(input);
    match whole(input, expected)? {
        0 => Err(syn::Error::new(span, zero)),
        number => Ok(number),
    }
}

/// How many failures in a row open it.
pub(crate) struct Threshold(pub(crate) u32);

impl Value for Threshold {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let zero = "a breaker opens after at least 1 failure; write `threshold = 1`, or `#[circuit_breaker(off)]` for \
                    no breaker";
        at_least_one(input, "a number of failures in a row, such as `5`", zero).map(Self)
    }
}

/// How many probes are let through at a time.
pub(crate) struct Probes(pub(crate) u32);

impl Value for Probes {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let zero = "without a probe the breaker would never close; write `half_open_max = 1` or more";
        at_least_one(input, "a number of probes at a time, such as `3`", zero).map(Self)
    }
}

/// How long it stays open.
pub(crate) struct Pause(pub(crate) Duration);

impl Value for Pause {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = here(input);
        let Length(duration) = Length::parse(input)?;
        if duration.is_zero() {
            let message = "a breaker stays open for a while; write how long: `timeout = \"30s\"`, or \
                           `#[circuit_breaker(off)]` for no breaker";
            return Err(syn::Error::new(span, message));
        }
        Ok(Self(duration))
    }
}

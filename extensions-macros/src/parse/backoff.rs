//! `backoff = "linear"` and `backoff = exponential("10s", max = "1h", jitter = 0.1)`

use std::time::Duration;

use syn::parse::ParseStream;
use syn::{Ident, Lit, LitFloat, LitStr, Token, parenthesized, token};

use super::options;
use crate::errors::Errors;
use crate::keys;
use crate::slot::{Slot, Value, here};
use crate::suggest;
use crate::value::{Length, Positive, Strategy};

pub(crate) enum BackoffValue {
    /// Only a strategy; the base comes from `backoff_seconds`.
    Strategy(Strategy),
    Call(BackoffCall),
}

pub(crate) struct BackoffCall {
    pub(crate) strategy: Strategy,
    pub(crate) base: Option<Duration>,
    pub(crate) max: Option<Duration>,
    pub(crate) jitter: Option<Jitter>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Jitter {
    Full,
    Fraction(f64),
}

impl Value for BackoffValue {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) {
            return Strategy::parse(input).map(Self::Strategy);
        }
        if input.peek(Lit) || input.peek(token::Bracket) {
            let message = "`backoff` names a strategy; write the seconds as `backoff_seconds = …`";
            return Err(syn::Error::new(here(input), message));
        }
        let name: Ident = input.parse().map_err(|_| expected(input))?;
        let strategy = Strategy::named(&name)?;
        if !input.peek(token::Paren) {
            let message = format!("expected `\"{name}\"`, or a call such as `{name}(\"10s\")`");
            return Err(syn::Error::new(name.span(), message));
        }
        let arguments;
        parenthesized!(arguments in input);
        BackoffCall::parse(strategy, &arguments).map(Self::Call)
    }
}

fn expected(input: ParseStream<'_>) -> syn::Error {
    let message =
        "expected `\"fixed\"`, `\"linear\"`, `\"exponential\"`, or a call such as `linear(\"10s\")`";
    syn::Error::new(here(input), message)
}

impl BackoffCall {
    fn parse(strategy: Strategy, input: ParseStream<'_>) -> syn::Result<Self> {
        let base = if input.is_empty() || input.peek(Ident) { None } else { Some(Length::parse(input)?.0) };
        if base.is_some() && !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        let (mut max, mut jitter) = (Slot::<Positive>::default(), Slot::<Jitter>::default());
        let mut errors = Errors::new();
        options::each(input, &mut errors, |key, input, errors| match key.to_string().as_str() {
            keys::MAX => max.read(key, input, errors),
            keys::JITTER => jitter.read(key, input, errors),
            other => {
                let hint = suggest::hint(other, &[keys::MAX, keys::JITTER]);
                errors.at(key.span(), format!("unknown option `{other}`; {hint}"));
            }
        });
        if let (Some(base), Some(max)) = (base, max.given())
            && max.value.0 < base
        {
            errors.at(max.span, "`max` is shorter than the first wait");
        }
        errors.into_result()?;
        Ok(Self { strategy, base, max: max.into_value().map(|max| max.0), jitter: jitter.into_value() })
    }
}

impl Value for Jitter {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = input.span();
        let expected = || syn::Error::new(span, "expected a share from 0 to 1, such as `0.1`, or `\"full\"`");
        match input.parse::<Lit>().map_err(|_| expected())? {
            Lit::Str(text) if text.value() == "full" => Ok(Self::Full),
            Lit::Float(share) => fraction(&share).ok_or_else(expected),
            Lit::Int(share) => share
                .base10_parse::<u8>()
                .ok()
                .filter(|share| *share <= 1)
                .map_or_else(|| Err(expected()), |share| Ok(Self::Fraction(f64::from(share)))),
            _ => Err(expected()),
        }
    }
}

fn fraction(literal: &LitFloat) -> Option<Jitter> {
    literal.base10_parse().ok().filter(|share| (0.0..=1.0).contains(share)).map(Jitter::Fraction)
}

//! The kinds of values that options take.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, Lit, LitBool, LitInt, LitStr, Path, Token, Type, bracketed, token};

use crate::duration;
use crate::root::Root;
use crate::slot::{Value, here};
use crate::suggest;

fn fail<T>(span: Span, message: impl Display) -> syn::Result<T> {
    Err(syn::Error::new(span, message))
}

/// A string.
pub(crate) struct Text(pub(crate) LitStr);

impl Value for Text {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if let Ok(literal) = input.parse() {
            return Ok(Self(literal));
        }
        match input.fork().parse::<Ident>() {
            Ok(word) => fail(here(input), format!("expected a string; write `\"{word}\"`")),
            Err(_) => fail(here(input), "expected a string"),
        }
    }
}

/// A list of strings.
pub(crate) struct Texts(pub(crate) Vec<LitStr>);

impl Value for Texts {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if let Ok(one) = input.fork().parse::<LitStr>() {
            return fail(one.span(), format!("expected a list; write `[\"{}\"]`", one.value()));
        }
        list(input, "a list of strings, such as `[\"a\", \"b\"]`", |item| {
            Text::parse(item).map(|text| text.0)
        })
        .map(Self)
    }
}

fn list<T>(
    input: ParseStream<'_>,
    expected: &str,
    mut item: impl FnMut(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<Vec<T>> {
    if !input.peek(token::Bracket) {
        return fail(here(input), format!("expected {expected}"));
    }
    let content;
    bracketed!(content in input);
    let items = items(&content, &mut item);
    // What stands behind a mistake is not a second one.
    content.parse::<TokenStream>()?;
    items
}

fn items<T>(
    content: ParseStream<'_>,
    item: &mut impl FnMut(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<Vec<T>> {
    let mut items = Vec::new();
    while !content.is_empty() {
        items.push(item(content)?);
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(items)
}

/// On or off: `unique`, `unique = true`.
pub(crate) struct Switch(pub(crate) bool);

impl Value for Switch {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = here(input);
        input
            .parse::<LitBool>()
            .map(|literal| Self(literal.value))
            .map_err(|_| syn::Error::new(span, "expected `true` or `false`"))
    }

    fn alone() -> Option<Self> {
        Some(Self(true))
    }
}

/// A whole number without a suffix.
pub(crate) fn whole<T: FromStr>(input: ParseStream<'_>, expected: &str) -> syn::Result<T>
where
    T::Err: Display,
{
    let span = here(input);
    let wrong = |_| syn::Error::new(span, format!("expected {expected}"));
    let minus: Option<Token![-]> = input.parse()?;
    let literal: LitInt = input.parse().map_err(wrong)?;
    let sign = if minus.is_some() { "-" } else { "" };
    if !literal.suffix().is_empty() {
        return fail(literal.span(), format!("expected {expected}"));
    }
    format!("{sign}{}", literal.base10_digits())
        .parse()
        .map_err(|_| syn::Error::new(span, format!("expected {expected}")))
}

/// A handler's place among the handlers of its point.
pub(crate) struct Order(pub(crate) i32);

impl Value for Order {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        whole(input, "a whole number that fits into an `i32`").map(Self)
    }
}

/// A job's rank in its queue.
pub(crate) struct Rank(pub(crate) u8);

impl Value for Rank {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let expected = "a rank from 0 (first) to 9 (last); the order of handlers is the `priority` of \
                        `#[extension_handler]`";
        let span = here(input);
        match whole(input, expected)? {
            rank @ 0..=9 => Ok(Self(rank)),
            _ => fail(span, format!("expected {expected}")),
        }
    }
}

/// A largest number of attempts.
pub(crate) struct Attempts(pub(crate) u32);

impl Value for Attempts {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = here(input);
        match whole(input, "a number of attempts, such as `3`")? {
            0 => fail(span, "attempts include the first one, so there is at least 1; write `1` for no retry"),
            attempts => Ok(Self(attempts)),
        }
    }
}

/// A payload's version.
pub(crate) struct Version(pub(crate) u32);

impl Value for Version {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = here(input);
        match whole(input, "a version number, such as `2`")? {
            0 => fail(span, "versions start at 1"),
            version => Ok(Self(version)),
        }
    }
}

/// A duration: seconds, or a string with units.
pub(crate) struct Length(pub(crate) Duration);

impl Value for Length {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = here(input);
        let minus: Option<Token![-]> = input.parse()?;
        let result = match input.parse::<Lit>() {
            Ok(_) if minus.is_some() => Err("a duration cannot be negative".to_owned()),
            Ok(Lit::Str(text)) => duration::parse(&text.value()),
            Ok(Lit::Int(number)) => seconds(&number),
            Ok(Lit::Float(_)) => Err("a number of seconds is whole; write `\"1500ms\"` for less".to_owned()),
            _ => Err("expected a duration: a number of seconds, or a string such as `\"1h 30m\"`".to_owned()),
        };
        result.map(Self).map_err(|message| syn::Error::new(span, message))
    }
}

fn seconds(number: &LitInt) -> Result<Duration, String> {
    if !number.suffix().is_empty() {
        return Err(format!("a duration with a unit is a string; write `\"{number}\"`"));
    }
    number
        .base10_parse()
        .map_err(|_| "a duration is at most 100 years".to_owned())
        .and_then(duration::seconds)
}

/// A duration that is more than nothing.
pub(crate) struct Positive(pub(crate) Duration);

impl Value for Positive {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = here(input);
        let Length(duration) = Length::parse(input)?;
        if duration.is_zero() {
            fail(span, "expected a duration of more than nothing")
        } else {
            Ok(Self(duration))
        }
    }
}

/// How long an attempt may run.
pub(crate) enum Timeout {
    After(Duration),
    None,
}

impl Value for Timeout {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = here(input);
        if input.fork().parse::<LitStr>().is_ok_and(|text| text.value() == "none") {
            input.parse::<LitStr>()?;
            return Ok(Self::None);
        }
        let Length(duration) = Length::parse(input)?;
        if duration.is_zero() {
            return fail(
                span,
                "nothing can run in no time; write `timeout = \"none\"` to turn the time-out off",
            );
        }
        Ok(Self::After(duration))
    }
}

/// One word of a fixed few, as a string.
fn word<T: Copy>(input: ParseStream<'_>, words: &[(&str, T)]) -> syn::Result<T> {
    let Text(literal) = Text::parse(input)?;
    let given = literal.value();
    words.iter().find(|(word, _)| *word == given).map(|(_, value)| *value).ok_or_else(|| {
        let valid: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        syn::Error::new(literal.span(), format!("unknown value `{given}`; {}", suggest::hint(&given, &valid)))
    })
}

/// Whether a unique key is given back when the job starts.
pub(crate) struct UntilStart(pub(crate) bool);

impl Value for UntilStart {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        word(input, &[("start", true), ("end", false)]).map(Self)
    }
}

/// Whether a job whose subject is gone is cancelled.
pub(crate) struct DiscardMissing(pub(crate) bool);

impl Value for DiscardMissing {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        word(input, &[("discard", true), ("fail", false)]).map(Self)
    }
}

/// Whether a guard that didn't run allows.
pub(crate) struct OnUnavailable {
    pub(crate) allow: bool,
}

impl Value for OnUnavailable {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        word(input, &[("allow", true), ("deny", false)]).map(|allow| Self { allow })
    }
}

/// How a wait grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    Fixed,
    Linear,
    Exponential,
}

const STRATEGIES: &[(&str, Strategy)] =
    &[("fixed", Strategy::Fixed), ("linear", Strategy::Linear), ("exponential", Strategy::Exponential)];

impl Strategy {
    /// The strategy as a string.
    pub(crate) fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        word(input, STRATEGIES)
    }

    /// The strategy that a call names: `linear("10s")`.
    pub(crate) fn named(name: &Ident) -> syn::Result<Self> {
        let given = name.to_string();
        STRATEGIES.iter().find(|(word, _)| *word == given).map(|(_, strategy)| *strategy).ok_or_else(|| {
            let valid: Vec<&str> = STRATEGIES.iter().map(|(word, _)| *word).collect();
            let message = format!("unknown back-off `{given}`; {}", suggest::hint(&given, &valid));
            syn::Error::new(name.span(), message)
        })
    }
}

/// `backoff_seconds = 10` or `= [10, 30]`.
pub(crate) enum Waits {
    Base(Duration),
    List(Vec<Duration>),
}

impl Value for Waits {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(token::Bracket) {
            return Length::parse(input).map(|base| Self::Base(base.0));
        }
        let span = here(input);
        let waits = list(input, "a list", |item| Length::parse(item).map(|wait| wait.0))?;
        if waits.is_empty() {
            return fail(span, "an empty back-off list; write the waits in seconds, such as `[10, 30, 60]`");
        }
        Ok(Self::List(waits))
    }
}

/// The names of a payload's fields: `order_id`, `"order_id"`, or a list of them.
pub(crate) struct FieldNames(pub(crate) Vec<FieldName>);

pub(crate) struct FieldName {
    pub(crate) name: String,
    pub(crate) span: Span,
}

impl Parse for FieldName {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = here(input);
        if let Ok(text) = input.parse::<LitStr>() {
            return Ok(Self { name: text.value(), span });
        }
        match Ident::parse_any(input) {
            Ok(name) => Ok(Self { name: name.unraw().to_string(), span }),
            Err(_) => fail(span, "expected a field's name, or a list such as `[customer, month]`"),
        }
    }
}

impl Value for FieldNames {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(token::Bracket) {
            return input.parse().map(|name| Self(vec![name]));
        }
        let span = here(input);
        let names = list(input, "a list", <FieldName as Parse>::parse)?;
        if names.is_empty() {
            return fail(span, "an empty list of fields; leave `unique_by` out to compare the whole payload");
        }
        Ok(Self(names))
    }
}

/// A path to a value or a function.
pub(crate) struct ValuePath(pub(crate) syn::ExprPath);

impl Value for ValuePath {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = here(input);
        if let Ok(text) = input.fork().parse::<LitStr>() {
            return fail(span, format!("expected a path; write `{}` without quotes", text.value()));
        }
        let path: syn::ExprPath =
            input.parse().map_err(|_| syn::Error::new(span, "expected a path, such as `module::name`"))?;
        if input.peek(token::Paren) || input.peek(token::Brace) {
            return fail(
                input.span(),
                "expected only a path; put the value into a `const` and name that here",
            );
        }
        Ok(Self(path))
    }
}

/// A type.
pub(crate) struct OutputType(pub(crate) Type);

impl Value for OutputType {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if let Ok(text) = input.fork().parse::<LitStr>() {
            return fail(text.span(), format!("expected a type; write `{}` without quotes", text.value()));
        }
        input.parse().map(Self)
    }
}

impl Value for Root {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let span = here(input);
        let path = match input.parse::<LitStr>() {
            Ok(text) => text.parse_with(Path::parse_mod_style),
            Err(_) => input.call(Path::parse_mod_style),
        };
        path.map(Self::new)
            .map_err(|_| syn::Error::new(span, "expected the name of the dependency, such as `\"ext\"`"))
    }
}

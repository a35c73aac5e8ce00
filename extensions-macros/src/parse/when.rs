//! `#[when(…)]`

use proc_macro2::{Span, TokenStream};
use syn::parse::{ParseStream, Parser};
use syn::{ExprPath, Ident, token};

use super::options;
use crate::errors::Errors;
use crate::keys;
use crate::slot::{Given, Slot, Value, here};
use crate::suggest;
use crate::value::{Text, Texts, ValuePath};

/// What has to hold, as written.
pub(crate) enum Condition {
    Environments(Texts),
    Feature(Text),
    NotFeature(Text),
    Predicate(Box<ExprPath>),
}

/// One `#[when(…)]`. A key that is given again is one more condition.
#[derive(Default)]
pub(crate) struct When {
    pub(crate) conditions: Vec<Given<Condition>>,
}

impl When {
    /// `at` is where a missing condition is reported.
    pub(crate) fn parse(args: TokenStream, at: Span, errors: &mut Errors) -> Self {
        if args.is_empty() {
            errors.at(at, "the condition is missing; write it: `#[when(env = \"production\")]`");
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
            keys::ENV => self.add(key, input, errors, |Environments(names)| Condition::Environments(names)),
            keys::FEATURE => self.add(key, input, errors, Condition::Feature),
            keys::NOT_FEATURE => self.add(key, input, errors, Condition::NotFeature),
            keys::PREDICATE => {
                self.add(key, input, errors, |ValuePath(path)| Condition::Predicate(Box::new(path)));
            }
            other => {
                let hint = suggest::hint(other, keys::WHEN);
                errors.at(key.span(), format!("unknown condition `{other}`; {hint}"));
            }
        }
    }

    fn add<T: Value>(
        &mut self,
        key: &Ident,
        input: ParseStream<'_>,
        errors: &mut Errors,
        condition: fn(T) -> Condition,
    ) {
        let mut slot = Slot::<T>::default();
        slot.read(key, input, errors);
        let given = slot.into_given();
        self.conditions.extend(given.map(|Given { key, value, span }| Given {
            key,
            value: condition(value),
            span,
        }));
    }
}

/// `"production"` or `["staging", "production"]`.
struct Environments(Texts);

impl Value for Environments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(token::Bracket) {
            return Text::parse(input).map(|Text(name)| Self(Texts(vec![name])));
        }
        let span = here(input);
        let names = Texts::parse(input)?;
        if names.0.is_empty() {
            let message =
                "an empty list of environments; write their names, such as `[\"staging\", \"production\"]`";
            return Err(syn::Error::new(span, message));
        }
        Ok(Self(names))
    }
}

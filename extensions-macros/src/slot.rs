//! A place for one option: it records the value, and knows of duplicates and of values that didn't parse.

use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::{Ident, Token};

use crate::errors::Errors;
use crate::keys;

/// What can stand behind `key =`.
pub(crate) trait Value: Sized {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self>;

    /// What the key alone means, for those that may stand alone.
    fn alone() -> Option<Self> {
        None
    }
}

/// An option's value and where it was given.
pub(crate) struct Given<T> {
    pub(crate) key: Ident,
    pub(crate) value: T,
    /// The value's place, for mistakes that only a later check finds.
    pub(crate) span: Span,
}

pub(crate) struct Slot<T> {
    key: Option<Ident>,
    given: Option<Given<T>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { key: None, given: None }
    }
}

impl<T: Value> Slot<T> {
    /// Reads the value of `key`, which has just been read, and records it or its mistake.
    pub(crate) fn read(&mut self, key: &Ident, input: ParseStream<'_>, errors: &mut Errors) {
        let value = errors.take(read_value(key, input));
        if self.key.is_some() {
            errors.at(key.span(), format!("duplicate option `{key}`; keep one of them"));
            return;
        }
        self.key = Some(key.clone());
        self.given = value.map(|(value, span)| Given { key: key.clone(), value, span });
    }
}

impl<T> Slot<T> {
    /// The key, also where its value didn't parse.
    pub(crate) fn key(&self) -> Option<&Ident> {
        self.key.as_ref()
    }

    pub(crate) fn given(&self) -> Option<&Given<T>> {
        self.given.as_ref()
    }

    pub(crate) fn value(&self) -> Option<&T> {
        self.given.as_ref().map(|given| &given.value)
    }

    pub(crate) fn into_value(self) -> Option<T> {
        self.given.map(|given| given.value)
    }

    pub(crate) fn into_given(self) -> Option<Given<T>> {
        self.given
    }
}

/// The place of the next token, which is a whole group if one begins here.
pub(crate) fn here(input: ParseStream<'_>) -> Span {
    input.cursor().token_tree().map_or_else(|| input.span(), |(token, _)| token.span())
}

fn read_value<T: Value>(key: &Ident, input: ParseStream<'_>) -> syn::Result<(T, Span)> {
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(needs_value(key));
        }
        let span = here(input);
        return T::parse(input).map(|value| (value, span));
    }
    let stands_alone = input.is_empty() || input.peek(Token![,]);
    let value = T::alone().filter(|_| stands_alone).map(|value| (value, key.span()));
    value.ok_or_else(|| match T::alone() {
        Some(_) => syn::Error::new(key.span(), format!("`{key}` stands alone; write `{key}`")),
        None => needs_value(key),
    })
}

fn needs_value(key: &Ident) -> syn::Error {
    let name = key.to_string();
    syn::Error::new(key.span(), format!("`{name}` needs a value, such as `{}`", keys::example(&name)))
}

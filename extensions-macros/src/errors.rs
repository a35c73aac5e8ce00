//! The accumulator that lets one expansion report every mistake of an item at once.

use std::fmt::Display;
use std::thread;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// Mistakes found so far. Dropping it without [`finish`](Self::finish) is a bug of the macro and panics,
/// since the user's mistakes would go unreported.
pub(crate) struct Errors {
    found: Option<Vec<syn::Error>>,
}

impl Errors {
    pub(crate) fn new() -> Self {
        Self { found: Some(Vec::new()) }
    }

    /// Records a mistake that covers `tokens`.
    pub(crate) fn on(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Records a mistake at `span`.
    pub(crate) fn at(&mut self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        if let Some(found) = &mut self.found {
            found.push(error);
        }
    }

    /// The value, or its mistake recorded.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn count(&self) -> usize {
        self.found.as_ref().map_or(0, Vec::len)
    }

    /// All mistakes as one error, for a parser inside another one.
    pub(crate) fn into_result(mut self) -> syn::Result<()> {
        let combined = self.found.take().unwrap_or_default().into_iter().reduce(|mut all, error| {
            all.combine(error);
            all
        });
        combined.map_or(Ok(()), Err)
    }

    /// All mistakes as `compile_error!` items, or nothing if there were none.
    pub(crate) fn finish(mut self) -> Option<TokenStream> {
        let found = self.found.take().unwrap_or_default();
        (!found.is_empty()).then(|| found.iter().map(syn::Error::to_compile_error).collect())
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        if self.found.is_some() && !thread::panicking() {
            panic!("mistakes were collected and never reported");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_found_is_nothing_reported() {
        assert!(Errors::new().finish().is_none());
    }

    #[test]
    fn every_mistake_is_reported() {
        let mut errors = Errors::new();
        errors.at(Span::call_site(), "one");
        errors.at(Span::call_site(), "two");
        assert_eq!(errors.count(), 2);
        let reported = errors.finish().expect("two mistakes").to_string();
        assert!(reported.contains("one") && reported.contains("two"), "{reported}");
    }

    #[test]
    #[should_panic(expected = "never reported")]
    fn forgetting_to_report_panics() {
        drop(Errors::new());
    }
}

//! The loop over `key, key = value, …` that goes on after a mistake.

use proc_macro2::TokenTree;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Ident, Token};

use crate::errors::Errors;

/// Calls `one` for each key, with the input behind it. After a mistake it goes on behind the next comma.
pub(crate) fn each(
    input: ParseStream<'_>,
    errors: &mut Errors,
    mut one: impl FnMut(&Ident, ParseStream<'_>, &mut Errors),
) {
    while !input.is_empty() {
        let before = errors.count();
        match Ident::parse_any(input) {
            Ok(key) => one(&key, input, errors),
            Err(_) => errors.at(input.span(), "expected an option, such as `key = value`"),
        }
        end_of_option(input, errors, before);
    }
}

/// Reads the comma behind an option. What else stands there is a mistake, unless one was found already.
pub(crate) fn end_of_option(input: ParseStream<'_>, errors: &mut Errors, mistakes_before: usize) {
    if !input.is_empty() && !input.peek(Token![,]) && errors.count() == mistakes_before {
        errors.at(input.span(), "expected `,` between options");
    }
    skip(input);
    if input.peek(Token![,]) {
        let _ = input.parse::<Token![,]>();
    }
}

/// Goes to the next comma.
pub(crate) fn skip(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        let _ = input.parse::<TokenTree>();
    }
}

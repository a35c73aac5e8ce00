//! Derive and attribute macros of the `extensions` framework; use them through the crate `extensions`.
//!
//! Every macro goes three steps: [`parse`] reads what was written and records mistakes, [`check`] turns it into a
//! model that cannot be wrong, [`expand`] writes the code. All mistakes of an item are reported at once, and the item
//! itself is always written back, so that no second wave of errors follows.

mod check;
mod duration;
mod errors;
mod expand;
#[cfg(test)]
mod golden;
mod keys;
mod parse;
mod root;
mod slot;
mod suggest;
mod value;

use proc_macro::TokenStream;

use crate::errors::Errors;
use crate::parse::attributes::Kind;

#[proc_macro_derive(ExtensionPoint, attributes(extension_point))]
pub fn extension_point(input: TokenStream) -> TokenStream {
    derive_point(input.into()).into()
}

#[proc_macro_attribute]
pub fn extension_handler(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::ExtensionHandler, args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn async_handler(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::AsyncHandler, args.into(), item.into()).into()
}

#[proc_macro]
pub fn declare_handler(input: TokenStream) -> TokenStream {
    declare(input.into()).into()
}

#[proc_macro_attribute]
pub fn when(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::When, args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn circuit_breaker(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::CircuitBreaker, args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn scheduled(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::Scheduled, args.into(), item.into()).into()
}

fn derive_point(input: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let input = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut errors = Errors::new();
    let point = check::point::check(&input, &mut errors);
    let mistakes = errors.finish();
    let expanded = expand::point::expand(&point);
    quote::quote! { #mistakes #expanded }
}

fn attribute(
    outermost: Kind,
    args: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let mut errors = Errors::new();
    let (mut item, ours) = parse::item::Item::parse(outermost, args, item, &mut errors);
    let outcome = check::handler::check(&mut item, ours, &mut errors);
    if let Some(mistakes) = errors.finish() {
        return quote::quote! { #mistakes #item };
    }
    let expanded = outcome.as_ref().map(expand::handler::expand);
    let lints = outcome.as_ref().and_then(expand::handler::lints);
    quote::quote! { #lints #item #expanded }
}

fn declare(input: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let mut errors = Errors::new();
    let parsed = parse::declare::Declaration::parse(input, &mut errors);
    let declaration = check::declare::check(parsed, &mut errors);
    if let Some(mistakes) = errors.finish() {
        return mistakes;
    }
    declaration.as_ref().map(expand::declare::expand).unwrap_or_default()
}

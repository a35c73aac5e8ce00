//! A function as a handler: a hidden type that holds its resources and calls it.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, Index};

use super::handler::variable;
use super::located;
use crate::check::function::{Function, Param};
use crate::check::handler::{Attachment, Work};

pub(crate) fn type_name() -> Ident {
    format_ident!("__ExtHandler")
}

/// The resources in the order of their parameters: name, type.
fn resources(function: &Function) -> impl Iterator<Item = (&String, &syn::Type)> {
    function.params.iter().filter_map(|param| match param {
        Param::Resource { name, ty, .. } => Some((name, &**ty)),
        Param::Point | Param::Companion => None,
    })
}

pub(crate) fn definition(function: &Function, attachment: &Attachment, work: Option<&Work>) -> TokenStream {
    let name = type_name();
    let types: Vec<_> = resources(function).map(|(_, ty)| ty).collect();
    let fields = (!types.is_empty()).then(|| quote! { (#(#types),*) });
    let implementation = implementation(function, attachment, work);
    quote! { struct #name #fields; #implementation }
}

pub(crate) fn build(function: &Function) -> TokenStream {
    let name = type_name();
    let lookups = resources(function).enumerate().map(|(i, (name, ty))| {
        let variable = variable(i);
        quote! { let #variable = __ext_injector.field::<#ty>(#name); }
    });
    let variables: Vec<_> = resources(function).enumerate().map(|(i, _)| variable(i)).collect();
    if variables.is_empty() {
        return quote! { __ext::Some(#name) };
    }
    quote! {
        #(#lookups)*
        __ext::Some(#name(#(#variables?),*))
    }
}

fn implementation(function: &Function, attachment: &Attachment, work: Option<&Work>) -> TokenStream {
    let (name, point) = (type_name(), &attachment.point);
    let call = call(
        function,
        &match work {
            None => quote! { <#point as __ext::ExtensionPoint>::Output },
            Some(_) => quote! { () },
        },
    );
    let span = located(point.span());
    let output = quote_spanned! {span=> __ext::HandlerResult<<#point as __ext::ExtensionPoint>::Output> };
    let (handler, asyncness, parameters, output) = match work {
        None => (
            if attachment.awaited {
                quote! { AwaitedHandler }
            } else {
                quote! { Handler }
            },
            attachment.awaited.then(|| quote! { async }),
            quote! { __ext_point: &mut #point, __ext_companion: &__ext::Context },
            output,
        ),
        Some(work) => (
            if work.blocking {
                quote! { BlockingHandler }
            } else {
                quote! { AsyncHandler }
            },
            (!work.blocking).then(|| quote! { async }),
            quote! { __ext_point: &#point, __ext_companion: &__ext::Job },
            quote! { __ext::HandlerResult },
        ),
    };
    let span = located(point.span());
    quote_spanned! {span=>
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl __ext::#handler<#point> for #name {
            #asyncness fn handle(&self, #parameters) -> #output {
                #call
            }
        }
    }
}

/// The call stands at the function's return type, where the compiler then reports one that doesn't fit the point.
fn call(function: &Function, output: &TokenStream) -> TokenStream {
    let mut index = 0;
    let arguments = function.params.iter().map(|param| match param {
        Param::Point => quote! { __ext_point },
        Param::Companion => quote! { __ext_companion },
        Param::Resource { by_reference, .. } => {
            let field = Index { index, span: Span::call_site() };
            index += 1;
            if *by_reference {
                quote! { &self.#field }
            } else {
                quote! { __ext::Clone::clone(&self.#field) }
            }
        }
    });
    let ident = &function.ident;
    let span = located(function.output);
    let awaited = function.is_async.then(|| quote_spanned! { span=> .await });
    let call = quote_spanned! { span=> #ident(#(#arguments),*) #awaited };
    quote_spanned! { span=> <_ as __ext::IntoOutput<#output>>::into_output(#call) }
}

/// What a function needs because its signature is not its author's choice.
pub(crate) fn lints(function: &Function) -> Option<TokenStream> {
    let by_value =
        function.params.iter().any(|param| matches!(param, Param::Resource { by_reference: false, .. }));
    let by_reference =
        function.params.iter().any(|param| !matches!(param, Param::Resource { by_reference: false, .. }));
    let lints: Vec<TokenStream> = [
        by_value.then(|| quote! { clippy::needless_pass_by_value }),
        by_reference.then(|| quote! { clippy::trivially_copy_pass_by_ref }),
        function.returns_something.then(|| quote! { clippy::unnecessary_wraps }),
        function.is_async.then(|| quote! { clippy::unused_async }),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!lints.is_empty()).then(|| quote! { #[allow(#(#lints),*)] })
}

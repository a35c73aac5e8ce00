//! `#[extension_handler]` and `#[async_handler]`

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use super::{decl, function, options, rules, wrap};
use crate::check::handler::{Attachment, Build, Field, Handler, Outcome, Rules, Subject, TypeOptions, Work};

pub(crate) fn expand(outcome: &Outcome) -> TokenStream {
    match outcome {
        Outcome::Handler(handler) => expand_handler(handler),
        Outcome::TypeOptions(options) => expand_options(options),
    }
}

fn expand_handler(handler: &Handler) -> TokenStream {
    let Handler { shared, subject, attachments, work, rules } = handler;
    let work = work.as_ref();
    match subject {
        Subject::Type { ident, build } => {
            let make = make(ident, &self::build(ident, build));
            let registrations = attachments.iter().map(|at| registration(ident, at, work, rules, None));
            wrap(shared, &quote! { #make #(#registrations)* })
        }
        // Each attachment has its own type: no two of them can be told to be on different points.
        Subject::Function(function) => {
            let value = function::type_name();
            let make = make(&value, &function::build(function));
            let registrations = attachments.iter().map(|at| {
                let definition = function::definition(function, at, work);
                registration(&value, at, work, rules, Some(&quote! { #definition #make }))
            });
            wrap(shared, &quote! { #(#registrations)* })
        }
    }
}

fn make(value: &Ident, body: &TokenStream) -> TokenStream {
    quote! {
        fn __ext_make(__ext_injector: &mut __ext::Injector<'_>) -> __ext::Option<#value> {
            #body
        }
    }
}

fn build(ident: &Ident, build: &Build) -> TokenStream {
    match build {
        Build::Unit => quote! { __ext::Some(#ident) },
        Build::With(path) => quote! { __ext_injector.construct::<#ident>(#path) },
        Build::Fields(fields) => {
            let lookups = fields.iter().enumerate().filter(|(_, field)| field.injected).map(|(i, field)| {
                let Field { member, ty, cfgs, .. } = field;
                let (variable, name) = (variable(i), member_name(member));
                quote! { #(#cfgs)* let #variable = __ext_injector.field::<#ty>(#name); }
            });
            let values = fields.iter().enumerate().map(|(i, field)| {
                let Field { member, ty, cfgs, .. } = field;
                let value = if field.injected {
                    let variable = variable(i);
                    quote! { #variable? }
                } else {
                    quote! { <#ty as __ext::FieldDefault>::field_default() }
                };
                quote! { #(#cfgs)* #member: #value }
            });
            quote! {
                #(#lookups)*
                __ext::Some(#ident { #(#values),* })
            }
        }
    }
}

fn member_name(member: &syn::Member) -> String {
    match member {
        syn::Member::Named(name) => syn::ext::IdentExt::unraw(name).to_string(),
        syn::Member::Unnamed(index) => index.index.to_string(),
    }
}

/// All resources are looked up before the first missing one ends it, so that all missing ones are reported.
pub(super) fn variable(index: usize) -> Ident {
    format_ident!("__ext_{index}")
}

fn registration(
    value: &Ident,
    attachment: &Attachment,
    work: Option<&Work>,
    rules: &Rules,
    definition: Option<&TokenStream>,
) -> TokenStream {
    let point = &attachment.point;
    let decl = decl(&attachment.decl, rules);
    let guard = attachment.guard.then(|| quote! { const _: () = __ext::assert_interruptible::<#point>(); });
    let binding = rules::predicates(&rules.conditions.predicates, point);
    let predicates = binding.as_ref().map_or_else(|| quote! { &[] }, |_| quote! { __ext_predicates });
    let call = match work {
        None if attachment.stage => {
            quote! { stage::<#point, #value>(&__EXT_DECL, __ext_make, #predicates) }
        }
        None if attachment.awaited => {
            quote! { awaited::<#point, #value>(&__EXT_DECL, __ext_make, #predicates) }
        }
        None => quote! { inline::<#point, #value>(&__EXT_DECL, __ext_make, #predicates) },
        Some(work) => {
            let options = options::expression(&work.options, Some(point));
            let method = if work.blocking {
                quote! { blocking }
            } else {
                quote! { queued }
            };
            quote! { #method::<#point, #value>(&__EXT_DECL, __ext_make, #options, #predicates) }
        }
    };
    quote! {
        const _: () = {
            #definition
            #decl
            #guard
            fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
                #binding
                __ext_registrar.#call;
            }
            __ext::inventory::submit! {
                __ext::LinkedHandler { decl: &__EXT_DECL, register: __ext_register }
            }
        };
    }
}

fn expand_options(type_options: &TypeOptions) -> TokenStream {
    let ident = &type_options.ident;
    let name = syn::ext::IdentExt::unraw(ident).to_string();
    let options = options::expression(&type_options.options, None);
    let content = quote! {
        fn __ext_options() -> __ext::AsyncOptions {
            #options
        }
        __ext::inventory::submit! {
            __ext::LinkedAsyncOptions {
                type_id: __ext::TypeId::of::<#ident>,
                type_name: #name,
                options: __ext_options,
            }
        }
    };
    wrap(&type_options.shared, &content)
}

/// The lints that the user's own item must be spared.
pub(crate) fn lints(outcome: &Outcome) -> Option<TokenStream> {
    match outcome {
        Outcome::Handler(Handler { subject: Subject::Function(function), .. }) => function::lints(function),
        _ => None,
    }
}

//! Writing the code. Nothing can go wrong here any more.

pub(crate) mod declare;
pub(crate) mod function;
pub(crate) mod handler;
pub(crate) mod options;
pub(crate) mod point;
pub(crate) mod rules;

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::quote;

use crate::check::handler::{Decl, Rules, Shared};
use crate::parse::attributes::Deprecated;

/// Everything generated stands in an unnamed constant, so that none of its names can be seen or clash.
fn wrap(shared: &Shared, content: &TokenStream) -> TokenStream {
    let import = shared.root.import();
    quote! {
        #shared
        const _: () = {
            #import
            #content
        };
    }
}

/// The macro's own names at a place in the user's code, so that the compiler points there.
fn located(span: Span) -> Span {
    Span::call_site().located_at(span)
}

fn option<T: quote::ToTokens>(value: Option<&T>) -> TokenStream {
    match value {
        Some(value) => quote! { __ext::Some(#value) },
        None => quote! { __ext::None },
    }
}

fn duration(duration: Duration) -> TokenStream {
    match (duration.as_secs(), duration.subsec_nanos()) {
        (seconds, 0) => quote! { __ext::Duration::from_secs(#seconds) },
        _ => {
            let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            quote! { __ext::Duration::from_millis(#millis) }
        }
    }
}

/// The place of the outermost attribute.
fn location() -> TokenStream {
    quote! { __ext::Location { file: __ext::file!(), line: __ext::line!(), column: __ext::column!() } }
}

fn deprecation(deprecated: Option<&Deprecated>) -> TokenStream {
    let value = deprecated.map(|deprecated| {
        let (since, note) = (option(deprecated.since.as_ref()), option(deprecated.note.as_ref()));
        quote! { __ext::Deprecation { since: #since, note: #note } }
    });
    option(value.as_ref())
}

fn decl(decl: &Decl, rules: &Rules) -> TokenStream {
    let Decl { name, aliases, priority, tags, type_name, .. } = decl;
    let group = option(decl.group.as_ref());
    let on_unavailable = if decl.allow_if_unavailable {
        quote! { Allow }
    } else {
        quote! { Deny }
    };
    let deprecated = deprecation(decl.deprecated.as_deref());
    let location = location();
    let conditions = rules::conditions(&rules.conditions.asked);
    let breaker = rules::breaker(&rules.breaker);
    quote! {
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: #name,
            aliases: &[#(#aliases),*],
            priority: #priority,
            tags: &[#(#tags),*],
            group: #group,
            on_unavailable: __ext::OnUnavailable::#on_unavailable,
            deprecated: #deprecated,
            type_name: #type_name,
            module_path: __ext::module_path!(),
            location: #location,
            conditions: #conditions,
            breaker: #breaker,
        };
    }
}

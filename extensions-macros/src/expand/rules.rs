//! What decides whether a handler takes part in a fire: its conditions and its circuit breaker.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ExprPath, Type};

use super::{duration, option};
use crate::check::breaker::Breaker;
use crate::check::conditions::Condition;

pub(super) fn conditions(asked: &[Condition]) -> TokenStream {
    let conditions = asked.iter().map(|condition| match condition {
        Condition::Environments(names) => quote! { __ext::ConditionDecl::Environment(&[#(#names),*]) },
        Condition::Feature(name) => quote! { __ext::ConditionDecl::Feature(#name) },
        Condition::NotFeature(name) => quote! { __ext::ConditionDecl::NotFeature(#name) },
    });
    quote! { &[#(#conditions),*] }
}

pub(super) fn breaker(breaker: &Breaker) -> TokenStream {
    if *breaker == Breaker::default() {
        return quote! { __ext::BreakerDecl::DEFAULT };
    }
    let off = breaker.off;
    let threshold = option(breaker.threshold.as_ref());
    let timeout = option(breaker.timeout.map(duration).as_ref());
    let half_open_max = option(breaker.half_open_max.as_ref());
    quote! {
        __ext::BreakerDecl {
            off: #off,
            threshold: #threshold,
            timeout: #timeout,
            half_open_max: #half_open_max,
        }
    }
}

/// Each predicate is bound to its type, so that the compiler reports a wrong signature at the path, and a generic function
/// becomes the point's own.
pub(super) fn predicates(paths: &[ExprPath], point: &Type) -> Option<TokenStream> {
    (!paths.is_empty())
        .then(|| quote! { let __ext_predicates: &[__ext::Predicate<#point>] = &[#(#paths),*]; })
}

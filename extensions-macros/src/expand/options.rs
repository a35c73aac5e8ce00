//! `AsyncOptions`, as written.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ExprPath, Type};

use super::{duration, located};
use crate::check::async_options::{Backoff, Options};
use crate::parse::backoff::Jitter;
use crate::value::{Strategy, Timeout};

/// An expression. `point` is whose callbacks these are; without one there are none.
pub(crate) fn expression(options: &Options, point: Option<&Type>) -> TokenStream {
    let calls: Vec<TokenStream> = plain(options).into_iter().chain(callbacks(options, point)).collect();
    quote! { __ext::AsyncOptions::new() #(#calls)* }
}

fn plain(options: &Options) -> Vec<TokenStream> {
    let mut calls = Vec::new();
    let mut call = |tokens: Option<TokenStream>| calls.extend(tokens);
    call(options.queue.as_ref().map(|queue| quote! { .queue(#queue) }));
    call(options.delay.map(duration).map(|delay| quote! { .delay(#delay) }));
    call(options.attempts.as_ref().map(|attempts| {
        let (method, number) = (format_ident!("{}", attempts.method), attempts.number);
        quote! { .#method(#number) }
    }));
    call(options.backoff.as_ref().map(backoff).map(|backoff| quote! { .backoff(#backoff) }));
    call(options.timeout.as_ref().map(|timeout| match timeout {
        Timeout::None => quote! { .no_timeout() },
        Timeout::After(length) => {
            let length = duration(*length);
            quote! { .timeout(#length) }
        }
    }));
    call(options.priority.map(|priority| quote! { .priority(#priority) }));
    call(list("tags", &options.tags));
    call(options.unique.map(|unique| quote! { .unique(#unique) }));
    call(options.unique_for.map(duration).map(|length| quote! { .unique_for(#length) }));
    call(list("unique_by", &options.unique_by));
    call(options.unique_until_start.then(|| quote! { .unique_until_start() }));
    call(options.retry_until.map(duration).map(|length| quote! { .retry_until(#length) }));
    call(options.expires_in.map(duration).map(|length| quote! { .expires_in(#length) }));
    call(options.discard_missing.map(|discard| quote! { .discard_missing(#discard) }));
    calls
}

fn list(method: &str, words: &[String]) -> Option<TokenStream> {
    let method = format_ident!("{method}");
    (!words.is_empty()).then(|| quote! { .#method([#(#words),*]) })
}

fn callbacks(options: &Options, point: Option<&Type>) -> Vec<TokenStream> {
    let Some(point) = point else { return Vec::new() };
    let call = |method: &str, path: &ExprPath| {
        let (method, any) = (format_ident!("{method}"), quote_spanned! { located(path.span())=> _ });
        quote! { .#method::<#point, #any>(#path) }
    };
    let failure = options.on_failure.as_ref().map(|path| call("on_failure", path));
    let retry = options.on_retry.as_ref().map(|path| call("on_retry", path));
    failure.into_iter().chain(retry).collect()
}

fn backoff(backoff: &Backoff) -> TokenStream {
    match backoff {
        Backoff::List(waits) => {
            let waits = waits.iter().map(|wait| duration(*wait));
            quote! { __ext::Backoff::list([#(#waits),*]) }
        }
        Backoff::Growing { strategy, base, max, jitter } => {
            let strategy = match strategy {
                Strategy::Fixed => quote! { fixed },
                Strategy::Linear => quote! { linear },
                Strategy::Exponential => quote! { exponential },
            };
            let base = duration(*base);
            let max = max.map(duration).map(|max| quote! { .max(#max) });
            let jitter = jitter.map(|jitter| match jitter {
                Jitter::Full => quote! { .full_jitter() },
                Jitter::Fraction(share) => quote! { .jitter(#share) },
            });
            quote! { __ext::Backoff::#strategy(#base) #max #jitter }
        }
    }
}

//! Our attributes of one item. Whichever is outermost collects all others, so that their order never matters.

use proc_macro2::{Span, TokenStream};
use syn::spanned::Spanned;
use syn::{Attribute, Meta};

use crate::errors::Errors;

/// An attribute of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    ExtensionHandler,
    AsyncHandler,
    When,
    CircuitBreaker,
    Scheduled,
}

const KINDS: &[Kind] =
    &[Kind::ExtensionHandler, Kind::AsyncHandler, Kind::When, Kind::CircuitBreaker, Kind::Scheduled];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ExtensionHandler => "extension_handler",
            Self::AsyncHandler => "async_handler",
            Self::When => "when",
            Self::CircuitBreaker => "circuit_breaker",
            Self::Scheduled => "scheduled",
        }
    }

    /// By the last segment, so that `extensions::async_handler` is known too.
    fn of(attr: &Attribute) -> Option<Self> {
        let last = attr.path().segments.last()?;
        KINDS.iter().copied().find(|kind| last.ident == kind.name())
    }
}

/// An attribute's arguments and its place.
pub(crate) struct Found {
    pub(crate) args: TokenStream,
    pub(crate) span: Span,
}

/// All of our attributes of an item, in the order in which they were written.
#[derive(Default)]
pub(crate) struct Ours {
    pub(crate) handlers: Vec<Found>,
    pub(crate) asyncs: Vec<Found>,
    pub(crate) whens: Vec<Found>,
    pub(crate) breakers: Vec<Found>,
}

impl Ours {
    /// Takes ours out of `attrs`. `outermost` is the one that is being expanded, which the compiler has already
    /// taken off.
    pub(crate) fn collect(
        outermost: Kind,
        args: TokenStream,
        attrs: &mut Vec<Attribute>,
        errors: &mut Errors,
    ) -> Self {
        let mut all = Self::default();
        all.add(outermost, Found { args, span: Span::call_site() }, errors);
        attrs.retain(|attr| {
            let Some(kind) = Kind::of(attr) else { return true };
            if let Some(args) = arguments(kind, attr, errors) {
                all.add(kind, Found { args, span: attr.path().span() }, errors);
            }
            false
        });
        for (kind, found) in [(Kind::AsyncHandler, &all.asyncs), (Kind::CircuitBreaker, &all.breakers)] {
            if let [_, again, ..] = &found[..] {
                let message = format!("duplicate `#[{}]`; put all options into one", kind.name());
                errors.at(again.span, message);
            }
        }
        all
    }

    fn add(&mut self, kind: Kind, found: Found, errors: &mut Errors) {
        match kind {
            Kind::ExtensionHandler => self.handlers.push(found),
            Kind::AsyncHandler => self.asyncs.push(found),
            Kind::When => self.whens.push(found),
            Kind::CircuitBreaker => self.breakers.push(found),
            Kind::Scheduled => {
                errors.at(found.span, format!("`#[{}]` is not supported yet; remove it", kind.name()));
            }
        }
    }
}

impl Ours {
    /// Says of all conditions and breakers that there is nothing that they could be of.
    pub(crate) fn refuse_rules(&self, errors: &mut Errors) {
        for (kind, found) in [(Kind::When, &self.whens), (Kind::CircuitBreaker, &self.breakers)] {
            for found in found {
                let message =
                    format!("`#[{}]` needs the point; add `#[extension_handler(MyPoint)]`", kind.name());
                errors.at(found.span, message);
            }
        }
    }
}

fn arguments(kind: Kind, attr: &Attribute, errors: &mut Errors) -> Option<TokenStream> {
    match &attr.meta {
        Meta::Path(_) => Some(TokenStream::new()),
        Meta::List(list) => Some(list.tokens.clone()),
        Meta::NameValue(_) => {
            errors.on(attr, format!("expected options in parentheses: `#[{}(…)]`", kind.name()));
            None
        }
    }
}

/// `#[deprecated]` in any of its forms.
pub(crate) struct Deprecated {
    pub(crate) since: Option<String>,
    pub(crate) note: Option<String>,
}

impl Deprecated {
    /// Reads the attribute and leaves it where it is. One that the compiler will refuse counts as none.
    pub(crate) fn read(attrs: &[Attribute]) -> Option<Self> {
        attrs.iter().find(|attr| attr.path().is_ident("deprecated")).and_then(Self::parse)
    }

    /// Takes the attribute off.
    pub(crate) fn take(attrs: &mut Vec<Attribute>) -> Option<Self> {
        let deprecated = Self::read(attrs)?;
        attrs.retain(|attr| !attr.path().is_ident("deprecated"));
        Some(deprecated)
    }

    fn parse(attr: &Attribute) -> Option<Self> {
        let mut found = Self { since: None, note: None };
        match &attr.meta {
            Meta::Path(_) => {}
            Meta::NameValue(pair) => found.note = Some(text(&pair.value)?),
            Meta::List(list) => list
                .parse_nested_meta(|meta| {
                    let value: syn::LitStr = meta.value()?.parse()?;
                    if meta.path.is_ident("since") {
                        found.since = Some(value.value());
                    } else if meta.path.is_ident("note") {
                        found.note = Some(value.value());
                    }
                    Ok(())
                })
                .ok()?,
        }
        Some(found)
    }
}

fn text(value: &syn::Expr) -> Option<String> {
    match value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

/// `#[cfg(…)]`, which what we generate for an item must share.
pub(crate) fn cfgs(attrs: &[Attribute]) -> Vec<Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("cfg")).cloned().collect()
}

/// The lints that the user allows (or expects) on an item, as `allow`s for what we generate for it.
pub(crate) fn allowed_lints(attrs: &[Attribute]) -> Vec<TokenStream> {
    attrs
        .iter()
        .filter_map(|attr| match &attr.meta {
            Meta::List(list) if list.path.is_ident("allow") || list.path.is_ident("expect") => {
                Some(&list.tokens)
            }
            _ => None,
        })
        .cloned()
        .collect()
}

//! The item under our attributes. Of a function the signature is read, never the body, so that half-written code
//! keeps its completion.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Fields, Ident, ItemEnum, ItemStruct, Signature, Token, Visibility};

use super::attributes::{Kind, Ours};
use crate::errors::Errors;

/// An item that our attributes stand on, without them.
pub(crate) struct Item {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Struct {
        item: ItemStruct,
        injected: Vec<bool>,
    },
    Enum(ItemEnum),
    Function {
        vis: Visibility,
        sig: Box<Signature>,
        block: TokenStream,
    },
    /// What we can't work with, which has been recorded.
    Other(TokenStream),
}

impl Item {
    /// Reads the item and takes our attributes off it.
    pub(crate) fn parse(
        outermost: Kind,
        args: TokenStream,
        item: TokenStream,
        errors: &mut Errors,
    ) -> (Self, Ours) {
        let (mut attrs, rest) = split_attributes(item);
        let ours = Ours::collect(outermost, args, &mut attrs, errors);
        let body = Body::parse(outermost, rest, errors);
        (Self { attrs, body }, ours)
    }
}

fn split_attributes(item: TokenStream) -> (Vec<Attribute>, TokenStream) {
    let parser = |input: ParseStream<'_>| {
        let attrs = input.call(Attribute::parse_outer)?;
        Ok((attrs, input.parse::<TokenStream>()?))
    };
    parser.parse2(item.clone()).unwrap_or_else(|_| (Vec::new(), item))
}

impl Body {
    fn parse(outermost: Kind, rest: TokenStream, errors: &mut Errors) -> Self {
        let parser = |input: ParseStream<'_>| Self::read(outermost, input, errors);
        match parser.parse2(rest.clone()) {
            Ok(Some(body)) => body,
            Ok(None) => Self::Other(rest),
            Err(error) => {
                errors.push(error);
                Self::Other(rest)
            }
        }
    }

    fn read(outermost: Kind, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<Option<Self>> {
        let ahead = input.fork();
        ahead.parse::<Visibility>()?;
        if ahead.peek(Token![struct]) {
            let mut item: ItemStruct = input.parse()?;
            let injected = take_inject(&mut item.fields, errors);
            return Ok(Some(Self::Struct { item, injected }));
        }
        if ahead.peek(Token![enum]) {
            return input.parse().map(Self::Enum).map(Some);
        }
        if is_function(&ahead) {
            let (vis, sig) = (input.parse()?, Box::new(input.parse()?));
            return Ok(Some(Self::Function { vis, sig, block: input.parse()? }));
        }
        let hint = if ahead.peek(Token![impl]) { "; move it from the `impl` to the type" } else { "" };
        let message = format!("`#[{}]` belongs on a struct or a function{hint}", outermost.name());
        errors.at(ahead.span(), message);
        input.parse::<TokenStream>()?;
        Ok(None)
    }
}

fn is_function(ahead: ParseStream<'_>) -> bool {
    ahead.fork().parse::<Signature>().is_ok()
        || ahead.peek(Token![fn])
        || ahead.peek(Token![async])
        || ahead.peek(Token![unsafe]) && ahead.peek2(Token![fn])
        || ahead.peek(Token![extern]) && !ahead.peek2(Token![crate])
        || ahead.peek(Token![const]) && ahead.peek2(Token![fn])
}

/// Takes `#[inject]` off the fields and says which had it.
fn take_inject(fields: &mut Fields, errors: &mut Errors) -> Vec<bool> {
    fields
        .iter_mut()
        .map(|field| {
            let before = field.attrs.len();
            field.attrs.retain(|attr| {
                let inject = attr.path().segments.last().is_some_and(|last| last.ident == "inject");
                if inject && attr.meta.require_path_only().is_err() {
                    errors.on(attr, "`#[inject]` takes no options; the field's type says what is injected");
                }
                !inject
            });
            before != field.attrs.len()
        })
        .collect()
}

impl Body {
    pub(crate) fn name(&self) -> Option<&Ident> {
        match self {
            Self::Struct { item, .. } => Some(&item.ident),
            Self::Enum(item) => Some(&item.ident),
            Self::Function { sig, .. } => Some(&sig.ident),
            Self::Other(_) => None,
        }
    }
}

impl ToTokens for Item {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let (attrs, body) = (&self.attrs, &self.body);
        tokens.extend(quote! { #(#attrs)* #body });
    }
}

impl ToTokens for Body {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Struct { item, .. } => item.to_tokens(tokens),
            Self::Enum(item) => item.to_tokens(tokens),
            Self::Function { vis, sig, block } => tokens.extend(quote! { #vis #sig #block }),
            Self::Other(rest) => rest.to_tokens(tokens),
        }
    }
}

//! `#[extension_handler(Point, …)]`

use proc_macro2::{Span, TokenStream};
use syn::parse::{ParseStream, Parser};
use syn::{Ident, Token, Type, token};

use super::options;
use crate::errors::Errors;
use crate::keys;
use crate::root::Root;
use crate::slot::Slot;
use crate::suggest;
use crate::value::{OnUnavailable, Order, Switch, Text, Texts, ValuePath};

/// One `#[extension_handler(Point, …)]`.
#[derive(Default)]
pub(crate) struct HandlerOptions {
    /// Nothing if it is missing or wrong, which has been recorded.
    pub(crate) point: Option<Type>,
    pub(crate) name: Slot<Text>,
    pub(crate) aliases: Slot<Texts>,
    pub(crate) priority: Slot<Order>,
    pub(crate) tags: Slot<Texts>,
    pub(crate) group: Slot<Text>,
    pub(crate) awaited: Slot<Switch>,
    pub(crate) stage: Slot<Switch>,
    pub(crate) on_unavailable: Slot<OnUnavailable>,
    pub(crate) with: Slot<ValuePath>,
    pub(crate) root: Slot<Root>,
}

impl HandlerOptions {
    /// `at` is where a missing point is reported.
    pub(crate) fn parse(args: TokenStream, at: Span, errors: &mut Errors) -> Self {
        let mut all = Self::default();
        let read = (|input: ParseStream<'_>| {
            all.read_point(input, at, errors);
            options::each(input, errors, |key, input, errors| all.read(key, input, errors));
            Ok(())
        })
        .parse2(args);
        errors.take(read);
        all
    }

    fn read_point(&mut self, input: ParseStream<'_>, at: Span, errors: &mut Errors) {
        if input.is_empty() || starts_with_option(input) {
            let at = if input.is_empty() { at } else { input.span() };
            errors.at(at, "the point is missing; write it first: `#[extension_handler(MyPoint, …)]`");
            return;
        }
        let before = errors.count();
        let span = input.span();
        match input.parse::<Type>() {
            Ok(point @ Type::Path(_)) => self.point = Some(point),
            Ok(Type::Group(group)) => self.point = Some(*group.elem),
            _ => errors.at(span, "expected the point's type; write `#[extension_handler(MyPoint, …)]`"),
        }
        options::end_of_option(input, errors, before);
    }

    fn read(&mut self, key: &Ident, input: ParseStream<'_>, errors: &mut Errors) {
        match key.to_string().as_str() {
            keys::NAME => self.name.read(key, input, errors),
            keys::ALIASES => self.aliases.read(key, input, errors),
            keys::PRIORITY => self.priority.read(key, input, errors),
            keys::TAGS => self.tags.read(key, input, errors),
            keys::GROUP => self.group.read(key, input, errors),
            keys::AWAITED => self.awaited.read(key, input, errors),
            keys::STAGE => self.stage.read(key, input, errors),
            keys::ON_UNAVAILABLE => self.on_unavailable.read(key, input, errors),
            keys::WITH => self.with.read(key, input, errors),
            keys::CRATE => self.root.read(key, input, errors),
            other => errors.at(key.span(), unknown(other, input)),
        }
    }
}

fn starts_with_option(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    let Ok(word) = ahead.call(<Ident as syn::ext::IdentExt>::parse_any) else { return false };
    let assigned = ahead.peek(Token![=]);
    assigned || keys::HANDLER.iter().any(|key| word == key) && !ahead.peek(Token![::])
}

fn unknown(key: &str, behind: ParseStream<'_>) -> String {
    if keys::ASYNC.contains(&key) || keys::ASYNC_LATER.contains(&key) {
        return format!("`{key}` is an option of background handlers; write `#[async_handler({key} …)]`");
    }
    let another_point =
        key.starts_with(char::is_uppercase) && !behind.peek(Token![=]) && !behind.peek(token::Paren);
    if another_point {
        return format!("one point per attribute; add `#[extension_handler({key})]` for `{key}`");
    }
    format!("unknown option `{key}`; {}", suggest::hint(key, keys::HANDLER))
}

//! The model of a handler: a type or function, attached to one or more points.

use std::rc::Rc;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Attribute, ExprPath, Generics, Ident, ItemStruct, Member, Type};

use super::async_options::{self, Options};
use super::breaker::{self, Breaker};
use super::conditions::{self, Conditions};
use super::function::{self, Function, Setting};
use super::names;
use crate::errors::Errors;
use crate::parse::async_handler::AsyncOptions;
use crate::parse::attributes::{self, Deprecated, Found, Ours};
use crate::parse::circuit_breaker::CircuitBreaker;
use crate::parse::handler::HandlerOptions;
use crate::parse::item::{Body, Item};
use crate::parse::when::When;
use crate::root::Root;
use crate::slot::Slot;
use crate::value::{Switch, ValuePath};

pub(crate) const DEFAULT_PRIORITY: i32 = 100;

/// What an item with our attributes becomes.
pub(crate) enum Outcome {
    Handler(Handler),
    /// `#[async_handler]` alone: options for registration by hand.
    TypeOptions(TypeOptions),
}

pub(crate) struct Handler {
    pub(crate) shared: Shared,
    pub(crate) subject: Subject,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) work: Option<Work>,
    pub(crate) rules: Box<Rules>,
}

/// What decides whether it takes part in a fire, on all of its points.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) conditions: Conditions,
    pub(crate) breaker: Breaker,
}

/// What every expansion needs.
pub(crate) struct Shared {
    pub(crate) root: Root,
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) allowed_lints: Vec<TokenStream>,
}

pub(crate) enum Subject {
    Type { ident: Ident, build: Build },
    Function(Function),
}

/// How a handler's value comes to be.
pub(crate) enum Build {
    Unit,
    Fields(Vec<Field>),
    With(ExprPath),
}

pub(crate) struct Field {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    pub(crate) injected: bool,
    pub(crate) cfgs: Vec<Attribute>,
}

/// One `#[extension_handler(Point, …)]`.
pub(crate) struct Attachment {
    pub(crate) point: Type,
    pub(crate) decl: Decl,
    pub(crate) awaited: bool,
    pub(crate) stage: bool,
    /// Where a guard's option was given, which only guards may have.
    pub(crate) guard: bool,
}

/// The registry's entry.
pub(crate) struct Decl {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) priority: i32,
    pub(crate) tags: Vec<String>,
    pub(crate) group: Option<String>,
    pub(crate) allow_if_unavailable: bool,
    pub(crate) deprecated: Option<Rc<Deprecated>>,
    pub(crate) type_name: String,
}

/// Background work.
pub(crate) struct Work {
    pub(crate) options: Options,
    pub(crate) blocking: bool,
}

pub(crate) struct TypeOptions {
    pub(crate) shared: Shared,
    pub(crate) ident: Ident,
    pub(crate) options: Options,
}

/// Checks the item and its attributes, and takes off it what the compiler must not see.
pub(crate) fn check(item: &mut Item, ours: Ours, errors: &mut Errors) -> Option<Outcome> {
    if ours.handlers.is_empty() && item.body.name().is_some() {
        ours.refuse_rules(errors);
    }
    let attachments: Vec<HandlerOptions> = ours
        .handlers
        .into_iter()
        .map(|found| HandlerOptions::parse(found.args, found.span, errors))
        .collect();
    let mut asyncs = ours.asyncs.into_iter();
    let work = asyncs.next().map(|found| (found.span, AsyncOptions::parse(found.args, errors)));
    for again in asyncs {
        let _ = AsyncOptions::parse(again.args, errors);
    }
    let rules = rules(ours.whens, ours.breakers, &item.body, errors);
    let ident = item.body.name()?.clone();
    check_generics(&item.body, errors);
    let shared = Shared {
        root: root(&attachments, work.as_ref().map(|(_, options)| options), errors),
        cfgs: attributes::cfgs(&item.attrs),
        allowed_lints: attributes::allowed_lints(&item.attrs),
    };
    match (attachments.is_empty(), work) {
        (true, None) => None,
        (true, Some((span, options))) => alone(item, span, ident, options, shared, errors),
        (false, work) => {
            let work = work.map(|(_, options)| options);
            attached(item, &ident, attachments, work, shared, rules, errors)
        }
    }
}

fn rules(whens: Vec<Found>, breakers: Vec<Found>, body: &Body, errors: &mut Errors) -> Rules {
    let whens = whens.into_iter().map(|found| When::parse(found.args, found.span, errors)).collect();
    let breakers: Vec<CircuitBreaker> =
        breakers.into_iter().map(|found| CircuitBreaker::parse(found.args, found.span, errors)).collect();
    let subject = match body {
        Body::Function { .. } => None,
        body => body.name(),
    };
    Rules {
        conditions: conditions::check(whens, subject, errors),
        breaker: breakers.into_iter().next().map(|first| breaker::check(first, errors)).unwrap_or_default(),
    }
}

fn root(attachments: &[HandlerOptions], work: Option<&AsyncOptions>, errors: &mut Errors) -> Root {
    let slots = attachments.iter().map(|options| &options.root).chain(work.map(|options| &options.root));
    let mut given = slots.filter_map(Slot::given);
    let Some(first) = given.next() else { return Root::default() };
    for other in given {
        if other.value.to_token_stream().to_string() != first.value.to_token_stream().to_string() {
            errors.at(other.span, "the attributes of one item name different crates; write the same one");
        }
    }
    first.value.clone()
}

fn check_generics(body: &Body, errors: &mut Errors) {
    let generics: &Generics = match body {
        Body::Struct { item, .. } => &item.generics,
        Body::Enum(item) => &item.generics,
        Body::Function { .. } | Body::Other(_) => return,
    };
    if !generics.params.is_empty() {
        errors.on(
            generics,
            "a handler cannot be generic; write one type for each case, or register it by hand with \
             `register` or `register_async`",
        );
    }
}

fn alone(
    item: &Item,
    span: Span,
    ident: Ident,
    options: AsyncOptions,
    shared: Shared,
    errors: &mut Errors,
) -> Option<Outcome> {
    if matches!(item.body, Body::Function { .. }) {
        errors.at(span, "a function needs its point; add `#[extension_handler(MyPoint)]`");
        return None;
    }
    if let Body::Struct { item, injected } = &item.body
        && let Some(field) =
            item.fields.iter().zip(injected).find_map(|(field, injected)| injected.then_some(field))
    {
        errors.on(
            field,
            "`#[inject]` needs `#[extension_handler(MyPoint)]`; a handler that is registered by hand is built by hand",
        );
    }
    for (key, trait_call) in [(options.on_failure.key(), "on_failure"), (options.on_retry.key(), "on_retry")]
    {
        if let Some(key) = key {
            errors.at(
                key.span(),
                format!(
                    "`{key}` needs the point; add `#[extension_handler(MyPoint)]`, or pass \
                     `AsyncOptions::new().{trait_call}::<MyPoint, _>(…)` to `register_async`"
                ),
            );
        }
    }
    if let Some(key) = options.blocking.key() {
        errors.at(key.span(), "`blocking` needs the point; add `#[extension_handler(MyPoint)]`");
    }
    let options = async_options::check(options, errors);
    Some(Outcome::TypeOptions(TypeOptions { shared, ident, options }))
}

fn attached(
    item: &mut Item,
    ident: &Ident,
    attachments: Vec<HandlerOptions>,
    work: Option<AsyncOptions>,
    shared: Shared,
    rules: Rules,
    errors: &mut Errors,
) -> Option<Outcome> {
    let mode = Mode::of(&item.body, work.as_ref(), errors);
    let work =
        work.map(|options| Work { options: async_options::check(options, errors), blocking: mode.blocking });
    let deprecated = Deprecated::take(&mut item.attrs).map(Rc::new);
    let subject = subject(&item.body, &attachments, work.is_some(), errors)?;
    let mut all = Vec::new();
    for options in attachments {
        all.extend(attachment(options, ident, &mode, deprecated.clone(), errors));
    }
    refuse_twins(&all, errors);
    Some(Outcome::Handler(Handler { shared, subject, attachments: all, work, rules: Box::new(rules) }))
}

/// How the item's kind and `#[async_handler]` decide how it runs.
struct Mode {
    queued: bool,
    blocking: bool,
    /// Whether it is an `async fn`; nothing for a type.
    async_function: Option<bool>,
}

impl Mode {
    fn of(body: &Body, work: Option<&AsyncOptions>, errors: &mut Errors) -> Self {
        let async_function = match body {
            Body::Function { sig, .. } => Some(sig.asyncness.is_some()),
            _ => None,
        };
        let blocking = work.and_then(|options| options.blocking.given());
        if let Some(given) = blocking
            && async_function == Some(given.value.0)
        {
            let message = if given.value.0 {
                "a blocking handler is a plain function; remove `async` or `blocking`"
            } else {
                "a plain function blocks its thread; write `async fn` or remove `blocking = false`"
            };
            errors.at(given.key.span(), message);
        }
        let asked = blocking.is_some_and(|given| given.value.0);
        Self {
            queued: work.is_some(),
            blocking: work.is_some() && async_function.map_or(asked, |is_async| !is_async),
            async_function,
        }
    }

    fn awaited(&self, slot: &Slot<Switch>, errors: &mut Errors) -> bool {
        let asked = slot.value().is_some_and(|on| on.0);
        if let Some(key) = slot.key() {
            let mistake = match self.async_function {
                _ if self.queued && asked => {
                    "a handler is either awaited by the fire or run by a worker; remove `awaited` or `#[async_handler]`"
                }
                Some(false) if asked => {
                    "an awaited handler is an `async fn`; write `async` or remove `awaited`"
                }
                Some(true) if !asked && !self.queued && slot.value().is_some() => {
                    "an `async fn` is always awaited; remove `awaited = false`"
                }
                _ => return asked,
            };
            errors.at(key.span(), mistake);
        }
        !self.queued && self.async_function.unwrap_or(asked)
    }
}

/// Whether it is a stage of the point's pipeline, which only a type can be.
fn stage(options: &HandlerOptions, mode: &Mode, errors: &mut Errors) -> bool {
    let Some(key) = options.stage.key().filter(|_| options.stage.value().is_some_and(|on| on.0)) else {
        return false;
    };
    if mode.async_function.is_some() {
        errors.at(
            key.span(),
            "a stage is a type that implements `Stage`; remove `stage`: in a pipeline a function is a stage that goes on",
        );
    }
    if mode.queued {
        errors.at(
            key.span(),
            "a handler either runs in a pipeline or is run by a worker; remove `stage` or `#[async_handler]`",
        );
    }
    if let Some(key) = options.awaited.key() {
        errors.at(key.span(), "a stage is always awaited; remove `awaited`");
    }
    if let Some(key) = options.on_unavailable.key() {
        errors.at(key.span(), "a stage gives no verdict, so it is no guard; remove `on_unavailable`");
    }
    true
}

fn attachment(
    options: HandlerOptions,
    ident: &Ident,
    mode: &Mode,
    deprecated: Option<Rc<Deprecated>>,
    errors: &mut Errors,
) -> Option<Attachment> {
    let awaited = mode.awaited(&options.awaited, errors);
    let stage = stage(&options, mode, errors);
    let type_name = ident.unraw().to_string();
    let given = options.name.value().and_then(|name| names::stored(&name.0.value(), name.0.span(), errors));
    let name = given.unwrap_or_else(|| type_name.clone());
    let decl = Decl {
        aliases: aliases(&options, &name, errors),
        name,
        priority: options.priority.value().map_or(DEFAULT_PRIORITY, |order| order.0),
        tags: names::words(options.tags.value(), "a tag", errors),
        group: names::word(options.group.value(), "a group's name", errors),
        allow_if_unavailable: options.on_unavailable.value().is_some_and(|given| given.allow),
        deprecated,
        type_name,
    };
    if let Some(key) = options.on_unavailable.key()
        && mode.queued
    {
        errors.at(key.span(), "only inline handlers can guard a point; remove `on_unavailable`");
    }
    Some(Attachment {
        point: options.point?,
        decl,
        awaited,
        stage,
        guard: options.on_unavailable.key().is_some(),
    })
}

fn aliases(options: &HandlerOptions, name: &str, errors: &mut Errors) -> Vec<String> {
    let aliases = names::words(options.aliases.value(), "an alias", errors);
    for literal in options.aliases.value().map_or(&[][..], |list| &list.0) {
        if literal.value() == name {
            errors.at(literal.span(), "an alias is an earlier name; this one is the handler's present name");
        } else if !literal.value().trim().is_empty() {
            let _ = names::stored(&literal.value(), literal.span(), errors);
        }
    }
    aliases
}

fn refuse_twins(attachments: &[Attachment], errors: &mut Errors) {
    for (i, attachment) in attachments.iter().enumerate() {
        let point = function::plain(&attachment.point).to_token_stream().to_string();
        let twin = attachments[..i].iter().any(|earlier| {
            earlier.decl.name == attachment.decl.name
                && function::plain(&earlier.point).to_token_stream().to_string() == point
        });
        if twin {
            errors.on(
                &attachment.point,
                format!(
                    "already attached to `{point}`; remove one `#[extension_handler]`, or give it a `name`"
                ),
            );
        }
    }
}

fn subject(
    body: &Body,
    attachments: &[HandlerOptions],
    queued: bool,
    errors: &mut Errors,
) -> Option<Subject> {
    let with = with(attachments, errors);
    match body {
        Body::Struct { item, injected } => {
            Some(Subject::Type { ident: item.ident.clone(), build: build(item, injected, with, errors) })
        }
        Body::Enum(item) => match with {
            Some(with) => Some(Subject::Type {
                ident: item.ident.clone(),
                build: Build::With(names::of_type(with, &item.ident)),
            }),
            None => {
                errors.on(&item.ident, "which variant? write a constructor and name it: `with = path`");
                None
            }
        },
        Body::Function { sig, .. } => {
            for key in attachments.iter().filter_map(|options| options.with.key()) {
                errors.at(
                    key.span(),
                    "`with` builds a type; a function takes its resources as parameters: `Res<T>`",
                );
            }
            let points: Vec<&Type> =
                attachments.iter().filter_map(|options| options.point.as_ref()).collect();
            if points.is_empty() {
                return None;
            }
            Some(Subject::Function(function::check(sig, &Setting { points: &points, queued }, errors)))
        }
        Body::Other(_) => None,
    }
}

/// The constructor, which all attachments of a type share.
fn with<'a>(attachments: &'a [HandlerOptions], errors: &mut Errors) -> Option<&'a ExprPath> {
    let mut given = attachments.iter().filter_map(|options| options.with.given());
    let first = given.next()?;
    for other in given {
        if other.value.0.to_token_stream().to_string() != first.value.0.to_token_stream().to_string() {
            errors
                .at(other.key.span(), "one type has one constructor; write the same path in each attribute");
        }
    }
    let ValuePath(path) = &first.value;
    Some(path)
}

fn build(item: &ItemStruct, injected: &[bool], with: Option<&ExprPath>, errors: &mut Errors) -> Build {
    if let Some(with) = with {
        if let Some(field) =
            item.fields.iter().zip(injected).find_map(|(field, injected)| injected.then_some(field))
        {
            errors.on(field, "`with` builds the whole value; remove `#[inject]`, or remove `with`");
        }
        return Build::With(names::of_type(with, &item.ident));
    }
    if matches!(item.fields, syn::Fields::Unit) {
        return Build::Unit;
    }
    let fields = item.fields.members().zip(&item.fields).zip(injected);
    Build::Fields(
        fields
            .map(|((member, field), injected)| Field {
                member,
                ty: field.ty.clone(),
                injected: *injected,
                cfgs: attributes::cfgs(&field.attrs),
            })
            .collect(),
    )
}

impl ToTokens for Shared {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let (cfgs, lints) = (&self.cfgs, &self.allowed_lints);
        tokens.extend(quote! { #(#cfgs)* #(#[allow(#lints)])* });
    }
}

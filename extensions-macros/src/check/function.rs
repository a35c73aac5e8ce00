//! The model of a function handler: which parameter gets what.

use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    FnArg, GenericArgument, GenericParam, Ident, Pat, PatType, PathArguments, ReturnType, Safety, Signature,
    Type, TypeReference,
};

use crate::errors::Errors;

pub(crate) struct Function {
    pub(crate) ident: Ident,
    pub(crate) is_async: bool,
    pub(crate) params: Vec<Param>,
    /// Where a return type that doesn't fit the point is reported.
    pub(crate) output: Span,
    pub(crate) returns_something: bool,
}

pub(crate) enum Param {
    Point,
    /// `&Context` of an inline handler, `&Job` of an async one.
    Companion,
    Resource {
        name: String,
        ty: Box<Type>,
        by_reference: bool,
    },
}

/// What the function is attached to.
pub(crate) struct Setting<'a> {
    pub(crate) points: &'a [&'a Type],
    pub(crate) queued: bool,
}

pub(crate) fn check(sig: &Signature, setting: &Setting<'_>, errors: &mut Errors) -> Function {
    check_signature(sig, errors);
    let mut params = Params { setting, seen_point: false, seen_companion: false, errors };
    let (output, returns_something) = match &sig.output {
        ReturnType::Default => (sig.ident.span(), false),
        ReturnType::Type(_, ty) => (ty.span(), true),
    };
    Function {
        ident: sig.ident.clone(),
        is_async: sig.asyncness.is_some(),
        params: sig.inputs.iter().enumerate().filter_map(|(i, input)| params.check(i, input)).collect(),
        output,
        returns_something,
    }
}

fn check_signature(sig: &Signature, errors: &mut Errors) {
    if sig.generics.params.iter().any(|param| !matches!(param, GenericParam::Lifetime(_))) {
        errors.on(&sig.generics, "a handler cannot be generic; write one function for each point");
    }
    if let Safety::Unsafe(token) = &sig.safety {
        errors.on(token, "a handler cannot be `unsafe`; put an `unsafe` block into a safe function");
    }
    if let Some(abi) = &sig.abi {
        errors.on(abi, "a handler is a plain Rust function; remove the `extern`");
    }
    if let Some(variadic) = &sig.variadic {
        errors.on(variadic, "a handler cannot be variadic; remove the `...`");
    }
}

struct Params<'a, 'e> {
    setting: &'a Setting<'a>,
    seen_point: bool,
    seen_companion: bool,
    errors: &'e mut Errors,
}

impl Params<'_, '_> {
    fn check(&mut self, index: usize, input: &FnArg) -> Option<Param> {
        match input {
            FnArg::Receiver(receiver) => {
                self.errors.on(
                    receiver,
                    "a function handler takes no `self`; put the attribute on the type and implement a handler trait",
                );
                None
            }
            FnArg::Typed(param) => {
                self.check_attributes(param);
                self.classify(index, param)
            }
        }
    }

    fn check_attributes(&mut self, param: &PatType) {
        for attr in
            param.attrs.iter().filter(|attr| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr"))
        {
            self.errors
                .on(attr, "a handler's parameters cannot be conditional; put `#[cfg(…)]` on the function");
        }
    }

    fn classify(&mut self, index: usize, param: &PatType) -> Option<Param> {
        match plain(&param.ty) {
            Type::Reference(reference) => self.reference(index, param, reference),
            Type::ImplTrait(_) => {
                self.errors.on(&param.ty, "a handler cannot be generic; write the type");
                None
            }
            ty if is_resource(ty) => Some(resource(index, param, ty, false)),
            ty => {
                let message = self.refuse_value(ty);
                self.errors.on(ty, message);
                None
            }
        }
    }

    fn reference(&mut self, index: usize, param: &PatType, reference: &TypeReference) -> Option<Param> {
        let ty = plain(&reference.elem);
        if self.is_point(ty, Match::Exact) {
            return self.point(reference);
        }
        if is_named(ty, "Context") || is_named(ty, "Job") {
            return self.companion(reference, ty);
        }
        if self.is_point(ty, Match::Name) {
            return self.point(reference);
        }
        if is_resource(ty) && reference.mutability.is_none() {
            return Some(resource(index, param, ty, true));
        }
        let message = self.refuse_reference(ty);
        self.errors.on(reference, message);
        None
    }

    fn point(&mut self, reference: &TypeReference) -> Option<Param> {
        if self.setting.points.len() > 1 {
            self.errors.on(
                reference,
                "a function on several points takes no point; remove the parameter, or write one function for each",
            );
        } else if self.setting.queued && reference.mutability.is_some() {
            let shared = reference.elem.to_token_stream();
            self.errors.on(reference, format!("an async handler cannot change the point; write `&{shared}`"));
        } else if self.seen_point {
            self.errors.on(reference, "the point is given twice; remove one of the parameters");
        }
        self.seen_point = true;
        Some(Param::Point)
    }

    fn companion(&mut self, reference: &TypeReference, ty: &Type) -> Option<Param> {
        let (expected, kind) =
            if self.setting.queued { ("Job", "an async") } else { ("Context", "an inline") };
        if !is_named(ty, expected) {
            let given = ty.to_token_stream();
            self.errors.on(reference, format!("{kind} handler has no `{given}`; write `&{expected}`"));
        } else if reference.mutability.is_some() {
            self.errors.on(reference, format!("expected a shared reference; write `&{expected}`"));
        } else if self.seen_companion {
            self.errors.on(reference, format!("`&{expected}` is given twice; remove one of the parameters"));
        }
        self.seen_companion = true;
        Some(Param::Companion)
    }

    fn is_point(&self, ty: &Type, by: Match) -> bool {
        self.setting.points.iter().any(|point| match by {
            Match::Exact => text(point) == text(ty),
            Match::Name => last_segment(point).is_some_and(|name| is_named(ty, &name)),
        })
    }

    fn refuse_value(&self, ty: &Type) -> String {
        let text = text(ty);
        if self.is_point(ty, Match::Name) {
            let mutable = if self.setting.queued { String::new() } else { format!(" or `&mut {text}`") };
            return format!("a handler borrows its point; write `&{text}`{mutable}");
        }
        if is_named(ty, "Context") || is_named(ty, "Job") {
            return format!("expected a reference; write `&{text}`");
        }
        format!("a parameter is the point, {}, or a resource; write `Res<{text}>`", self.companion_form())
    }

    fn refuse_reference(&self, ty: &Type) -> String {
        let text = text(ty);
        let point = match self.setting.points {
            [point] => format!("`&{}`", point.to_token_stream()),
            _ => "the point".to_owned(),
        };
        format!(
            "a parameter is {point}, {}, or a resource; write `Res<{text}>` for a resource",
            self.companion_form()
        )
    }

    fn companion_form(&self) -> &'static str {
        if self.setting.queued { "`&Job`" } else { "`&Context`" }
    }
}

#[derive(Clone, Copy)]
enum Match {
    Exact,
    Name,
}

fn resource(index: usize, param: &PatType, ty: &Type, by_reference: bool) -> Param {
    let name = match &*param.pat {
        Pat::Ident(pat) => pat.ident.unraw().to_string(),
        _ => format!("parameter {}", index + 1),
    };
    Param::Resource { name, ty: Box::new(ty.clone()), by_reference }
}

/// `Res<T>`, `Arc<T>`, or `Option` of one.
fn is_resource(ty: &Type) -> bool {
    is_named(ty, "Res")
        || is_named(ty, "Arc")
        || is_named(ty, "Option") && argument(ty).is_some_and(is_resource)
}

/// The type in the angle brackets.
fn argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = plain(ty) else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn is_named(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|last| last == name)
}

fn last_segment(ty: &Type) -> Option<String> {
    match plain(ty) {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    }
}

fn text(ty: &Type) -> String {
    plain(ty).to_token_stream().to_string().replace(' ', "")
}

/// The type without the invisible groups of `macro_rules` and without parentheses.
pub(crate) fn plain(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => plain(&group.elem),
        Type::Paren(paren) => plain(&paren.elem),
        ty => ty,
    }
}

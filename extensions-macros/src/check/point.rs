//! The model of a point.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, ExprPath, Generics, Ident, Type};

use super::{names, serialized};
use crate::errors::Errors;
use crate::parse::attributes::{self, Deprecated};
use crate::parse::point::{ATTRIBUTE, PointOptions};
use crate::root::Root;
use crate::slot::{Given, Slot};
use crate::suggest;
use crate::value::{FieldName, FieldNames};

pub(crate) struct Point {
    pub(crate) root: Root,
    pub(crate) ident: Ident,
    /// Empty, except in the stand-in for a generic point, which is a mistake.
    pub(crate) generics: Generics,
    pub(crate) name: String,
    pub(crate) output: Output,
    pub(crate) queued: bool,
    pub(crate) version: u32,
    pub(crate) upcast: Option<ExprPath>,
    /// All keys of the serialised form; none where they are not known.
    pub(crate) fields: Vec<String>,
    /// Keys of the serialised form.
    pub(crate) unique_by: Vec<String>,
    pub(crate) deprecated: Option<Deprecated>,
    pub(crate) allowed_lints: Vec<TokenStream>,
}

pub(crate) enum Output {
    Nothing,
    Verdict,
    Type(Box<Type>),
}

/// The model of `input`. With mistakes, it is one of the nearest valid point.
pub(crate) fn check(input: &DeriveInput, errors: &mut Errors) -> Point {
    let options = PointOptions::parse(&input.attrs, errors);
    check_shape(input, errors);
    let queued = options.queued.value().is_some_and(|on| on.0);
    if !queued {
        needs_queued(&options, errors);
    } else if let Some(span) = serialized::clash(input) {
        errors.at(
            span,
            "a queued point cannot have a field `type`, which holds the point's name in `dyn QueuedPoint`; \
             rename it: `#[serde(rename = \"kind\")]`",
        );
    }
    check_upcast(&options, errors);
    Point {
        ident: input.ident.clone(),
        generics: input.generics.clone(),
        name: wire_name(input, &options, errors),
        output: output(&options, errors),
        queued,
        version: options.version.value().map_or(1, |version| version.0),
        fields: if queued { serialized::all_keys(input) } else { Vec::new() },
        unique_by: unique_by(input, options.unique_by.given(), errors),
        upcast: options.upcast.into_value().map(|path| path.0),
        deprecated: Deprecated::read(&input.attrs),
        allowed_lints: attributes::allowed_lints(&input.attrs),
        root: options.root.into_value().unwrap_or_default(),
    }
}

fn check_shape(input: &DeriveInput, errors: &mut Errors) {
    if !input.generics.params.is_empty() {
        errors.on(
            &input.generics,
            "an extension point cannot be generic; write one type for each case, or box what differs",
        );
    }
    if let Data::Union(data) = &input.data {
        errors.on(data.union_token, "an extension point is a struct or an enum, not a union");
    }
    for attr in inner_attributes(&input.data) {
        if attr.path().is_ident(ATTRIBUTE) {
            errors.on(attr, "`#[extension_point(…)]` belongs on the type, not inside it");
        }
    }
}

fn inner_attributes(data: &Data) -> Vec<&syn::Attribute> {
    let fields: Vec<&syn::Field> = match data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(data) => data.fields.named.iter().collect(),
    };
    let variants = match data {
        Data::Enum(data) => data.variants.iter().collect(),
        _ => Vec::new(),
    };
    let of_variants = variants.into_iter().flat_map(|variant| &variant.attrs);
    of_variants.chain(fields.into_iter().flat_map(|field| &field.attrs)).collect()
}

fn needs_queued(options: &PointOptions, errors: &mut Errors) {
    if options.queued.key().is_some() && options.queued.given().is_none() {
        return;
    }
    let keys = [options.version.key(), options.upcast.key(), options.unique_by.key()];
    for key in keys.into_iter().flatten() {
        errors.at(key.span(), format!("`{key}` is of use only on queued points; add `queued`"));
    }
}

fn check_upcast(options: &PointOptions, errors: &mut Errors) {
    let first_version = match options.version.given() {
        Some(version) => version.value.0 == 1,
        None => options.version.key().is_none(),
    };
    if let Some(key) = options.upcast.key()
        && first_version
    {
        errors.at(key.span(), "`upcast` reads payloads of earlier versions; add `version = 2` or higher");
    }
}

fn wire_name(input: &DeriveInput, options: &PointOptions, errors: &mut Errors) -> String {
    let given = options.name.value().and_then(|name| names::stored(&name.0.value(), name.0.span(), errors));
    given.unwrap_or_else(|| input.ident.unraw().to_string())
}

fn output(options: &PointOptions, errors: &mut Errors) -> Output {
    let interruptible = options.interruptible.value().is_some_and(|on| on.0);
    match (interruptible, &options.output) {
        (true, output) => {
            refuse_output(output, errors);
            Output::Verdict
        }
        (false, output) => {
            output.value().map_or(Output::Nothing, |output| Output::Type(Box::new(output.0.clone())))
        }
    }
}

fn refuse_output<T>(output: &Slot<T>, errors: &mut Errors) {
    if let Some(key) = output.key() {
        errors.at(
            key.span(),
            "an interruptible point's output is `Verdict`; remove either `output` or `interruptible`",
        );
    }
}

fn unique_by(input: &DeriveInput, given: Option<&Given<FieldNames>>, errors: &mut Errors) -> Vec<String> {
    let Some(given) = given else { return Vec::new() };
    if !matches!(&input.data, Data::Struct(data) if matches!(data.fields, syn::Fields::Named(_))) {
        errors.at(
            given.span,
            "`unique_by` chooses named fields of a struct; remove it to compare the whole payload",
        );
        return Vec::new();
    }
    let keys = serialized::keys(input);
    let mut chosen = Vec::new();
    for name in &given.value.0 {
        if let Some(key) = key_of(name, &keys, errors) {
            if chosen.contains(&key) {
                errors.at(name.span, format!("`{}` is given twice; remove one of them", name.name));
            } else {
                chosen.push(key);
            }
        }
    }
    chosen
}

fn key_of(name: &FieldName, keys: &[serialized::Key<'_>], errors: &mut Errors) -> Option<String> {
    let wanted = &name.name;
    match keys.iter().find(|key| key.field.unraw() == wanted) {
        Some(key) => {
            if key.name.is_none() {
                errors.at(
                    name.span,
                    format!("the field `{wanted}` has no key in the payload; choose another one"),
                );
            }
            key.name.clone()
        }
        None => {
            let fields: Vec<String> = keys.iter().map(|key| key.field.unraw().to_string()).collect();
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            errors.at(name.span, format!("no field `{wanted}`; {}", suggest::hint(wanted, &fields)));
            None
        }
    }
}

impl ToTokens for Output {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Nothing => quote::quote! { () },
            Self::Verdict => quote::quote! { __ext::Verdict },
            Self::Type(output) => output.to_token_stream(),
        });
    }
}

//! The model of a handler whose code is elsewhere.

use syn::Type;

use super::async_options::{self, Options};
use super::handler::{DEFAULT_PRIORITY, Decl, Shared};
use super::names;
use crate::errors::Errors;
use crate::parse::declare::Declaration as Parsed;

pub(crate) struct Declaration {
    pub(crate) shared: Shared,
    pub(crate) point: Type,
    pub(crate) decl: Decl,
    pub(crate) options: Options,
}

pub(crate) fn check(mut parsed: Parsed, errors: &mut Errors) -> Option<Declaration> {
    let name = parsed.name.as_ref().and_then(|name| names::stored(&name.value(), name.span(), errors));
    let of_the_definition =
        [parsed.options.on_failure.key(), parsed.options.on_retry.key(), parsed.options.blocking.key()];
    for key in of_the_definition.into_iter().flatten() {
        errors.at(
            key.span(),
            format!("`{key}` belongs to the handler's definition; remove it from the declaration"),
        );
    }
    let root = std::mem::take(&mut parsed.options.root).into_value().unwrap_or_default();
    let options = async_options::check(parsed.options, errors);
    let name = name?;
    let decl = Decl {
        type_name: name.clone(),
        name,
        aliases: Vec::new(),
        priority: DEFAULT_PRIORITY,
        tags: Vec::new(),
        group: None,
        allow_if_unavailable: false,
        deprecated: None,
    };
    let shared = Shared { root, cfgs: Vec::new(), allowed_lints: Vec::new() };
    Some(Declaration { shared, point: parsed.point?, decl, options })
}

//! What a registration says of a handler, before it is checked.

use std::any::{TypeId, type_name};
use std::borrow::Cow;

use super::{ConditionDecl, HandlerDecl, Predicate};
use crate::handler::{BreakerChoice, Condition, DEFAULT_PRIORITY, HandlerOptions, OnUnavailable};
use crate::point::{Deprecation, ExtensionPoint, Location};

/// What a registration says of a handler, however it was made.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(super) name: Cow<'static, str>,
    pub(super) aliases: Vec<String>,
    pub(super) priority: i32,
    pub(super) tags: Vec<String>,
    pub(super) group: Option<String>,
    pub(super) deprecated: Option<Deprecation>,
    pub(super) path: String,
    pub(super) location: Location,
    pub(super) type_id: Option<TypeId>,
    pub(super) on_unavailable: OnUnavailable,
    pub(super) conditions: Vec<Condition>,
    pub(super) breaker: BreakerChoice,
}

// Nothing here is generic over the handler's type but for a few words: a binary holds it once for each.
impl Wanted {
    pub(super) fn from_decl<P: ExtensionPoint>(
        decl: &'static HandlerDecl,
        type_id: Option<TypeId>,
        predicates: &[Predicate<P>],
    ) -> Self {
        let mut wanted = Self::declared(decl, type_id);
        wanted.conditions.extend(predicates.iter().map(|predicate| Condition::predicate::<P>(*predicate)));
        wanted
    }

    fn declared(decl: &'static HandlerDecl, type_id: Option<TypeId>) -> Self {
        let conditions = decl.conditions.iter().map(|condition| match *condition {
            ConditionDecl::Environment(names) => {
                Condition::Environment(names.iter().map(|name| (*name).to_owned()).collect())
            }
            ConditionDecl::Feature(name) => Condition::Feature { name: name.to_owned(), active: true },
            ConditionDecl::NotFeature(name) => Condition::Feature { name: name.to_owned(), active: false },
        });
        Self {
            name: Cow::Borrowed(decl.name),
            aliases: decl.aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            priority: decl.priority,
            tags: decl.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            group: decl.group.map(str::to_owned),
            deprecated: decl.deprecated,
            path: decl.path(),
            location: decl.location,
            type_id,
            on_unavailable: decl.on_unavailable,
            conditions: conditions.collect(),
            breaker: decl.breaker.choice(),
        }
    }

    /// A registration by hand. A closure must be given a name; a type has its own.
    pub(crate) fn by_hand<H: 'static>(options: HandlerOptions, location: Location) -> Self {
        Self::named(type_name::<H>(), TypeId::of::<H>(), options, location)
    }

    fn named(whole: &str, type_id: TypeId, options: HandlerOptions, location: Location) -> Self {
        let path = whole.split('<').next().unwrap_or_default().trim_end_matches("::{{closure}}");
        let own = path.rsplit("::").next().unwrap_or(path);
        let name = options.name.unwrap_or_else(|| own.to_owned());
        // Closures of one place share all but their names.
        let path = if whole.ends_with("{{closure}}") { format!("{path}::{name}") } else { path.to_owned() };
        Self {
            name: Cow::Owned(name),
            aliases: options.aliases,
            priority: options.priority.unwrap_or(DEFAULT_PRIORITY),
            tags: options.tags,
            group: options.group,
            deprecated: None,
            path,
            location,
            type_id: Some(type_id),
            on_unavailable: options.on_unavailable,
            conditions: options.conditions,
            breaker: options.breaker,
        }
    }
}

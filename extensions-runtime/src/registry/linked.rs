//! What the attributes leave behind in the binary, collected by `inventory`.

use std::any::TypeId;
use std::time::Duration;

use super::Registrar;
use crate::handler::{AsyncOptions, BreakerChoice, Context, OnUnavailable};
use crate::point::{Deprecation, Location, PointInfo};

/// A point that is linked into this binary.
#[derive(Debug)]
pub struct LinkedPoint {
    /// Its description.
    pub info: &'static PointInfo,
    /// Makes it known, with its type.
    pub register: fn(&mut Registrar<'_>),
}

/// A handler that is linked into this binary, on one point.
#[derive(Debug)]
pub struct LinkedHandler {
    /// What its attribute says.
    pub decl: &'static HandlerDecl,
    /// Registers it.
    pub register: fn(&mut Registrar<'_>),
}

/// A handler whose code is in another binary.
#[derive(Debug)]
pub struct LinkedDeclaration {
    /// What is known of it here.
    pub decl: &'static HandlerDecl,
    /// Registers it.
    pub register: fn(&mut Registrar<'_>),
}

/// The options of a type that is registered by hand.
#[derive(Debug)]
pub struct LinkedAsyncOptions {
    /// The type.
    pub type_id: fn() -> TypeId,
    /// Its name.
    pub type_name: &'static str,
    /// Its options.
    pub options: fn() -> AsyncOptions,
}

inventory::collect!(LinkedPoint);
inventory::collect!(LinkedHandler);
inventory::collect!(LinkedDeclaration);
inventory::collect!(LinkedAsyncOptions);

/// What an attribute says of a handler on one point.
#[derive(Debug)]
pub struct HandlerDecl {
    /// Its name.
    pub name: &'static str,
    /// Its earlier names.
    pub aliases: &'static [&'static str],
    /// Its place among the point's handlers.
    pub priority: i32,
    /// Its tags.
    pub tags: &'static [&'static str],
    /// Its group.
    pub group: Option<&'static str>,
    /// What a guard that could not run counts as.
    pub on_unavailable: OnUnavailable,
    /// What must hold for it to take part in a fire, beside its predicates.
    pub conditions: &'static [ConditionDecl],
    /// What it says of its circuit breaker.
    pub breaker: BreakerDecl,
    /// Set where it is marked `#[deprecated]`.
    pub deprecated: Option<Deprecation>,
    /// The type's or function's own name.
    pub type_name: &'static str,
    /// The module that defines it.
    pub module_path: &'static str,
    /// Where it is defined.
    pub location: Location,
}

impl HandlerDecl {
    pub(crate) fn path(&self) -> String {
        format!("{}::{}", self.module_path, self.type_name)
    }
}

/// A condition that an attribute gives a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionDecl {
    /// The instance's environment is one of these.
    Environment(&'static [&'static str]),
    /// The feature flag is on.
    Feature(&'static str),
    /// The feature flag is off.
    NotFeature(&'static str),
}

/// A predicate that an attribute gives a handler on the point `P`.
pub type Predicate<P> = fn(&P, &Context) -> bool;

/// What an attribute says of a handler's circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerDecl {
    /// It has none.
    pub off: bool,
    /// Its threshold, if it has one of its own.
    pub threshold: Option<u32>,
    /// Its time-out, if it has one of its own.
    pub timeout: Option<Duration>,
    /// How many calls are let through in half-open, if it has a number of its own.
    pub half_open_max: Option<u32>,
}

impl BreakerDecl {
    /// Nothing said.
    pub const DEFAULT: Self = Self { off: false, threshold: None, timeout: None, half_open_max: None };

    pub(super) const fn choice(&self) -> BreakerChoice {
        match *self {
            Self { off: true, .. } => BreakerChoice::Off,
            Self { threshold: None, timeout: None, half_open_max: None, .. } => BreakerChoice::Default,
            Self { threshold, timeout, half_open_max, .. } => {
                BreakerChoice::Changed { threshold, timeout, half_open_max }
            }
        }
    }
}

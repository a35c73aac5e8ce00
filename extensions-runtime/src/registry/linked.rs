//! What the attributes leave behind in the binary, collected by `inventory`.

use std::any::TypeId;
use std::time::Duration;

use super::Registrar;
use crate::handler::{AsyncOptions, Context};
use crate::point::{Deprecation, Location, PointInfo};

/// A point that is linked into this binary.
#[derive(Debug)]
pub struct LinkedPoint {
    /// Its description.
    pub info: &'static PointInfo,
    /// Gives it a table, even if it has no handlers yet.
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
    /// What a guard that could not run is to count as. Kept for later; nothing asks it yet.
    pub on_unavailable: OnUnavailable,
    /// Set where it is marked `#[deprecated]`.
    pub deprecated: Option<Deprecation>,
    /// The type's or function's own name.
    pub type_name: &'static str,
    /// The module that defines it.
    pub module_path: &'static str,
    /// Where it is defined.
    pub location: Location,
    /// What must hold for it to take part in a fire; its predicates are handed to the registrar.
    pub conditions: &'static [ConditionDecl],
    /// Its circuit breaker.
    pub breaker: BreakerDecl,
}

impl HandlerDecl {
    pub(crate) fn path(&self) -> String {
        format!("{}::{}", self.module_path, self.type_name)
    }
}

/// What becomes of a question to guards when one of them could not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnavailable {
    /// The answer is no.
    #[default]
    Deny,
    /// The guard does not count.
    Allow,
}

/// What `#[when]` asks of the instance and of the fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionDecl {
    /// The instance's environment is one of these.
    Environment(&'static [&'static str]),
    /// The feature is on.
    Feature(&'static str),
    /// The feature is off.
    NotFeature(&'static str),
}

/// What `#[when(predicate = …)]` asks of the point and of the fire.
pub type Predicate<P> = fn(&P, &Context) -> bool;

/// What `#[circuit_breaker]` says; what it leaves out comes from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerDecl {
    /// Whether there is none.
    pub off: bool,
    /// How many failures in a row open it.
    pub threshold: Option<u32>,
    /// How long it stays open before it lets probes through.
    pub timeout: Option<Duration>,
    /// How many probes it lets through at a time.
    pub half_open_max: Option<u32>,
}

impl BreakerDecl {
    /// Nothing is said.
    pub const DEFAULT: Self = Self { off: false, threshold: None, timeout: None, half_open_max: None };
}

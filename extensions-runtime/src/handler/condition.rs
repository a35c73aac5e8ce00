//! What must hold for a handler to take part in a fire.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use super::Context;
use crate::point::ExtensionPoint;

/// A question to the point and the fire.
pub(crate) type DynPredicate<P> = dyn Fn(&P, &Context) -> bool + Send + Sync;

/// A condition as it was written, its point's type forgotten.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    Environment(Vec<String>),
    Feature { name: String, active: bool },
    Predicate(AnyPredicate),
}

/// A predicate whose point type is forgotten.
#[derive(Clone)]
pub(crate) struct AnyPredicate {
    point: TypeId,
    pub(crate) point_name: &'static str,
    /// An `Arc<DynPredicate<P>>`.
    predicate: Arc<dyn Any + Send + Sync>,
}

impl Condition {
    pub(crate) fn predicate<P: ExtensionPoint>(
        predicate: impl Fn(&P, &Context) -> bool + Send + Sync + 'static,
    ) -> Self {
        let predicate: Arc<DynPredicate<P>> = Arc::new(predicate);
        Self::Predicate(AnyPredicate {
            point: TypeId::of::<P>(),
            point_name: P::info().type_name,
            predicate: Arc::new(predicate),
        })
    }
}

impl AnyPredicate {
    /// The predicate, if it is for `P`.
    pub(crate) fn of<P: ExtensionPoint>(&self) -> Option<Arc<DynPredicate<P>>> {
        if self.point != TypeId::of::<P>() {
            return None;
        }
        self.predicate.downcast_ref::<Arc<DynPredicate<P>>>().cloned()
    }
}

impl fmt::Debug for AnyPredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "predicate on {}", self.point_name)
    }
}

/// As listings show it.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(names) => write!(f, "env = {}", names.join(" | ")),
            Self::Feature { name, active: true } => write!(f, "feature = {name}"),
            Self::Feature { name, active: false } => write!(f, "not_feature = {name}"),
            Self::Predicate(_) => f.write_str("predicate"),
        }
    }
}

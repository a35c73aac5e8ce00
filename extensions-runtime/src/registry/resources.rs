//! Dependency injection: what the application gives, and how handlers get it.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{BuildProblem, HandlerDecl};
use crate::BoxError;

/// The values that handlers can ask for, by type.
#[derive(Default)]
pub struct Resources {
    /// For a type `T` the value is an `Arc<T>`.
    by_type: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl Resources {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.by_type.insert(TypeId::of::<T>(), Box::new(Arc::new(value)));
    }

    /// The resource of type `T`, given as `T` or as `Arc<T>`.
    #[must_use]
    pub fn get<T: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let given =
            self.by_type.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref::<Arc<T>>()).cloned();
        given.or_else(|| {
            let in_arc = self.by_type.get(&TypeId::of::<Arc<T>>())?;
            in_arc.downcast_ref::<Arc<Arc<T>>>().map(|arc| Arc::clone(&**arc))
        })
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("len", &self.by_type.len()).finish()
    }
}

/// A resource as a parameter of a function handler.
pub struct Res<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Clone for Res<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for Res<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> Res<T> {
    /// The shared value.
    #[must_use]
    pub fn into_arc(self) -> Arc<T> {
        self.0
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Res<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A field of a handler that is not injected.
///
/// `Default` under another name: where it is missing, `#[inject]` is what was forgotten more often than `#[derive(Default)]`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a field without `#[inject]` comes from `Default`, which `{Self}` does not implement",
    label = "neither injected nor `Default`",
    note = "write `#[inject]` on the field, derive `Default` for its type, or name a constructor of the handler: `with = path`"
)]
pub trait FieldDefault: Sized {
    fn field_default() -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Default> FieldDefault for T {
    fn field_default() -> Self {
        T::default()
    }
}

/// A type that can be injected: `Arc<T>`, `Res<T>`, or `Option` of one for a resource that may be missing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be injected",
    label = "not an injectable type",
    note = "write `Arc<…>` (or `Res<…>`), or `Option<Arc<…>>` where the resource may be missing"
)]
pub trait Injectable: Sized {
    #[doc(hidden)]
    fn take(resources: &Resources) -> Result<Self, &'static str>;
}

impl<T: ?Sized + Send + Sync + 'static> Injectable for Arc<T> {
    fn take(resources: &Resources) -> Result<Self, &'static str> {
        resources.get::<T>().ok_or_else(type_name::<T>)
    }
}

impl<T: ?Sized + Send + Sync + 'static> Injectable for Res<T> {
    fn take(resources: &Resources) -> Result<Self, &'static str> {
        Arc::<T>::take(resources).map(Self)
    }
}

impl<T: Injectable> Injectable for Option<T> {
    fn take(resources: &Resources) -> Result<Self, &'static str> {
        Ok(T::take(resources).ok())
    }
}

/// Makes one handler from the resources, and notes all that is missing.
#[doc(hidden)]
#[derive(Debug)]
pub struct Injector<'a> {
    pub(super) resources: &'a Resources,
    pub(super) decl: &'static HandlerDecl,
    pub(super) problems: &'a mut Vec<BuildProblem>,
}

impl Injector<'_> {
    /// A field or parameter.
    pub fn field<T: Injectable>(&mut self, field: &'static str) -> Option<T> {
        match T::take(self.resources) {
            Ok(value) => Some(value),
            Err(resource) => {
                self.problems.push(BuildProblem::MissingResource {
                    handler: self.decl.path(),
                    field: field.to_owned(),
                    resource,
                    location: self.decl.location,
                });
                None
            }
        }
    }

    /// A handler with a constructor of its own.
    pub fn construct<H>(&mut self, constructor: fn(&Resources) -> Result<H, BoxError>) -> Option<H> {
        constructor(self.resources)
            .inspect_err(|error| {
                self.problems.push(BuildProblem::Constructor {
                    handler: self.decl.path(),
                    location: self.decl.location,
                    error: error.to_string(),
                });
            })
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Injectable, Res, Resources};
    use std::sync::Arc;

    trait Mailer: Send + Sync {
        fn name(&self) -> &'static str;
    }
    struct Smtp;
    impl Mailer for Smtp {
        fn name(&self) -> &'static str {
            "smtp"
        }
    }

    #[test]
    fn a_resource_is_found_whether_given_as_value_or_as_arc_and_as_trait_object() {
        let mut resources = Resources::default();
        resources.insert(5_u32);
        resources.insert(Arc::new("text".to_owned()));
        resources.insert(Arc::new(Smtp) as Arc<dyn Mailer>);
        assert_eq!(resources.get::<u32>().as_deref(), Some(&5));
        assert_eq!(resources.get::<String>().unwrap().as_str(), "text");
        assert_eq!(Arc::<dyn Mailer>::take(&resources).unwrap().name(), "smtp");
        assert_eq!(*Res::<u32>::take(&resources).unwrap(), 5);
        assert!(Res::<u64>::take(&resources).unwrap_err().contains("u64"));
        assert!(<Option<Arc<u64>> as Injectable>::take(&resources).unwrap().is_none());
    }
}

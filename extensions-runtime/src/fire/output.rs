//! What outputs can be, for the strategies: each trait says in its own words what to write where it is missing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::ops::Add;
use std::sync::Arc;

use crate::point::ExtensionPoint;

/// A point whose inline handlers have an output, as a bound. Implemented by `#[derive(ExtensionPoint)]` with
/// `#[extension_point(output = …)]`.
#[diagnostic::on_unimplemented(
    message = "the inline handlers of `{Self}` have no outputs to collect",
    label = "a point without `output = …`",
    note = "write `#[extension_point(output = …)]` on `{Self}`; if it is interruptible, ask with `.allows()`"
)]
pub trait WithOutput: ExtensionPoint {
    /// What strategies are given: the output, or `T` where the attribute says `output = Option<T>`.
    type Value: Send + Sync + 'static;

    #[doc(hidden)]
    fn __value(output: Self::Output) -> Option<Self::Value>;
    #[doc(hidden)]
    fn __peek(output: &Self::Output) -> Option<&Self::Value>;
}

/// An output that can be empty, which [`first`](super::Fire::first) passes over.
#[diagnostic::on_unimplemented(
    message = "`first` does not know when an output of type `{Self}` is empty",
    label = "not `Emptiable`",
    note = "write `output = Option<…>` on the point and return `None` for nothing, or `impl Emptiable for {Self}`",
    note = "`Option`, texts and the collections of the standard library are `Emptiable`"
)]
pub trait Emptiable {
    /// Whether it says nothing.
    fn is_empty(&self) -> bool;
}

impl<T> Emptiable for Option<T> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl<T: Emptiable + ?Sized> Emptiable for &T {
    fn is_empty(&self) -> bool {
        T::is_empty(self)
    }
}

impl<T: Emptiable + ?Sized> Emptiable for Box<T> {
    fn is_empty(&self) -> bool {
        T::is_empty(self)
    }
}

impl<T: Emptiable + ?Sized> Emptiable for Arc<T> {
    fn is_empty(&self) -> bool {
        T::is_empty(self)
    }
}

impl<T: Emptiable + ToOwned + ?Sized> Emptiable for Cow<'_, T> {
    fn is_empty(&self) -> bool {
        T::is_empty(self)
    }
}

macro_rules! emptiable {
    ($($(#[$generics:ident $(, $more:ident)*])? $type:ty;)*) => {$(
        impl $(<$generics $(, $more)*>)? Emptiable for $type {
            fn is_empty(&self) -> bool {
                self.is_empty()
            }
        }
    )*};
}

emptiable! {
    str;
    String;
    #[T] [T];
    #[T] Vec<T>;
    #[T] VecDeque<T>;
    #[T] BinaryHeap<T>;
    #[T] BTreeSet<T>;
    #[T, S] HashSet<T, S>;
    #[K, V] BTreeMap<K, V>;
    #[K, V, S] HashMap<K, V, S>;
}

/// A collection that takes in another of its kind. Lists, sets and maps of the standard library are.
#[diagnostic::on_unimplemented(
    message = "outputs of type `{Self}` cannot be merged",
    label = "not a collection",
    note = "write `output = Vec<…>` (or a set, a map) on the point; for texts there is `.concat()`, for anything else `.reduce(init, |all, one| …)`"
)]
pub trait Mergeable: Default {
    #[doc(hidden)]
    fn merge(self, other: Self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Default + IntoIterator + Extend<<T as IntoIterator>::Item>> Mergeable for T {
    fn merge(mut self, other: Self) -> Self {
        self.extend(other);
        self
    }
}

/// A collection of collections.
#[diagnostic::on_unimplemented(
    message = "outputs of type `{Self}` cannot be flattened",
    label = "not a collection of collections",
    note = "for a plain collection write `.merge()`"
)]
pub trait NestedMergeable {
    /// What the inner collections hold.
    type Inner: Send + Sync + 'static;
    #[doc(hidden)]
    fn append_to(self, all: &mut Vec<Self::Inner>);
}

#[diagnostic::do_not_recommend]
impl<T: IntoIterator> NestedMergeable for T
where
    T::Item: IntoIterator<Item: Send + Sync + 'static>,
{
    type Inner = <T::Item as IntoIterator>::Item;
    fn append_to(self, all: &mut Vec<Self::Inner>) {
        all.extend(self.into_iter().flatten());
    }
}

/// What can be added up: it has `Default` and `+`.
#[diagnostic::on_unimplemented(
    message = "outputs of type `{Self}` cannot be added up",
    label = "no `Default` and `Add<Output = {Self}>`",
    note = "write `.reduce(init, |sum, one| …)`, or implement `Default` and `std::ops::Add` for `{Self}`"
)]
pub trait Summable: Sized {
    #[doc(hidden)]
    fn zero() -> Self;
    #[doc(hidden)]
    fn plus(self, other: Self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Default + Add<Output = T>> Summable for T {
    fn zero() -> Self {
        T::default()
    }
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

/// What has a total order.
#[diagnostic::on_unimplemented(
    message = "outputs of type `{Self}` have no order",
    label = "not `Ord`",
    note = "derive `Ord` for it, or write `.reduce(init, |best, one| …)`; for floats: `.reduce(f64::INFINITY, f64::min)`"
)]
pub trait Comparable: Ord + Sized {
    #[doc(hidden)]
    fn better(best: Option<Self>, other: Self, wins: fn(&Self, &Self) -> bool) -> Option<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: Ord> Comparable for T {
    fn better(best: Option<Self>, other: Self, wins: fn(&Self, &Self) -> bool) -> Option<Self> {
        match best {
            Some(best) if !wins(&other, &best) => Some(best),
            _ => Some(other),
        }
    }
}

/// `bool`.
#[diagnostic::on_unimplemented(
    message = "`all` and `any` need outputs of type `bool`, not `{Self}`",
    label = "not `bool`",
    note = "write `output = bool` on the point, or `.reduce(true, |all, one| all && …)`"
)]
pub trait Flag {
    #[doc(hidden)]
    fn is_set(&self) -> bool;
}

impl Flag for bool {
    fn is_set(&self) -> bool {
        *self
    }
}

/// What is a text: `String`, `&str`, anything that is `AsRef<str>`.
#[diagnostic::on_unimplemented(
    message = "outputs of type `{Self}` are no texts",
    label = "not `AsRef<str>`",
    note = "write `output = String` on the point; for lists there is `.merge()`"
)]
pub trait Textual {
    #[doc(hidden)]
    fn text(&self) -> &str;
}

#[diagnostic::do_not_recommend]
impl<T: AsRef<str>> Textual for T {
    fn text(&self) -> &str {
        self.as_ref()
    }
}

//! Asks a point's type for traits that it need not have. It works for concrete types only, such as those that the derive sees.

use std::marker::PhantomData;
use std::ops::Deref;

use serde::Serialize;
use serde_json::Value;

/// A method is looked for here first, where it has the trait as a bound, and behind the `Deref` only if the bound doesn't hold.
/// No trait needs to be in scope for that, so that the expansion imports nothing that might go unused.
#[doc(hidden)]
#[derive(Debug)]
pub struct Optionally<'a, T>(pub &'a T);

impl<T: Serialize> Optionally<'_, T> {
    /// The value as data.
    pub fn __ext_view(&self) -> Option<Result<Value, serde_json::Error>> {
        Some(serde_json::to_value(self.0))
    }
}

impl<T: Clone> Optionally<'_, T> {
    /// A second value.
    pub fn __ext_copy(&self) -> Option<T> {
        Some(self.0.clone())
    }
}

impl<T> Deref for Optionally<'_, T> {
    type Target = Without<T>;

    fn deref(&self) -> &Without<T> {
        &Without(PhantomData)
    }
}

/// What a type without the trait has instead.
#[derive(Debug)]
pub struct Without<T>(PhantomData<T>);

impl<T> Without<T> {
    /// Nothing: the type is not `Serialize`.
    #[must_use]
    pub fn __ext_view(&self) -> Option<Result<Value, serde_json::Error>> {
        None
    }

    /// Nothing: the type is not `Clone`.
    #[must_use]
    pub fn __ext_copy(&self) -> Option<T> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bare;

    #[derive(Serialize)]
    struct Data {
        id: u64,
    }

    #[derive(Clone)]
    struct Copied(u64);

    #[test]
    fn a_type_has_what_its_traits_give() {
        let view = Optionally(&Data { id: 7 }).__ext_view().and_then(Result::ok);
        assert_eq!(view, Some(serde_json::json!({ "id": 7 })));
        assert_eq!(Optionally(&Copied(7)).__ext_copy().map(|copied| copied.0), Some(7));
    }

    #[test]
    fn a_type_without_the_traits_has_nothing() {
        assert!(Optionally(&Bare).__ext_view().is_none() && Optionally(&Bare).__ext_copy().is_none());
        assert!(Optionally(&Copied(7)).__ext_view().is_none());
        assert!(Optionally(&Data { id: 7 }).__ext_copy().is_none());
    }
}

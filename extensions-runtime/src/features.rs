//! Feature flags: whether a handler with `#[when(feature = "…")]` is part of a fire.

mod env;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

pub use self::env::EnvFlags;
pub(crate) use self::env::{PREFIX, on_or_off, variable};

/// Says which features are active, for whom.
///
/// It is asked at every fire, on the path of the fire: an answer from memory, not from the network.
pub trait FeatureFlags: fmt::Debug + Send + Sync + 'static {
    /// Whether `feature` is active inside `scope`.
    fn is_active(&self, feature: &str, scope: &FlagScope<'_>) -> bool;
}

impl<T: FeatureFlags + ?Sized> FeatureFlags for Arc<T> {
    fn is_active(&self, feature: &str, scope: &FlagScope<'_>) -> bool {
        (**self).is_active(feature, scope)
    }
}

/// For whom a fire happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlagScope<'a> {
    tenant: Option<&'a str>,
    user: Option<&'a str>,
    request: Option<&'a str>,
    scope: Option<&'a str>,
}

impl<'a> FlagScope<'a> {
    pub(crate) const fn new(
        tenant: Option<&'a str>,
        user: Option<&'a str>,
        request: Option<&'a str>,
        scope: Option<&'a str>,
    ) -> Self {
        Self { tenant, user, request, scope }
    }

    /// The tenant, inside one.
    #[must_use]
    pub const fn tenant(&self) -> Option<&'a str> {
        self.tenant
    }

    /// The user, inside one's scope.
    #[must_use]
    pub const fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The request's id, inside one.
    #[must_use]
    pub const fn request(&self) -> Option<&'a str> {
        self.request
    }

    /// The innermost scope with a name of its own, inside one.
    #[must_use]
    pub const fn scope(&self) -> Option<&'a str> {
        self.scope
    }
}

/// Flags that are set in code, the same for everybody. A feature that was never set is off.
///
/// ```
/// # use extensions_runtime::features::{FeatureFlags, FlagScope, StaticFlags};
/// let flags = StaticFlags::new().with("new-billing", true);
/// assert!(flags.is_active("new-billing", &FlagScope::default()));
/// flags.set("new-billing", false);
/// assert!(!flags.is_active("new-billing", &FlagScope::default()));
/// ```
#[derive(Debug, Default)]
pub struct StaticFlags(RwLock<HashMap<String, bool>>);

impl StaticFlags {
    /// No feature is active.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a feature on or off.
    #[must_use]
    pub fn with(self, feature: impl Into<String>, active: bool) -> Self {
        self.set(feature, active);
        self
    }

    /// Turns a feature on or off from now on; an instance and a test share the flags as an `Arc`.
    pub fn set(&self, feature: impl Into<String>, active: bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(feature.into(), active);
    }
}

impl FeatureFlags for StaticFlags {
    fn is_active(&self, feature: &str, _: &FlagScope<'_>) -> bool {
        let flags = self.0.read().unwrap_or_else(PoisonError::into_inner);
        flags.get(feature).copied().unwrap_or(false)
    }
}

/// Flags that a closure decides.
///
/// ```
/// # use extensions_runtime::features::FlagFn;
/// let flags = FlagFn::new(|feature, scope| feature == "new-billing" && scope.tenant() == Some("acme"));
/// ```
#[derive(Clone)]
pub struct FlagFn<F>(F);

impl<F: Fn(&str, &FlagScope<'_>) -> bool + Send + Sync + 'static> FlagFn<F> {
    /// Asks `decide`, with the feature and for whom.
    #[must_use]
    pub const fn new(decide: F) -> Self {
        Self(decide)
    }
}

impl<F: Fn(&str, &FlagScope<'_>) -> bool + Send + Sync + 'static> FeatureFlags for FlagFn<F> {
    fn is_active(&self, feature: &str, scope: &FlagScope<'_>) -> bool {
        (self.0)(feature, scope)
    }
}

impl<F> fmt::Debug for FlagFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlagFn").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{FeatureFlags, FlagFn, FlagScope, StaticFlags};

    const ANYBODY: FlagScope<'_> = FlagScope::new(None, None, None, None);

    #[test]
    fn a_feature_that_was_never_set_is_off_and_the_last_word_counts() {
        let flags = StaticFlags::new().with("a", true).with("b", true).with("b", false);
        assert_eq!(["a", "b", "c"].map(|feature| flags.is_active(feature, &ANYBODY)), [true, false, false]);
    }

    #[test]
    fn shared_flags_can_be_flipped_behind_the_trait() {
        let flags = Arc::new(StaticFlags::new());
        let shared: Arc<dyn FeatureFlags> = Arc::new(Arc::clone(&flags));
        assert!(!shared.is_active("a", &ANYBODY));
        flags.set("a", true);
        assert!(shared.is_active("a", &ANYBODY));
    }

    #[test]
    fn a_closure_sees_the_feature_and_for_whom() {
        let flags = FlagFn::new(|feature, scope| {
            let parts = [scope.tenant(), scope.user(), scope.request(), scope.scope()];
            feature == "a" && parts == ["acme", "7", "r1", "admin"].map(Some)
        });
        let scope = FlagScope::new(Some("acme"), Some("7"), Some("r1"), Some("admin"));
        assert!(flags.is_active("a", &scope));
        assert!(!flags.is_active("b", &scope) && !flags.is_active("a", &ANYBODY));
    }
}

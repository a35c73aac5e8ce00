//! Flags from the environment.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use super::{FeatureFlags, FlagScope};
use crate::telemetry::names::event;

/// How the variables of all features begin.
pub(crate) const PREFIX: &str = "EXTENSIONS_FEATURE_";

type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Flags from environment variables, the same for everybody: `EXTENSIONS_FEATURE_NEW_BILLING` for `new-billing`.
///
/// The variable's name is the feature's in capitals, with `_` for everything that is no ASCII letter or digit. `true`, `1`, `on`
/// and `yes` turn it on, `false`, `0`, `off` and `no` turn it off, in any case. Another value turns it off and is warned of once. Without a
/// variable, or with an empty one, it is off, or what [`or`](Self::or) says. Each variable is read when it is first asked for.
///
/// ```
/// # use extensions_runtime::features::{EnvFlags, FeatureFlags, FlagScope, StaticFlags};
/// let flags = EnvFlags::new().or(StaticFlags::new().with("new-billing", true));
/// assert!(flags.is_active("new-billing", &FlagScope::default()));
/// ```
pub struct EnvFlags {
    lookup: Lookup,
    read: RwLock<HashMap<String, Option<bool>>>,
    fallback: Option<Box<dyn FeatureFlags>>,
}

impl Default for EnvFlags {
    fn default() -> Self {
        Self::new()
    }
}

impl EnvFlags {
    /// The process's environment.
    #[must_use]
    pub fn new() -> Self {
        Self::on(|variable| Some(std::env::var_os(variable)?.to_string_lossy().into_owned()))
    }

    fn on(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { lookup: Box::new(lookup), read: RwLock::default(), fallback: None }
    }

    /// The same with flags that are asked where there is no variable.
    #[must_use]
    pub fn or(mut self, fallback: impl FeatureFlags) -> Self {
        self.fallback = Some(Box::new(fallback));
        self
    }

    fn known(&self, feature: &str) -> Option<Option<bool>> {
        self.read.read().unwrap_or_else(PoisonError::into_inner).get(feature).copied()
    }

    fn read(&self, feature: &str) -> Option<bool> {
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        *read.entry(feature.to_owned()).or_insert_with(|| {
            let variable = variable(feature);
            parse(&variable, &(self.lookup)(&variable)?)
        })
    }
}

impl FeatureFlags for EnvFlags {
    fn is_active(&self, feature: &str, scope: &FlagScope<'_>) -> bool {
        let set = self.known(feature).unwrap_or_else(|| self.read(feature));
        set.unwrap_or_else(|| {
            self.fallback.as_ref().is_some_and(|fallback| fallback.is_active(feature, scope))
        })
    }
}

impl fmt::Debug for EnvFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvFlags")
            .field("read", &self.read)
            .field("fallback", &self.fallback)
            .finish_non_exhaustive()
    }
}

/// The variable of a feature.
pub(crate) fn variable(feature: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    PREFIX.chars().chain(feature.chars().map(letter)).collect()
}

fn parse(variable: &str, value: &str) -> Option<bool> {
    let value = value.trim();
    if value.is_empty() {
        return None;
    }
    Some(on_or_off(value).unwrap_or_else(|| {
        tracing::warn!(
            name: event::UNCLEAR_FEATURE,
            variable,
            value,
            "a feature is neither on nor off, so it is off; write `true` or `false`"
        );
        false
    }))
}

/// The words for on and off, in any case.
pub(crate) fn on_or_off(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Some(true),
        "false" | "0" | "off" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::{Arc, Mutex};

    use super::EnvFlags;
    use crate::features::{FeatureFlags, FlagFn, FlagScope, StaticFlags};

    const ANYBODY: FlagScope<'_> = FlagScope::new(None, None, None, None);

    /// Flags where every variable has this value.
    fn all(value: &'static str) -> EnvFlags {
        EnvFlags::on(move |_| Some(value.to_owned()))
    }

    #[test]
    fn a_features_variable_has_its_name_in_capitals() {
        for (feature, variable) in [
            ("new-billing", "EXTENSIONS_FEATURE_NEW_BILLING"),
            ("v2.checkout beta", "EXTENSIONS_FEATURE_V2_CHECKOUT_BETA"),
            ("", "EXTENSIONS_FEATURE_"),
        ] {
            let flags = EnvFlags::on(move |asked| (asked == variable).then(|| "1".to_owned()));
            assert!(flags.is_active(feature, &ANYBODY), "{feature}");
        }
    }

    #[test]
    fn the_words_for_on_and_off_are_read_in_any_case() {
        for on in ["true", "1", "on", "yes", "TRUE", "Yes", " on "] {
            assert!(all(on).is_active("a", &ANYBODY), "{on}");
        }
        for off in ["false", "0", "off", "no", "False", "OFF"] {
            let flags = all(off).or(StaticFlags::new().with("a", true));
            assert!(!flags.is_active("a", &ANYBODY), "{off}");
        }
    }

    #[test]
    fn without_a_variable_it_is_off_or_what_the_fallback_says_for_this_scope() {
        let of_acme = FlagScope::new(Some("acme"), None, None, None);
        for nothing in [EnvFlags::on(|_| None), all("")] {
            assert!(!nothing.is_active("a", &of_acme));
            let flags = nothing.or(FlagFn::new(|_, scope| scope.tenant() == Some("acme")));
            assert!(flags.is_active("a", &of_acme) && !flags.is_active("a", &ANYBODY));
        }
    }

    #[test]
    fn the_process_environment_is_read() {
        let feature = format!("of-{}", uuid::Uuid::nil());
        assert!(!EnvFlags::new().is_active(&feature, &ANYBODY));
        let (name, _) = std::env::vars().next().expect("some variable");
        assert_eq!((EnvFlags::new().lookup)(&name), std::env::var(&name).ok());
    }

    /// Writes down the fields of each event.
    #[derive(Clone, Default)]
    struct Events(Arc<Mutex<Vec<String>>>);

    impl tracing::Subscriber for Events {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let mut line = event.metadata().level().to_string();
            event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                let _ = write!(line, " {field}={value:?}");
            });
            self.0.lock().unwrap().push(line);
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn another_value_is_off_and_warned_of_once_with_the_variable_and_its_value() {
        let events = Events::default();
        tracing::subscriber::with_default(events.clone(), || {
            let flags = all("perhaps").or(StaticFlags::new().with("a", true));
            for _ in 0..3 {
                assert!(!flags.is_active("a", &ANYBODY));
            }
        });
        let lines = events.0.lock().unwrap().clone();
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in ["WARN", "EXTENSIONS_FEATURE_A", "perhaps", "write `true` or `false`"] {
            assert!(lines[0].contains(part), "{part}: {lines:?}");
        }
    }
}

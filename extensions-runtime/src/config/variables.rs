//! The layer of the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::error::ConfigMistake;
use super::keys::{CONFIG_VARIABLE, KEYS};
use super::layer::{Layer, Origin};
use crate::features::PREFIX;

/// The variables of the framework that are not empty.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, OsString>);

impl Variables {
    pub(super) fn of_process() -> Self {
        Self::new(std::env::vars_os())
    }

    fn new(all: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let own = |(name, value): (OsString, OsString)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("EXTENSIONS_"))?;
            (!value.is_empty()).then_some((name, value))
        };
        Self(all.filter_map(own).collect())
    }

    /// The path in `EXTENSIONS_CONFIG`.
    pub(super) fn config(&self) -> Option<&OsString> {
        self.0.get(CONFIG_VARIABLE)
    }

    /// The variables of features and their texts.
    pub(super) fn features(&self) -> impl Iterator<Item = (&str, String)> {
        let features = self.0.iter().filter(|(name, _)| name.starts_with(PREFIX));
        features.map(|(name, value)| (name.as_str(), value.to_string_lossy().into_owned()))
    }

    /// All keys that variables set.
    pub(super) fn layer(&self, mistakes: &mut Vec<ConfigMistake>) -> Layer {
        let mut layer = Layer::default();
        for key in KEYS {
            let Some((name, value)) = key.variable.and_then(|name| Some((name, self.0.get(name)?))) else {
                continue;
            };
            let Some(text) = value.to_str() else {
                mistakes.push(ConfigMistake::of_variable(format!("{name} (`{}`) is not UTF-8", key.path)));
                continue;
            };
            match key.kind.read(&key.kind.given(text)) {
                Ok(value) => layer.put(key, value, Origin::Variable(name.to_owned())),
                Err(hint) => {
                    let message = format!("{name} (`{}`) is {text:?}; {hint}", key.path);
                    mistakes.push(ConfigMistake::of_variable(message));
                }
            }
        }
        layer
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Variables {
    fn from(all: [(&str, &str); N]) -> Self {
        Self::new(all.into_iter().map(|(name, value)| (name.into(), value.into())))
    }
}

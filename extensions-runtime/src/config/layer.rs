//! What one place sets, and what was set in the end.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::keys::Key;
use super::value::{Held, Value};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// It is built in.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// The builder was told so.
    Builder,
}

/// `default`, `extensions.toml:3`, `EXTENSIONS_ENV`, `builder`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::File { path, line } => f.pad(&format!("{}:{line}", path.display())),
            Self::Variable(name) => f.pad(name),
            Self::Builder => f.pad("builder"),
        }
    }
}

/// Values by the paths of their keys. It may hold secrets, so it has no `Debug`.
#[derive(Clone, Default)]
pub(crate) struct Layer(BTreeMap<&'static str, (Value, Origin)>);

impl Layer {
    pub(super) fn put(&mut self, key: &Key, value: Value, origin: Origin) {
        self.0.insert(key.path, (value, origin));
    }

    /// What the builder was told; the last word counts.
    pub(crate) fn choose(&mut self, key: &Key, value: Value) {
        self.put(key, value, Origin::Builder);
    }

    /// Takes over all that another layer sets.
    pub(super) fn cover(&mut self, upper: Self) {
        self.0.extend(upper.0);
    }

    pub(super) fn set(&self, key: &Key) -> Option<&(Value, Origin)> {
        self.0.get(key.path)
    }

    /// What is set, else the default, and where it is from.
    pub(super) fn value(&self, key: &Key) -> (Option<Value>, Origin) {
        match self.set(key) {
            Some((value, origin)) => (Some(value.clone()), origin.clone()),
            None => (key.default.and_then(|text| key.kind.read(&key.kind.given(text)).ok()), Origin::Default),
        }
    }

    /// What is set, else the default; none without either.
    pub(super) fn get<T: Held>(&self, key: &Key) -> Option<T> {
        T::of(&self.value(key).0?)
    }

    /// What is set; none where only the default holds.
    pub(super) fn chosen<T: Held>(&self, key: &Key) -> Option<T> {
        T::of(&self.set(key)?.0)
    }
}

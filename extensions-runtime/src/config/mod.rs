//! What an operator sets: `extensions.toml`, under variables, under what the program says itself.
//!
//! One table of keys (`keys.rs`) is what the file and the variables are read by, and what the documentation is compared with.

mod apply;
mod error;
#[cfg(feature = "config")]
mod file;
mod given;
pub(crate) mod keys;
mod layer;
#[cfg(feature = "config")]
mod nearest;
mod pool;
mod secrets;
#[cfg(test)]
mod tests;
mod units;
mod value;
mod variables;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub use self::error::{ConfigError, ConfigMistake};
use self::keys::{FEATURES, KEYS, Key, POOL_KEYS, WORKER};
pub(crate) use self::layer::Layer;
pub use self::layer::Origin;
#[cfg(feature = "console")]
pub(crate) use self::nearest::nearest;
pub use self::pool::{Pool, PoolQueues, SupervisorConfig};
#[cfg(feature = "console")]
pub(crate) use self::units::{duration, size};
use self::value::Kind;
pub(crate) use self::value::Value;
use self::variables::Variables;

/// What holds for an instance, and where each value comes from.
///
/// The builder's calls beat variables, variables beat the file, the file beats what is built in.
#[derive(Clone, Default)]
pub struct Config {
    file: Option<PathBuf>,
    layer: Layer,
    features: BTreeMap<String, (bool, Origin)>,
    /// That the features are the program's own, and not those above.
    has_own_features: bool,
    /// What the queue is called that the program made itself.
    own_queue: Option<String>,
    pools: BTreeMap<String, Pool>,
    pool_layers: BTreeMap<String, Layer>,
    supervisor: SupervisorConfig,
}

/// A value of a configuration as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The path of the key in the file: `async.tries`, `worker.default.concurrency`.
    pub key: String,
    /// The variable that sets it, if there is one.
    pub variable: Option<String>,
    /// The value, with passwords masked; none where nothing is set or built in.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: Origin,
    /// What the key means.
    pub about: &'static str,
}

/// Which file is read.
#[derive(Debug, Clone, Default)]
pub(crate) enum Source {
    /// That of `EXTENSIONS_CONFIG`, or the nearest `extensions.toml`.
    #[default]
    Found,
    #[cfg(feature = "config")]
    Named(PathBuf),
    Nothing,
}

impl Config {
    /// Reads the file that `EXTENSIONS_CONFIG` names, else the first `extensions.toml` from the working directory upward, if there is
    /// one, and the variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every mistake: a file that is named and cannot be read, unknown keys, values that cannot be, in the file
    /// and in variables.
    pub fn load() -> Result<Self, ConfigError> {
        Self::checked(&Source::Found)
    }

    /// Reads a file and the variables.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    #[cfg(feature = "config")]
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Self::checked(&Source::Named(path.into()))
    }

    fn checked(source: &Source) -> Result<Self, ConfigError> {
        let (config, mistakes) = Self::read(source);
        ConfigError::of(mistakes).map_or(Ok(config), Err)
    }

    /// What could be read, and what could not.
    pub(crate) fn read(source: &Source) -> (Self, Vec<ConfigMistake>) {
        let folder = std::env::current_dir().ok();
        Self::read_with(source, folder.as_deref(), &Variables::of_process())
    }

    fn read_with(
        source: &Source,
        folder: Option<&Path>,
        variables: &Variables,
    ) -> (Self, Vec<ConfigMistake>) {
        let (mut config, mut mistakes) = (Self::default(), Vec::new());
        config.take_file(source, folder, variables, &mut mistakes);
        config.layer.cover(variables.layer(&mut mistakes));
        config.take_feature_variables(variables);
        config.supervisor = SupervisorConfig::of(&config.layer);
        (config, mistakes)
    }

    #[cfg(feature = "config")]
    fn take_file(
        &mut self,
        source: &Source,
        folder: Option<&Path>,
        variables: &Variables,
        mistakes: &mut Vec<ConfigMistake>,
    ) {
        self.file = match source {
            Source::Found => variables.config().map(PathBuf::from).or_else(|| file::find(folder?)),
            Source::Named(path) => Some(path.clone()),
            Source::Nothing => None,
        };
        let Some(path) = &self.file else { return };
        let file = file::read(path, mistakes);
        self.layer = file.layer;
        self.features =
            file.features.into_iter().map(|(name, active, origin)| (name, (active, origin))).collect();
        self.pools =
            file.pools.iter().filter_map(|(name, layer)| Some((name.clone(), Pool::of(layer)?))).collect();
        self.pool_layers = file.pools.into_iter().collect();
    }

    /// A file that is asked for and cannot be read is no reason to go on without it.
    #[cfg(not(feature = "config"))]
    fn take_file(
        &mut self,
        source: &Source,
        _: Option<&Path>,
        variables: &Variables,
        mistakes: &mut Vec<ConfigMistake>,
    ) {
        if let (Source::Found, Some(path)) = (source, variables.config()) {
            let message = format!(
                "{} names {path:?}, but files are read with the feature `config` of the crate `extensions` alone",
                keys::CONFIG_VARIABLE
            );
            mistakes.push(ConfigMistake::of_variable(message));
        }
    }

    /// Variables of features that the file names stand beside its keys, others under their own names.
    fn take_feature_variables(&mut self, variables: &Variables) {
        for (variable, text) in variables.features() {
            let known = self.features.keys().find(|name| crate::features::variable(name) == variable);
            let name = known.cloned().unwrap_or_else(|| variable[crate::features::PREFIX.len()..].to_owned());
            // As `EnvFlags` has it: what is neither on nor off is off.
            let active = crate::features::on_or_off(&text).unwrap_or(false);
            self.features.insert(name, (active, Origin::Variable(variable.to_owned())));
        }
    }

    /// Every key with its value, in the order of the documentation: first the keys of the framework, then features, then pools.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let own = KEYS.iter().map(|key| entry(&self.layer, key, key.path.to_owned()));
        let mut entries: Vec<_> = own.collect();
        if let Some((queue, entry)) = self.own_queue.as_ref().zip(entries.first_mut()) {
            (entry.value, entry.origin) = (Some(queue.clone()), Origin::Builder);
        }
        entries.extend(self.feature_entries());
        for (name, layer) in &self.pool_layers {
            entries.extend(
                POOL_KEYS.iter().map(|key| entry(layer, key, format!("{WORKER}.{name}.{}", key.path))),
            );
        }
        entries
    }

    fn feature_entries(&self) -> Vec<Entry> {
        const ABOUT: &str = "whether the feature is on";
        if self.has_own_features {
            let about = "feature flags are the program's own; the file and variables are not asked";
            let value = Some("own".to_owned());
            return vec![Entry {
                key: FEATURES.to_owned(),
                variable: None,
                value,
                origin: Origin::Builder,
                about,
            }];
        }
        let entry = |(name, (active, origin)): (&String, &(bool, Origin))| Entry {
            key: format!("{FEATURES}.{name}"),
            variable: Some(crate::features::variable(name)),
            value: Some(active.to_string()),
            origin: origin.clone(),
            about: ABOUT,
        };
        self.features.iter().map(entry).collect()
    }

    /// The file that was read.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The URL of the queue, passwords included; none where the program made its queue itself, or has none.
    #[must_use]
    pub fn queue_url(&self) -> Option<String> {
        if self.own_queue.is_some() { None } else { self.layer.get(&keys::QUEUE_URL) }
    }

    /// The name of the environment.
    #[must_use]
    pub fn environment(&self) -> String {
        self.layer.get(&keys::ENVIRONMENT).unwrap_or_default()
    }

    /// The pools of workers, by name.
    #[must_use]
    pub fn pools(&self) -> &BTreeMap<String, Pool> {
        &self.pools
    }

    /// The supervisor's options.
    #[must_use]
    pub fn supervisor(&self) -> &SupervisorConfig {
        &self.supervisor
    }
}

fn entry(layer: &Layer, key: &Key, path: String) -> Entry {
    let (value, origin) = layer.value(key);
    let shown = value.map(|value| match (key.kind, value) {
        (Kind::Url, url) => secrets::masked(&url.to_string()),
        (_, Value::Words(words)) => {
            Value::Words(words.iter().map(|word| secrets::masked(word)).collect()).to_string()
        }
        (_, other) => other.to_string(),
    });
    Entry { key: path, variable: key.variable.map(str::to_owned), value: shown, origin, about: key.about }
}

/// Nothing but what may be shown.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("file", &self.file).field("entries", &self.entries()).finish()
    }
}

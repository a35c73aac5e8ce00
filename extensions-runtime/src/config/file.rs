//! The layer of `extensions.toml`.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::error::ConfigMistake;
use super::given::Given;
use super::keys::{self, FEATURES, KEYS, Key, POOL_KEYS, WORKER};
use super::layer::{Layer, Origin};
use super::nearest::{hint, nearest};
use super::pool::Pool;

/// What the file is called where no variable names it.
const NAME: &str = "extensions.toml";

/// The file of a folder, or of the nearest one above that has it: a link that leads nowhere too, to be told of when it is read.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    let is_it = |path: &PathBuf| path.is_file() || (path.is_symlink() && !path.exists());
    folder.ancestors().map(|folder| folder.join(NAME)).find(is_it)
}

/// What a file says.
#[derive(Default)]
pub(super) struct File {
    pub(super) layer: Layer,
    pub(super) features: Vec<(String, bool, Origin)>,
    pub(super) pools: Vec<(String, Layer)>,
}

/// Reads a file; where it cannot be read or is no TOML, there is nothing in it but mistakes.
pub(super) fn read(path: &Path, mistakes: &mut Vec<ConfigMistake>) -> File {
    let mut of_file = Vec::new();
    let mut file = File::default();
    match fs::read_to_string(path) {
        Ok(text) => {
            let mut reader =
                Reader { path: path.into(), text: &text, file: &mut file, mistakes: &mut of_file };
            reader.document();
        }
        Err(error) => of_file.push(ConfigMistake {
            file: Some(path.display().to_string()),
            line: None,
            message: format!("the file cannot be read: {error}"),
        }),
    }
    of_file.sort();
    mistakes.append(&mut of_file);
    file
}

struct Reader<'a> {
    path: Arc<Path>,
    text: &'a str,
    file: &'a mut File,
    mistakes: &'a mut Vec<ConfigMistake>,
}

/// A key as it was written, the value and the line.
struct Line<'t> {
    name: &'t str,
    value: &'t DeValue<'t>,
    line: usize,
}

impl Reader<'_> {
    fn document(&mut self) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        // What could be made of a text that is no TOML is guesswork; further mistakes in it would be too.
        for error in &errors {
            let line = self.line(&error.span().unwrap_or_default());
            self.wrong(line, format!("this is no TOML: {}", error.message()));
        }
        if !errors.is_empty() {
            return;
        }
        for line in self.lines(table.get_ref()) {
            match (line.name, line.value) {
                (FEATURES, DeValue::Table(features)) => self.features(features),
                (WORKER, DeValue::Table(pools)) => self.pools(pools),
                (FEATURES | WORKER, _) => self.no_table(&line, line.name),
                _ => self.section(&line, ""),
            }
        }
    }

    /// A key, or a table of keys.
    fn section(&mut self, line: &Line<'_>, above: &str) {
        let path = format!("{above}{}", line.name);
        if let Some(key) = KEYS.iter().find(|key| key.path == path) {
            if let Some(layer) = self.value(key, &path, line) {
                self.file.layer.cover(layer);
            }
            return;
        }
        let below = format!("{path}.");
        match line.value {
            _ if !KEYS.iter().any(|key| key.path.starts_with(&below)) => {
                let message = format!("`{path}` is no key; {}", nearest_key(line.name, above));
                self.wrong(line.line, message);
            }
            DeValue::Table(table) => {
                for line in self.lines(table) {
                    self.section(&line, &below);
                }
            }
            _ => self.no_table(line, &path),
        }
    }

    fn features(&mut self, features: &DeTable<'_>) {
        for line in self.lines(features) {
            match line.value {
                DeValue::Boolean(active) => {
                    let origin = self.origin(line.line);
                    self.file.features.push((line.name.to_owned(), *active, origin));
                }
                other => {
                    let message =
                        format!("`{FEATURES}.{}` is {}; write `true` or `false`", line.name, given(other));
                    self.wrong(line.line, message);
                }
            }
        }
    }

    fn pools(&mut self, pools: &DeTable<'_>) {
        for line in self.lines(pools) {
            let path = format!("{WORKER}.{}", line.name);
            match line.value {
                DeValue::Table(table) => self.pool(&line, &path, table),
                other => {
                    let message = format!(
                        "`{path}` is {}, and pools are tables with names; write `[{WORKER}.default]` above it",
                        given(other)
                    );
                    self.wrong(line.line, message);
                }
            }
        }
    }

    fn pool(&mut self, head: &Line<'_>, path: &str, table: &DeTable<'_>) {
        let before = self.mistakes.len();
        let mut layer = Layer::default();
        for line in self.lines(table) {
            let path = format!("{path}.{}", line.name);
            match POOL_KEYS.iter().find(|key| key.path == line.name) {
                Some(key) => layer.cover(self.value(key, &path, &line).unwrap_or_default()),
                None => {
                    let names: Vec<_> = POOL_KEYS.iter().map(|key| key.path).collect();
                    self.wrong(
                        line.line,
                        format!("`{path}` is no key of a pool; {}", hint(line.name, &names)),
                    );
                }
            }
        }
        if self.mistakes.len() == before {
            self.whole_pool(head, path, &layer);
        }
        self.file.pools.push((head.name.to_owned(), layer));
    }

    /// What single keys do not show.
    fn whole_pool(&mut self, head: &Line<'_>, path: &str, layer: &Layer) {
        let Some(pool) = Pool::of(layer) else {
            let message = format!("`{path}` names no queues; write `queues = [\"default\"]`");
            return self.wrong(head.line, message);
        };
        if let Some(min) = pool.min_concurrency.filter(|min| *min > pool.concurrency) {
            let message = format!(
                "`{path}.min_concurrency` is {min}, which is more than `concurrency`, {}",
                pool.concurrency
            );
            self.wrong(line_of(layer, &keys::POOL_MIN_CONCURRENCY).unwrap_or(head.line), message);
        }
        let names = pool.queues.names();
        for queue in pool.queue_concurrency.keys().filter(|queue| !names.contains(queue)) {
            let names: Vec<_> = names.iter().map(crate::job::QueueName::as_str).collect();
            let message = format!(
                "`{path}.queue_concurrency` limits `{queue}`, which the pool does not serve; {}",
                hint(queue.as_str(), &names)
            );
            self.wrong(line_of(layer, &keys::POOL_QUEUE_CONCURRENCY).unwrap_or(head.line), message);
        }
    }

    /// The value of a key, as a layer of its own.
    fn value(&mut self, key: &Key, path: &str, line: &Line<'_>) -> Option<Layer> {
        let given = given(line.value);
        match key.kind.read(&given) {
            Ok(value) => {
                let mut layer = Layer::default();
                layer.put(key, value, self.origin(line.line));
                Some(layer)
            }
            Err(hint) => {
                self.wrong(line.line, format!("`{path}` is {given}; {hint}"));
                None
            }
        }
    }

    fn no_table(&mut self, line: &Line<'_>, path: &str) {
        let message =
            format!("`{path}` is {}, but a table belongs there; write `[{path}]`", given(line.value));
        self.wrong(line.line, message);
    }

    fn wrong(&mut self, line: usize, message: String) {
        self.mistakes.push(ConfigMistake {
            file: Some(self.path.display().to_string()),
            line: Some(line),
            message,
        });
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File { path: Arc::clone(&self.path), line }
    }

    fn lines<'t>(&self, table: &'t DeTable<'t>) -> Vec<Line<'t>> {
        let lines = table.iter();
        lines
            .map(|(name, value)| Line {
                name: name.get_ref(),
                value: value.get_ref(),
                line: self.line(&name.span()),
            })
            .collect()
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        before.filter(|byte| **byte == b'\n').count() + 1
    }
}

fn line_of(layer: &Layer, key: &Key) -> Option<usize> {
    match layer.set(key)? {
        (_, Origin::File { line, .. }) => Some(*line),
        _ => None,
    }
}

/// What to say after an unknown key: a key of that very name in another table, else the nearest one beside it, else the nearest of
/// another table, else all beside it.
fn nearest_key(name: &str, above: &str) -> String {
    let mut beside: Vec<_> =
        KEYS.iter().filter_map(|key| key.path.strip_prefix(above)?.split('.').next()).collect();
    beside.dedup();
    if above.is_empty() {
        beside.extend([FEATURES, WORKER]);
    }
    let last = |key: &Key| key.path.rsplit('.').next().unwrap_or(key.path);
    let elsewhere = |name: &str| KEYS.iter().find(|key| last(key) == name).map(|key| key.path.to_owned());
    let found = elsewhere(name)
        .or_else(|| nearest(name, &beside).map(|found| format!("{above}{found}")))
        .or_else(|| elsewhere(nearest(name, &KEYS.iter().map(last).collect::<Vec<_>>())?));
    found.map_or_else(|| hint(name, &beside), |path| format!("did you mean `{path}`?"))
}

/// A value of a file as any other.
fn given<'t>(value: &'t DeValue<'t>) -> Given<'t> {
    match value {
        DeValue::String(text) => Given::Text((&**text).into()),
        DeValue::Integer(number) => match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Given::Number(number),
            Err(_) if number.as_str().starts_with('-') => Given::Other("a negative number"),
            Err(_) => Given::Other("a number that is too large"),
        },
        DeValue::Float(_) => Given::Other("a number with a fraction"),
        DeValue::Boolean(flag) => Given::Flag(*flag),
        DeValue::Datetime(_) => Given::Other("a date or time"),
        DeValue::Array(list) => Given::List(list.iter().map(|value| given(value.get_ref())).collect()),
        DeValue::Table(table) => {
            let rows = table.iter();
            Given::Table(
                rows.map(|(name, value)| ((&**name.get_ref()).into(), given(value.get_ref()))).collect(),
            )
        }
    }
}

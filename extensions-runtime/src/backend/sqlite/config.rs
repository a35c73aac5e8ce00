//! Where the database is and how it is opened.

use std::path::PathBuf;
use std::time::Duration;

use crate::backend::options::duration;
use crate::queue::{QueueError, QueueErrorKind};

/// What a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// A commit survives the end of any process at once, and a power cut from the next checkpoint on: a cut can
    /// take back the last commits, never half of one, and never damages the file. The default.
    #[default]
    Normal,
    /// What was pushed, ended or changed is on the disk before the call returns. A power cut can take back the last claims and
    /// heartbeats: the machine's workers are gone with it, and the jobs are there.
    Full,
}

impl Synchronous {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Full => "full",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) path: PathBuf,
    pub(super) synchronous: Synchronous,
    pub(super) busy_timeout: Duration,
    /// Whether the database may be made and changed.
    pub(super) migrate: bool,
}

const OPTIONS: &[&str] = &["synchronous", "busy_timeout"];

impl Config {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            synchronous: Synchronous::default(),
            busy_timeout: Duration::from_secs(5),
            migrate: true,
        }
    }

    /// Reads `sqlite://path?synchronous=full&busy_timeout=5s`.
    pub(super) fn from_url(url: &str) -> Result<Self, QueueError> {
        let rest = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .ok_or_else(|| invalid(format!("`{url}` does not start with `sqlite://`")))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err(invalid("the URL names no file; write `sqlite://jobs.db`".to_owned()));
        }
        let mut config = Self::new(PathBuf::from(percent_decoded(path)?));
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            config.set(key, value)?;
        }
        config.checked()
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), QueueError> {
        match key {
            "synchronous" => self.synchronous = parse_synchronous(value)?,
            "busy_timeout" => self.busy_timeout = duration(key, value)?,
            unknown => {
                let near = nearest(unknown, OPTIONS);
                return Err(invalid(format!("unknown option `{unknown}`; did you mean `{near}`?")));
            }
        }
        Ok(())
    }

    pub(super) fn checked(mut self) -> Result<Self, QueueError> {
        if self.path.as_os_str() == ":memory:" {
            return Err(invalid("a queue needs a file; for one in memory write `memory:`".to_owned()));
        }
        if self.path.as_os_str().is_empty() {
            return Err(invalid(
                "a queue needs a file; write its path, such as `sqlite://jobs.db`".to_owned(),
            ));
        }
        self.busy_timeout = self.busy_timeout.min(LONGEST_PATIENCE);
        Ok(self)
    }
}

/// Longer waits for a lock count as this one.
const LONGEST_PATIENCE: Duration = Duration::from_secs(24 * 3600);

fn invalid(context: String) -> QueueError {
    QueueError::new(QueueErrorKind::InvalidConfig, "connect", context)
}

fn parse_synchronous(value: &str) -> Result<Synchronous, QueueError> {
    match value.to_ascii_lowercase().as_str() {
        "normal" => Ok(Synchronous::Normal),
        "full" => Ok(Synchronous::Full),
        other => Err(invalid(format!("`synchronous={other}` is not known; write `normal` or `full`"))),
    }
}

fn percent_decoded(path: &str) -> Result<String, QueueError> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
            let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
            bytes.push(byte.ok_or_else(|| invalid(format!("`{path}`: write a `%` in a path as `%25`")))?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid(format!("`{path}` is not UTF-8")))
}

fn nearest<'a>(word: &str, known: &[&'a str]) -> &'a str {
    known.iter().copied().min_by_key(|candidate| distance(word, candidate)).unwrap_or_default()
}

fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{Config, Synchronous};
    use crate::queue::QueueErrorKind;
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn urls_name_a_path_and_options() {
        let table = [
            ("sqlite://jobs.db", "jobs.db", Synchronous::Normal, 5000),
            ("sqlite:jobs.db", "jobs.db", Synchronous::Normal, 5000),
            ("sqlite:///var/lib/app/jobs.db", "/var/lib/app/jobs.db", Synchronous::Normal, 5000),
            ("sqlite://a%20b.db?synchronous=FULL", "a b.db", Synchronous::Full, 5000),
            ("sqlite://x.db?busy_timeout=250ms&synchronous=normal", "x.db", Synchronous::Normal, 250),
            ("sqlite://x.db?busy_timeout=2m", "x.db", Synchronous::Normal, 120_000),
        ];
        for (url, path, synchronous, busy) in table {
            let config = Config::from_url(url).unwrap();
            assert_eq!(config.path, Path::new(path), "{url}");
            assert_eq!(config.synchronous, synchronous, "{url}");
            assert_eq!(config.busy_timeout, Duration::from_millis(busy), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_to_write() {
        let table = [
            ("sqlite:", "the URL names no file"),
            ("sqlite://x.db?sinchronous=full", "did you mean `synchronous`"),
            ("sqlite://x.db?busy=5s", "did you mean `busy_timeout`"),
            ("sqlite://x.db?synchronous=off", "write `normal` or `full`"),
            ("sqlite://x.db?busy_timeout=5", "like `5s` or `500ms`"),
            ("sqlite://x.db?busy_timeout=99999999999999999999s", "like `5s` or `500ms`"),
            ("sqlite://", "names no file"),
            ("sqlite::memory:", "write `memory:`"),
            ("sqlite://50%.db", "%25"),
            ("mysql://x", "does not start with"),
        ];
        for (url, hint) in table {
            let error = Config::from_url(url).unwrap_err();
            assert_eq!(error.kind(), QueueErrorKind::InvalidConfig, "{url}");
            assert!(error.to_string().contains(hint), "{url}: {error}");
        }
    }
}

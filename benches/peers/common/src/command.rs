//! The arguments: `CASE --url URL --jobs N [--durability normal|full] [--keep yes|no] [--defaults]`.

use crate::BoxError;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// One producer, each push awaited.
    Fire1,
    /// 64 producers at once, each push awaited.
    Fire64,
    /// Pushes of 1,000 jobs.
    Bulk,
    /// Leaves jobs for `drain`.
    Fill,
    /// Works off what `fill` left.
    Drain,
    /// A push every 20 ms to a worker that has nothing to do.
    Latency,
}

impl Case {
    const ALL: [(&str, Self); 6] = [
        ("fire-1", Self::Fire1),
        ("fire-64", Self::Fire64),
        ("bulk", Self::Bulk),
        ("fill", Self::Fill),
        ("drain", Self::Drain),
        ("latency", Self::Latency),
    ];

    fn named(name: &str) -> Result<Self, BoxError> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, case)| *case).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("`{name}` is no case; write one of {}", known.join(", ")).into()
        })
    }
}

/// What SQLite promises of what is written; servers promise what they are configured to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `synchronous=NORMAL`.
    Normal,
    /// `synchronous=FULL`.
    Full,
}

/// What a program is asked to do.
#[derive(Debug, Clone)]
pub struct Command {
    /// What to measure.
    pub case: Case,
    /// The store, in which nothing is but what `fill` left.
    pub url: String,
    /// How many jobs.
    pub jobs: u64,
    /// What SQLite is to promise.
    pub durability: Durability,
    /// Whether finished jobs are to be kept; the peer's own way where nothing is said.
    pub keep: Option<bool>,
    /// Whether the worker is to have the peer's defaults instead of its best settings.
    pub defaults: bool,
}

impl Command {
    /// The command of this process.
    ///
    /// # Errors
    ///
    /// If the arguments say nothing that could be done.
    pub fn from_args() -> Result<Self, BoxError> {
        use lexopt::prelude::{Long, Value, ValueExt};
        let (mut case, mut url, mut jobs) = (None, None, None);
        let (mut durability, mut keep, mut defaults) = (Durability::Normal, None, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Value(name) if case.is_none() => case = Some(Case::named(&name.string()?)?),
                Long("url") => url = Some(parser.value()?.string()?),
                Long("jobs") => jobs = Some(parser.value()?.parse()?),
                Long("durability") => {
                    let both = [("normal", Durability::Normal), ("full", Durability::Full)];
                    durability = one_of(&parser.value()?.string()?, both)?;
                }
                Long("keep") => {
                    keep = Some(one_of(&parser.value()?.string()?, [("yes", true), ("no", false)])?)
                }
                Long("defaults") => defaults = true,
                other => return Err(other.unexpected().into()),
            }
        }
        let url = url.ok_or("say where the store is, with --url")?;
        if ["?schema=", "?prefix="].iter().any(|place| url.contains(place)) {
            return Err("only we know places within a store: peers need a database of their own".into());
        }
        Ok(Self {
            case: case.ok_or("say which case: fire-1, fire-64, bulk, fill, drain or latency")?,
            url,
            jobs: jobs.filter(|jobs| *jobs > 0).ok_or("say how many jobs, with --jobs")?,
            durability,
            keep,
            defaults,
        })
    }

    /// # Errors
    ///
    /// If finished jobs are to be dropped.
    pub fn only_keeps(&self, peer: &str) -> Result<(), BoxError> {
        match self.keep {
            Some(false) => Err(format!("unsupported: {peer} keeps finished jobs").into()),
            _ => Ok(()),
        }
    }

    /// # Errors
    ///
    /// If finished jobs are to be kept.
    pub fn only_drops(&self, peer: &str) -> Result<(), BoxError> {
        match self.keep {
            Some(true) => Err(format!("unsupported: {peer} drops finished jobs").into()),
            _ => Ok(()),
        }
    }

    /// The error of a program that has no store for the URL.
    #[must_use]
    pub fn no_such_store(&self, peer: &str) -> BoxError {
        let scheme = self.url.split(':').next().unwrap_or_default();
        format!("unsupported: {peer} has no store for `{scheme}` URLs").into()
    }
}

fn one_of<T>(name: &str, known: [(&str, T); 2]) -> Result<T, BoxError> {
    let names = [known[0].0, known[1].0].join(" or ");
    let found = known.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value).ok_or_else(|| format!("`{name}` is not known here; write {names}").into())
}

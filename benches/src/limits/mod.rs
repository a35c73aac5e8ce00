//! The limit of a case: the thinnest code on the same engine, with the same payload and durability. Its tables are thinner than those of a
//! job queue have to be.

mod postgres;
mod redis;
mod sqlite;

use extensions::BoxError;

use crate::subject::{Answer, Arguments};

/// How many jobs one claim takes.
const CLAIM: usize = 100;
/// How many jobs one call of the bulk way brings.
const BULK: u64 = 1_000;

/// What this process does as a subject.
///
/// # Errors
///
/// If the store does not do what it is asked.
pub async fn subject(arguments: &Arguments) -> Result<Answer, BoxError> {
    match arguments.url.split(':').next() {
        Some("sqlite") => sqlite::subject(arguments),
        Some("postgres") => postgres::subject(arguments).await,
        Some("redis") => redis::subject(arguments).await,
        _ => Err(format!("`{}` has no limit", arguments.url).into()),
    }
}

fn unknown<T>(arguments: &Arguments) -> Result<T, BoxError> {
    Err(format!("`{}` has no limit here", arguments.step).into())
}

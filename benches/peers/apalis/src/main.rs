//! apalis on SQLite, PostgreSQL and Redis.

mod postgres;
mod producer;
mod redis;
mod sqlite;
mod worker;

use std::process::ExitCode;

use common::{BoxError, Command, Figures, answer_with, run};

use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::sqlite::Sqlite;

fn main() -> ExitCode {
    answer_with(measure)
}

async fn measure(command: Command) -> Result<Figures, BoxError> {
    command.only_keeps("apalis")?;
    match command.url.split_once("://") {
        Some(("sqlite", _)) => run(Sqlite::open(&command).await?, &command).await,
        Some(("postgres" | "postgresql", _)) => run(Postgres::open(&command).await?, &command).await,
        Some(("redis" | "rediss", _)) => run(Redis::open(&command).await?, &command).await,
        _ => Err(command.no_such_store("apalis")),
    }
}

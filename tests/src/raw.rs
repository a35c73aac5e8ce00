//! A store behind its backend's back: what puts garbage into it.

use std::path::PathBuf;
use std::time::Duration;

use extensions::job::JobId;
use sqlx::{AssertSqlSafe, Connection};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A part of a stored job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its payload.
    Payload,
    /// Its metadata.
    Meta,
    /// Its errors.
    Errors,
    /// Its progress.
    Progress,
}

/// A store, by its URL.
#[derive(Debug, Clone)]
pub enum Raw {
    /// The file.
    Sqlite(PathBuf),
    /// The database, and the schema in it.
    Postgres(String, String),
    /// The server, and what the keys start with.
    Redis(String, String),
}

impl Raw {
    /// The store that a URL names.
    ///
    /// # Panics
    ///
    /// If it names no durable one.
    #[must_use]
    pub fn of(url: &str) -> Self {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let option = |name: &str, default: &str| {
            let mut options = query.split('&').filter_map(|option| option.split_once('='));
            options.find(|(key, _)| *key == name).map_or(default, |(_, value)| value).to_owned()
        };
        match place.split_once("://") {
            Some(("sqlite", path)) => Self::Sqlite(path.into()),
            Some(("postgres", _)) => Self::Postgres(place.to_owned(), option("schema", "public")),
            Some(("redis", _)) => Self::Redis(place.to_owned(), option("prefix", "extensions")),
            _ => panic!("`{place}` is no durable store"),
        }
    }

    /// Overwrites a part of a stored job.
    ///
    /// # Panics
    ///
    /// If there is no such job.
    pub async fn spoil(&self, job: JobId, part: Part, garbage: Vec<u8>) {
        match self {
            Self::Sqlite(_) => {
                let sql = format!("UPDATE extensions_jobs SET {} = ?1 WHERE id = ?2", part.column());
                let spoiled = self.sqlite().execute(&sql, rusqlite::params![garbage, job.as_bytes()]);
                assert_eq!(spoiled.expect("the job can be spoiled"), 1);
            }
            Self::Postgres(_, schema) => {
                let (column, value) = (part.column(), if part == Part::Errors { "ARRAY[$1]" } else { "$1" });
                let sql =
                    format!("UPDATE \"{schema}\".extensions_jobs SET {column} = {value} WHERE id = '{job}'");
                let mut conn = self.postgres().await;
                let spoiled = sqlx::query(AssertSqlSafe(sql)).bind(garbage).execute(&mut conn).await;
                assert_eq!(spoiled.expect("the job can be spoiled").rows_affected(), 1);
            }
            Self::Redis(_, prefix) => {
                let mut conn = self.redis().await;
                let (key, field) = match part {
                    Part::Payload | Part::Meta => ("jobs", job.as_bytes().to_vec()),
                    Part::Errors => ("extras", [&job.as_bytes()[..], b"e"].concat()),
                    Part::Progress => ("extras", [&job.as_bytes()[..], b"p"].concat()),
                };
                let key = format!("{{{prefix}}}:{key}");
                let mut value = Vec::new();
                if key.ends_with(":jobs") {
                    // The state in which it was pushed stands before the rest.
                    let mut command = redis::cmd("HGET");
                    command.arg(&key).arg(&field);
                    value = command.query_async(&mut conn).await.expect("there is such a job");
                    value.truncate(31);
                }
                value.extend(garbage);
                let mut command = redis::cmd("HSET");
                command.arg(&key).arg(field).arg(value);
                let _: i64 = command.query_async(&mut conn).await.expect("the job can be spoiled");
            }
        }
    }

    /// The same with a text, where the store tells text from bytes.
    ///
    /// # Panics
    ///
    /// If there is no such job.
    pub async fn spoil_text(&self, job: JobId, part: Part, text: &str) {
        if let Self::Sqlite(_) = self {
            let sql = format!("UPDATE extensions_jobs SET {} = ?1 WHERE id = ?2", part.column());
            let spoiled = self.sqlite().execute(&sql, rusqlite::params![text, job.as_bytes()]);
            assert_eq!(spoiled.expect("the job can be spoiled"), 1);
        } else {
            self.spoil(job, part, text.as_bytes().to_vec()).await;
        }
    }

    /// A connection of one's own to the SQLite file.
    ///
    /// # Panics
    ///
    /// If it is none or does not open.
    #[must_use]
    pub fn sqlite(&self) -> rusqlite::Connection {
        let Self::Sqlite(path) = self else { panic!("{self:?} is no SQLite file") };
        let conn = rusqlite::Connection::open(path).expect("a second connection");
        conn.busy_timeout(Duration::from_secs(20)).expect("a time-out");
        conn
    }

    /// A connection of one's own to the database.
    ///
    /// # Panics
    ///
    /// If it is none or cannot be reached.
    pub async fn postgres(&self) -> sqlx::PgConnection {
        let Self::Postgres(url, _) = self else { panic!("{self:?} is no PostgreSQL database") };
        sqlx::PgConnection::connect(url).await.expect("a second connection")
    }

    /// A connection of one's own to the server.
    ///
    /// # Panics
    ///
    /// If it is none or cannot be reached.
    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let Self::Redis(url, _) = self else { panic!("{self:?} is no Redis") };
        let client = redis::Client::open(url.as_str()).expect("the URL is right");
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        client.get_multiplexed_async_connection_with_config(&patient).await.expect("a second connection")
    }
}

impl Part {
    const fn column(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Meta => "meta",
            Self::Errors => "errors",
            Self::Progress => "progress",
        }
    }
}

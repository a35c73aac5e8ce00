//! Where the database is and how it is used.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::error::invalid;
use super::store::Place;
use crate::backend::options::{cut_login, duration, is_login_cut};
use crate::queue::QueueError;

/// The options of the queue's own.
const OPTIONS: &[&str] = &["schema", "prefix", "max_connections", "poll", "timeout", "migrate"];

/// The options of a connection, which the driver reads.
const DRIVER_OPTIONS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// What stands before the names of all tables.
pub(super) const PREFIX: &str = "extensions_";

const LONGEST: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub(super) struct Config {
    pub(super) server: PgConnectOptions,
    pub(super) schema: Option<String>,
    pub(super) prefix: String,
    pub(super) max_connections: u32,
    pub(super) poll: Option<Duration>,
    pub(super) timeout: Duration,
    pub(super) migrate: bool,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("place", &self.place())
            .field("user", &self.server.get_username())
            .field("schema", &self.schema)
            .field("prefix", &self.prefix)
            .field("max_connections", &self.max_connections)
            .field("poll", &self.poll)
            .field("timeout", &self.timeout)
            .field("migrate", &self.migrate)
            .finish_non_exhaustive()
    }
}

impl Config {
    pub(super) fn new(server: PgConnectOptions) -> Self {
        Self {
            server: server.disable_statement_logging(),
            schema: None,
            prefix: PREFIX.to_owned(),
            max_connections: 10,
            poll: None,
            timeout: Duration::from_secs(10),
            migrate: true,
        }
    }

    /// Reads `postgres://user:password@host:5432/db?schema=app&max_connections=20`.
    pub(super) fn from_url(url: &str) -> Result<Self, QueueError> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        if !place.starts_with("postgres://") && !place.starts_with("postgresql://") {
            return Err(invalid("connect", "the URL does not start with `postgres://`"));
        }
        if place.split_once("://").is_some_and(|(_, place)| is_login_cut(place)) {
            return Err(cut_login());
        }
        let (mut own, mut rest) = (Vec::new(), Vec::new());
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            if OPTIONS.contains(&key) {
                own.push((key, decoded(value)?));
            } else if DRIVER_OPTIONS.contains(&key) || key.starts_with("options[") {
                rest.push(option);
            } else {
                return Err(if query.contains('@') { cut_login() } else { unknown(key) });
            }
        }
        let server = PgConnectOptions::from_str(&format!("{place}?{}", rest.join("&")))
            .map_err(|error| invalid("connect", format!("the URL cannot be read: {}", cause(&error))))?;
        let mut config = Self::new(server);
        for (key, value) in own {
            config.set(key, &value)?;
        }
        config.checked()
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), QueueError> {
        match key {
            "schema" => self.schema = Some(value.to_owned()),
            "prefix" => value.clone_into(&mut self.prefix),
            "max_connections" => {
                let wrong = || {
                    invalid("connect", format!("`max_connections={value}` is no number; write it like `10`"))
                };
                self.max_connections = value.parse().map_err(|_| wrong())?;
            }
            "poll" => self.poll = Some(duration(key, value)?),
            "timeout" => self.timeout = duration(key, value)?,
            _ => self.migrate = switch(key, value)?,
        }
        Ok(())
    }

    pub(super) fn checked(mut self) -> Result<Self, QueueError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts = self.prefix.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if !starts || self.prefix.len() > 32 || !self.prefix.chars().all(plain) {
            let why = "a prefix is 1 to 32 of `a` to `z`, `0` to `9` and `_` and starts with no digit";
            return Err(invalid("connect", why));
        }
        if self
            .schema
            .as_ref()
            .is_some_and(|schema| schema.is_empty() || schema.len() > 63 || schema.contains('\0'))
        {
            return Err(invalid("connect", "a schema's name has 1 to 63 bytes"));
        }
        if self.max_connections == 0 {
            return Err(invalid("connect", "`max_connections` must be at least 1"));
        }
        self.timeout = self.timeout.clamp(Duration::from_millis(100), LONGEST);
        self.poll = self.poll.map(|poll| poll.clamp(Duration::from_millis(10), LONGEST));
        Ok(self)
    }

    /// The store, by its server, database and schema.
    pub(super) fn describe(&self, store: &Place) -> String {
        format!("postgres {} {store}", self.place())
    }

    /// Server and database, for people.
    pub(super) fn place(&self) -> String {
        let server = &self.server;
        let database = server.get_database().unwrap_or_else(|| server.get_username());
        match server.get_socket() {
            Some(socket) => format!("{}/{database}", socket.display()),
            None => format!("{}:{}/{database}", server.get_host(), server.get_port()),
        }
    }
}

fn unknown(key: &str) -> QueueError {
    let list =
        |options: &[&str]| options.iter().map(|option| format!("`{option}`")).collect::<Vec<_>>().join(", ");
    invalid(
        "connect",
        format!(
            "unknown option `{key}`; there are {}, and for the connection {}",
            list(OPTIONS),
            list(DRIVER_OPTIONS)
        ),
    )
}

/// The innermost reason, which never repeats the URL.
fn cause(error: &sqlx::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn switch(key: &str, value: &str) -> Result<bool, QueueError> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(invalid("connect", format!("`{key}={other}` is not known; write `true` or `false`"))),
    }
}

fn decoded(value: &str) -> Result<String, QueueError> {
    let wrong = || invalid("connect", format!("`{value}`: write a `%` in a value as `%25`"));
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(hex, 16).map_err(|_| wrong())?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Config;
    use crate::queue::QueueErrorKind;

    #[test]
    fn urls_name_a_server_and_options() {
        let url = "postgres://me:s%40cret@db.example:5433/shop?schema=my%20app&prefix=q_&max_connections=3&poll=250ms&timeout=2s&migrate=false&sslmode=require";
        let config = Config::from_url(url).unwrap();
        assert_eq!(config.place(), "db.example:5433/shop");
        assert_eq!((config.schema.as_deref(), &*config.prefix), (Some("my app"), "q_"));
        assert_eq!((config.max_connections, config.migrate), (3, false));
        assert_eq!((config.poll, config.timeout), (Some(Duration::from_millis(250)), Duration::from_secs(2)));
        let plain = Config::from_url("postgresql://localhost/shop").unwrap();
        assert_eq!(
            (plain.schema, &*plain.prefix, plain.poll, plain.migrate),
            (None, "extensions_", None, true)
        );
    }

    #[test]
    fn passwords_are_never_shown() {
        let config = Config::from_url("postgres://me:s3cret@localhost/shop?application_name=x").unwrap();
        assert!(!format!("{config:?} {config:#?}").contains("s3cret"));
        for url in [
            "postgres://me:s3cret@localhost:port/x",
            "postgres://me:s3cret@localhost/x?sslmode=maybe",
            "postgres://me:1?s3cret@localhost/x",
            "postgres://me:1?s3cret=1@localhost/x",
            "postgres://me:1/s3cret@localhost/x",
        ] {
            let error = Config::from_url(url).unwrap_err();
            assert!(!format!("{error:?} {error} {error:#?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_to_write() {
        let table = [
            ("mysql://x", "does not start with"),
            ("postgres://x/y?shema=z", "there are `schema`"),
            ("postgres://x/y?max_connections=many", "like `10`"),
            ("postgres://x/y?max_connections=0", "at least 1"),
            ("postgres://x/y?poll=5", "like `5s` or `500ms`"),
            ("postgres://x/y?migrate=no", "`true` or `false`"),
            ("postgres://x/y?prefix=Jobs", "`a` to `z`"),
            ("postgres://x/y?prefix=", "`a` to `z`"),
            ("postgres://x/y?schema=", "1 to 63 bytes"),
            ("postgres://x/y?schema=50%", "%25"),
            ("postgres://x:port/y", "cannot be read"),
        ];
        for (url, hint) in table {
            let error = Config::from_url(url).unwrap_err();
            assert_eq!(error.kind(), QueueErrorKind::InvalidConfig, "{url}");
            assert!(error.to_string().contains(hint), "{url}: {error}");
        }
    }
}

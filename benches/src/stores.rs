//! Fresh stores of one backend at one durability, on a server of its own where it needs one.

use std::sync::atomic::{AtomicU64, Ordering};

use extensions::BoxError;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tests::servers::{Persistence, Postgres, Redis, Server};

/// A backend, and what is promised of what is written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The backend's name.
    pub backend: &'static str,
    /// What is promised.
    pub durability: &'static str,
    /// Whether that is more than the backend's own default.
    pub strict: bool,
}

/// What is measured: each backend with a store outside the process, first as it is by default.
pub const SETTINGS: [Setting; 5] = [
    Setting { backend: "sqlite", durability: "WAL, synchronous=NORMAL", strict: false },
    Setting { backend: "sqlite", durability: "WAL, synchronous=FULL", strict: true },
    Setting { backend: "postgres", durability: "fsync and synchronous_commit on", strict: false },
    Setting { backend: "redis", durability: "without AOF", strict: false },
    Setting { backend: "redis", durability: "AOF, appendfsync=everysec", strict: true },
];

/// The names of the backends with a store outside the process.
pub const BACKENDS: [&str; 3] = ["sqlite", "postgres", "redis"];

/// Where a case gets its stores.
#[derive(Debug)]
pub struct Stores {
    setting: Setting,
    kind: Kind,
    made: AtomicU64,
}

#[derive(Debug)]
enum Kind {
    Sqlite(TempDir),
    Postgres(Server),
    Redis(Server),
}

impl Stores {
    /// Starts what the setting needs.
    ///
    /// # Errors
    ///
    /// If there is no such backend, or no room for its files.
    ///
    /// # Panics
    ///
    /// If a server is not installed or does not start.
    pub async fn start(setting: Setting) -> Result<Self, BoxError> {
        let persistence = if setting.strict { Persistence::Everysec } else { Persistence::None };
        let kind = match setting.backend {
            "sqlite" => Kind::Sqlite(tempfile::tempdir()?),
            "postgres" => Kind::Postgres(Postgres::start().await),
            "redis" => Kind::Redis(Redis::start(persistence).await),
            other => return Err(format!("`{other}` has no store").into()),
        };
        Ok(Self { setting, kind, made: AtomicU64::new(0) })
    }

    /// The URL of a store that nothing is in, beside those that were made before. Only for ours.
    #[must_use]
    pub fn fresh_url(&self) -> String {
        match &self.kind {
            Kind::Sqlite(folder) => self.own(&file_url(folder, self.made.fetch_add(1, Ordering::Relaxed))),
            Kind::Postgres(server) | Kind::Redis(server) => server.fresh_url(),
        }
    }

    /// The URL of a place for anyone's store, in which nothing is; what was made so before is gone.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    pub async fn empty_url(&self) -> Result<String, BoxError> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        match &self.kind {
            Kind::Sqlite(folder) => {
                for entry in std::fs::read_dir(folder.path())? {
                    let path = entry?.path();
                    if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
                }
                Ok(file_url(folder, number))
            }
            Kind::Postgres(server) => {
                let mut conn = PgConnection::connect(&server.url()).await?;
                let earlier: Vec<String> =
                    sqlx::query_scalar("SELECT datname FROM pg_database WHERE datname LIKE 'bench%'")
                        .fetch_all(&mut conn)
                        .await?;
                for name in earlier {
                    conn.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await?;
                }
                conn.execute(AssertSqlSafe(format!("CREATE DATABASE bench{number}"))).await?;
                let (server, _) = server
                    .url()
                    .rsplit_once('/')
                    .map(|(left, name)| (left.to_owned(), name.to_owned()))
                    .unwrap_or_default();
                Ok(format!("{server}/bench{number}"))
            }
            Kind::Redis(server) => {
                let mut conn = redis::Client::open(server.url())?.get_connection()?;
                let () = redis::cmd("FLUSHALL").query(&mut conn)?;
                Ok(server.url())
            }
        }
    }

    /// A place as our URL of it, with the durability of these stores.
    #[must_use]
    pub fn own(&self, url: &str) -> String {
        match self.kind {
            Kind::Sqlite(_) if self.setting.strict => format!("{url}?synchronous=full"),
            _ => url.to_owned(),
        }
    }

    /// What is measured.
    #[must_use]
    pub const fn setting(&self) -> Setting {
        self.setting
    }

    /// How much of its speed it may lose beside a million jobs.
    #[must_use]
    pub const fn depth_goal(&self) -> f64 {
        match self.kind {
            Kind::Sqlite(_) | Kind::Postgres(_) => 0.8,
            Kind::Redis(_) => 0.9,
        }
    }
}

fn file_url(folder: &TempDir, number: u64) -> String {
    format!("sqlite://{}", folder.path().join(format!("{number}.db")).display())
}

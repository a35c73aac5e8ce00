//! Fresh stores of one backend, on a server of its own where it needs one.

use extensions::BoxError;
use tempfile::TempDir;
use tests::servers::{Persistence, Postgres, Redis, Server};

/// Where a case gets its stores.
#[derive(Debug)]
pub struct Stores {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Sqlite(TempDir),
    Postgres(Server),
    Redis(Server),
}

/// The backends with a store outside the process.
pub const BACKENDS: [&str; 3] = ["sqlite", "postgres", "redis"];

impl Stores {
    /// Starts what `backend` needs.
    ///
    /// # Errors
    ///
    /// If there is no such backend, or no room for its files.
    ///
    /// # Panics
    ///
    /// If a server is not installed or does not start.
    pub async fn start(backend: &str) -> Result<Self, BoxError> {
        let kind = match backend {
            "sqlite" => Kind::Sqlite(tempfile::tempdir()?),
            "postgres" => Kind::Postgres(Postgres::start().await),
            "redis" => Kind::Redis(Redis::start(Persistence::None).await),
            other => return Err(format!("`{other}` has no store").into()),
        };
        Ok(Self { kind })
    }

    /// The URL of a store that nothing is in.
    #[must_use]
    pub fn fresh_url(&self) -> String {
        match &self.kind {
            Kind::Sqlite(folder) => {
                let file = format!("{}.db", extensions::job::JobId::new());
                format!("sqlite://{}", folder.path().join(file).display())
            }
            Kind::Postgres(server) | Kind::Redis(server) => server.fresh_url(),
        }
    }

    /// The backend's name.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite(_) => "sqlite",
            Kind::Postgres(_) => "postgres",
            Kind::Redis(_) => "redis",
        }
    }

    /// What is promised of what is written.
    #[must_use]
    pub const fn durability(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite(_) => "WAL, synchronous=NORMAL",
            Kind::Postgres(_) => "fsync and synchronous_commit on",
            Kind::Redis(_) => "without AOF",
        }
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

//! Fresh stores of one backend, on a server of its own where it needs one.

use extensions::BoxError;
use tempfile::TempDir;

/// Where a case gets its stores.
#[derive(Debug)]
pub struct Stores {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Sqlite(TempDir),
}

/// The backends with a store outside the process.
pub const BACKENDS: [&str; 1] = ["sqlite"];

impl Stores {
    /// Starts what `backend` needs.
    ///
    /// # Errors
    ///
    /// If there is no such backend, or no room for its files.
    pub async fn start(backend: &str) -> Result<Self, BoxError> {
        let kind = match backend {
            "sqlite" => Kind::Sqlite(tempfile::tempdir()?),
            other => return Err(format!("`{other}` has no store").into()),
        };
        Ok(Self { kind })
    }

    /// The URL of a store that nothing is in.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub async fn fresh_url(&self) -> Result<String, BoxError> {
        match &self.kind {
            Kind::Sqlite(folder) => {
                let file = format!("{}.db", extensions::job::JobId::new());
                Ok(format!("sqlite://{}", folder.path().join(file).display()))
            }
        }
    }

    /// The backend's name.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite(_) => "sqlite",
        }
    }

    /// What is promised of what is written.
    #[must_use]
    pub const fn durability(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite(_) => "WAL, synchronous=NORMAL",
        }
    }

    /// How much of its speed it may lose beside a million jobs.
    #[must_use]
    pub const fn depth_goal(&self) -> f64 {
        match self.kind {
            Kind::Sqlite(_) => 0.8,
        }
    }
}

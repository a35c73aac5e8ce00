#![doc = include_str!("docs.md")]

mod backend;
mod busy;
mod call;
mod checkpoint;
mod config;
mod doorbell;
mod error;
mod health;
mod lease_clock;
mod migrations;
mod place;
mod presence;
mod reader;
mod signal;
#[cfg(feature = "sqlx-sqlite")]
mod sqlx;
mod store;
#[cfg(test)]
mod tests;
mod transaction;
mod watcher;
mod writer;

use std::future::{Future, IntoFuture};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use self::config::Config;
pub use self::config::Synchronous;
use self::lease_clock::{LeaseClock, boot_id};
use self::place::Place;
use self::presence::Presence;
use self::reader::Reader;
use self::signal::Signal;
use self::store::Store;
use self::watcher::Watcher;
use self::writer::Writer;
use crate::queue::{Migration, QueueError, QueueErrorKind};

/// A queue in one SQLite file, shared by any number of processes of one machine. Clones are handles to the same
/// connections.
///
#[doc = include_str!("docs.md")]
#[derive(Debug, Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// The file itself, by its one name without links.
    file: PathBuf,
    writer: Writer,
    /// How many jobs the last claim got.
    last_claim: AtomicUsize,
    reader: Reader,
    watcher: Watcher,
    signal: Arc<Signal>,
    boot: i64,
    clock: LeaseClock,
}

/// A database about to be opened; `.await` opens it.
#[derive(Debug, Clone)]
#[must_use = "a database is opened by `.await`"]
pub struct OpenSqlite {
    config: Result<Config, Arc<str>>,
}

impl Sqlite {
    /// Opens the database at `path`, and creates it if it is not there.
    ///
    /// # Errors
    ///
    /// When awaited: `Unavailable` if the file cannot be opened or stays locked, `Corrupt` if it is no database or of
    /// a newer release.
    pub fn open(path: impl AsRef<Path>) -> OpenSqlite {
        OpenSqlite { config: Ok(Config::new(path.as_ref().to_owned())) }
    }

    /// Opens the database that a URL names: `sqlite://jobs.db?synchronous=full&busy_timeout=5s`. Three slashes start
    /// an absolute path.
    ///
    /// # Errors
    ///
    /// When awaited: `InvalidConfig` if the URL or an option is wrong, and those of [`open`](Self::open).
    pub fn from_url(url: &str) -> OpenSqlite {
        OpenSqlite { config: Config::from_url(url).map_err(|error| error.context().into()) }
    }
}

impl OpenSqlite {
    /// Sets what a commit promises; default [`Synchronous::Normal`].
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        if let Ok(config) = &mut self.config {
            config.synchronous = synchronous;
        }
        self
    }

    /// Sets whether the file and its tables are made and brought up to date; default true. With false, a store that is not there is an
    /// error of kind `NotFound`, and an older one of kind `InvalidConfig`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        if let Ok(config) = &mut self.config {
            config.migrate = migrate;
        }
        self
    }

    /// Sets how long a call waits while other processes write; default 5 s. After that it fails as `Unavailable`.
    pub fn busy_timeout(mut self, busy_timeout: Duration) -> Self {
        if let Ok(config) = &mut self.config {
            config.busy_timeout = busy_timeout;
        }
        self
    }
}

impl IntoFuture for OpenSqlite {
    type Output = Result<Sqlite, QueueError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.open_store(None).await?.0) })
    }
}

impl OpenSqlite {
    fn checked(self) -> Result<Config, QueueError> {
        self.config.map_err(|why| QueueError::new(QueueErrorKind::InvalidConfig, "connect", &*why))?.checked()
    }

    /// The steps of the schema.
    pub(crate) fn migrations(self) -> Result<Vec<Migration>, QueueError> {
        self.checked().map(|_| migrations::all())
    }

    /// The queue, and which schema its store had.
    pub(crate) async fn open_store(self, may_change: Option<bool>) -> Result<(Sqlite, u32), QueueError> {
        let mut config = self.checked()?;
        config.migrate = may_change.unwrap_or(config.migrate);
        let (reply, opened) = oneshot::channel();
        std::thread::spawn(move || reply.send(open(&config)));
        opened.await.unwrap_or_else(|_| Err(error::gone("connect")))
    }
}

fn open(config: &Config) -> Result<(Sqlite, u32), QueueError> {
    let path = std::path::absolute(&config.path).unwrap_or_else(|_| config.path.clone());
    let failed = |error: rusqlite::Error| error::opening(&error, &path);
    let migrating = |error| error::migrating(&error, &path);
    busy::give_up_at(Instant::now() + config.busy_timeout);
    if !config.migrate {
        migrations::check(&path).map_err(migrating)?;
    }
    let writer = connection(&path, config).map_err(failed)?;
    let had = migrations::migrate(&writer, config.migrate).map_err(migrating)?;
    let boot_id = boot_id();
    let log = connection(&path, config).map_err(failed)?;
    let store = Store::new(writer, Presence::beside(&path), &boot_id).map_err(failed)?;
    let boot = store.boot_number();
    let (reads, watches) =
        (connection(&path, config).map_err(failed)?, connection(&path, config).map_err(failed)?);
    let signal = Arc::new(Signal::default());
    let patience = config.busy_timeout;
    let thread = |error: std::io::Error| {
        QueueError::new(QueueErrorKind::Unavailable, "connect", "a thread could not be started")
            .with_source(error)
    };
    let inner = Inner {
        writer: Writer::start(
            store,
            log,
            Place::of(&path),
            Arc::clone(&signal),
            (config.synchronous, patience),
        )
        .map_err(thread)?,
        reader: Reader::start(reads, patience).map_err(thread)?,
        watcher: Watcher::start(watches, &path, Arc::clone(&signal)).map_err(thread)?,
        last_claim: AtomicUsize::new(0),
        file: path.canonicalize().unwrap_or_else(|_| path.clone()),
        path,
        signal,
        boot,
        clock: LeaseClock::new(&boot_id),
    };
    Ok((Sqlite { inner: Arc::new(inner) }, had))
}

/// Small, as some commits that split a page look through all of the cache; what is not in it, the operating system has. Negative: in KiB.
const CACHE_KIB: i64 = -2048;

fn connection(path: &Path, config: &Config) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    busy::install(&conn)?;
    // Else statements are compiled anew whenever an argument has changed that might change their plan.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    busy::retried(|| conn.pragma_update(None, "journal_mode", "wal"))?;
    conn.pragma_update(None, "synchronous", config.synchronous.as_str())?;
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.pragma_update(None, "cache_size", CACHE_KIB)?;
    conn.pragma_update(None, "wal_autocheckpoint", checkpoint::LOG_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", 67_108_864)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

#![doc = include_str!("docs.md")]

mod backend;
mod config;
mod driver;
mod error;
mod store;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::oneshot;

use self::backend::Delivery;
use self::config::Config;
use self::driver::Driver;
use self::store::Store;
use crate::backend::handover::Waiters;
use crate::queue::{Migration, QueueError, QueueErrorKind};

/// A queue in Redis or Valkey, shared by any number of processes. Clones are handles to the same connection.
///
#[doc = include_str!("docs.md")]
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    driver: Arc<Driver>,
    config: Config,
    listening: AtomicBool,
    waiters: Arc<Waiters<Delivery>>,
}

/// A queue about to be opened; `.await` opens it.
#[derive(Debug, Clone)]
#[must_use = "a queue is opened by `.await`"]
pub struct OpenRedis {
    config: Result<Config, Arc<str>>,
}

impl Redis {
    /// Opens the queue that a URL names: `redis://user:password@host:6379/0?prefix=shop&timeout=5s`.
    ///
    /// # Errors
    ///
    /// When awaited: `InvalidConfig` if the URL, an option, the user or the password is wrong, `Unavailable` if the server cannot
    /// be reached, `Unsupported` if it is older than Redis 7, `Corrupt` if the keys are of a newer release.
    pub fn from_url(url: &str) -> OpenRedis {
        OpenRedis { config: Config::from_url(url).map_err(|error| error.context().into()) }
    }
}

impl OpenRedis {
    /// Sets what all keys start with, in braces; default `extensions`. Queues with different prefixes know nothing of
    /// each other.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        if let Ok(config) = &mut self.config {
            config.prefix = prefix.into();
        }
        self
    }

    /// Sets whether the store is made where it is not there; default true. With false that is an error of kind `NotFound`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        if let Ok(config) = &mut self.config {
            config.migrate = migrate;
        }
        self
    }

    /// Sets how long a call waits for its answer, new connections included; default 5 s. After that it fails as `Unavailable`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Ok(config) = &mut self.config {
            config.timeout = timeout;
        }
        self
    }
}

impl IntoFuture for OpenRedis {
    type Output = Result<Redis, QueueError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.open_store(None).await?.0) })
    }
}

impl OpenRedis {
    fn checked(self) -> Result<Config, QueueError> {
        self.config.map_err(|why| QueueError::new(QueueErrorKind::InvalidConfig, "connect", &*why))?.checked()
    }

    /// What there is to read of the layout.
    pub(crate) fn migrations(self) -> Result<Vec<Migration>, QueueError> {
        self.checked().map(|_| store::script::migrations())
    }

    /// The queue, and which layout its store had.
    pub(crate) async fn open_store(self, may_change: Option<bool>) -> Result<(Redis, u32), QueueError> {
        let mut config = self.checked()?;
        config.migrate = may_change.unwrap_or(config.migrate);
        let driver = Arc::new(Driver::start().await.map_err(|error| {
            QueueError::new(QueueErrorKind::Unavailable, "connect", "a thread could not be started")
                .with_source(error)
        })?);
        let (reply, opened) = oneshot::channel();
        let (settings, homes) = (config.clone(), driver.homes().clone());
        driver.homes().spawn(async move {
            let _ = reply.send(Store::open(&settings, homes).await);
        });
        let (store, had) = opened.await.unwrap_or_else(|_| Err(error::gone("connect")))?;
        let inner = Inner {
            store: Arc::new(store),
            driver,
            config,
            listening: AtomicBool::new(false),
            waiters: Arc::default(),
        };
        Ok((Redis { inner: Arc::new(inner) }, had))
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

#![doc = include_str!("docs.md")]

mod backend;
mod combiner;
mod config;
mod driver;
mod error;
mod handover;
mod listener;
mod migrations;
mod signal;
mod store;
mod transaction;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use self::combiner::Combiner;
use self::config::Config;
use self::driver::{Call, Driver, Failure};
use self::handover::Brought;
use self::signal::Signal;
use self::store::{Place, Store};
use crate::backend::handover::Waiters;
use crate::backend::homes::{Homes, Thread};
use crate::job::{HandlerKey, QueueName};
use crate::queue::{Link, Migration, QueueError, QueueErrorKind};

/// How long it may take to migrate, or to wait until another process has.
const MIGRATING: Duration = Duration::from_secs(60);

/// A queue in a PostgreSQL database, shared by any number of processes. Clones are handles to the same connections.
///
#[doc = include_str!("docs.md")]
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

/// What the last handle takes along.
struct Inner {
    config: Config,
    core: Arc<Core>,
    /// Ends the listening connection.
    closed: Arc<Notify>,
    _thread: Thread,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.closed.notify_one();
        // They hold what the waiters belong to.
        self.core.waiters.clear();
    }
}

/// What the tasks of the queue share.
#[derive(Debug)]
struct Core {
    homes: Homes,
    driver: Driver,
    store: Arc<Store>,
    signal: Signal,
    /// For those pushes that are made where the queue was opened, and for those on its thread.
    combiners: [Combiner; 2],
    waiters: Arc<Waiters<Brought>>,
    poll: Option<Duration>,
}

/// A queue about to be opened; `.await` opens it.
#[derive(Debug, Clone)]
#[must_use = "a queue is opened by `.await`"]
pub struct OpenPostgres {
    config: Result<Config, Arc<str>>,
}

impl Postgres {
    /// Opens the queue in the database that a URL names, and creates its tables if they are not there. The same as
    /// [`from_url`](Self::from_url).
    ///
    /// # Errors
    ///
    /// When awaited: as [`from_url`](Self::from_url).
    pub fn connect(url: &str) -> OpenPostgres {
        Self::from_url(url)
    }

    /// Opens the queue that a URL names: `postgres://user:password@host:5432/db?schema=app&prefix=jobs_`. The options are
    /// `schema`, `prefix`, `max_connections`, `poll`, `timeout`, `migrate`, and those of the connection, such as `sslmode`.
    ///
    /// # Errors
    ///
    /// When awaited: `InvalidConfig` if the URL or an option is wrong, or the server refuses the user; `Unavailable` or
    /// `Timeout` if there is no server; `Corrupt` if the tables are of a newer release.
    pub fn from_url(url: &str) -> OpenPostgres {
        OpenPostgres { config: Config::from_url(url).map_err(|error| error.context().into()) }
    }

    /// Opens the queue in the database of an application's pool: same server, user and TLS. The connections are the queue's
    /// own, since those of a pool belong to the runtime that opened them and a queue is also used outside of any; the
    /// pool's hooks are not run. For jobs in a transaction of the pool's, see [`Transaction`](crate::queue::Transaction).
    ///
    /// # Errors
    ///
    /// When awaited: as [`from_url`](Self::from_url).
    #[allow(clippy::needless_pass_by_value)]
    pub fn from_pool(pool: PgPool) -> OpenPostgres {
        OpenPostgres { config: Ok(Config::new((*pool.connect_options()).clone())) }
    }
}

impl OpenPostgres {
    fn with(mut self, set: impl FnOnce(&mut Config)) -> Self {
        if let Ok(config) = &mut self.config {
            set(config);
        }
        self
    }

    /// Sets the schema of the tables; default the connection's current one. It must exist.
    pub fn schema(self, schema: impl Into<String>) -> Self {
        self.with(|config| config.schema = Some(schema.into()))
    }

    /// Sets what stands before the names of all tables; default `extensions_`.
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        self.with(|config| config.prefix = prefix.into())
    }

    /// Sets the largest number of connections for calls; default 10. One more listens.
    pub fn max_connections(self, connections: u32) -> Self {
        self.with(|config| config.max_connections = connections)
    }

    /// Looks for jobs at this interval instead of listening, and keeps no prepared statements: for poolers that hand each
    /// transaction to another connection.
    pub fn poll_only(self, interval: Duration) -> Self {
        self.with(|config| config.poll = Some(interval))
    }

    /// Sets how long a call may take, the time to connect included; default 10 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeout = timeout)
    }

    /// Sets whether the tables are created and migrated when the queue is opened; default true. With false, tables that are
    /// missing are an error of kind `NotFound`, and older ones of kind `InvalidConfig`.
    pub fn migrate(self, migrate: bool) -> Self {
        self.with(|config| config.migrate = migrate)
    }
}

impl IntoFuture for OpenPostgres {
    type Output = Result<Postgres, QueueError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.open_store(None).await?.0) })
    }
}

impl OpenPostgres {
    fn checked(self) -> Result<Config, QueueError> {
        self.config.map_err(|why| QueueError::new(QueueErrorKind::InvalidConfig, "connect", &*why))?.checked()
    }

    /// The steps of the schema, for the place where the tables would be.
    pub(crate) async fn migrations(self) -> Result<Vec<Migration>, QueueError> {
        let config = self.checked()?;
        let thread = start()?;
        let (reply, found) = oneshot::channel();
        Homes::of(&thread).await.spawn(async move { drop(reply.send(planned(&config).await)) });
        driver::answer("connect", found).await
    }

    /// The queue, and which schema its store had.
    pub(crate) async fn open_store(self, may_change: Option<bool>) -> Result<(Postgres, u32), QueueError> {
        let mut config = self.checked()?;
        config.migrate = may_change.unwrap_or(config.migrate);
        let thread = start()?;
        let homes = Homes::of(&thread).await;
        let (reply, opened) = oneshot::channel();
        let (asked, at) = (config.clone(), homes.clone());
        homes.spawn(async move { drop(reply.send(open(asked, at).await)) });
        let (core, had) = driver::answer("connect", opened).await?;
        let closed = Arc::new(Notify::new());
        if config.poll.is_none() {
            let (core, closed) = (Arc::downgrade(&core), Arc::clone(&closed));
            homes.keep(move || {
                let (core, closed) = (Weak::clone(&core), Arc::clone(&closed));
                async move {
                    tokio::select! {
                        () = listener::listen(core) => {}
                        () = closed.notified() => {}
                    }
                }
            });
        }
        Ok((Postgres { inner: Arc::new(Inner { config, core, closed, _thread: thread }) }, had))
    }
}

fn start() -> Result<Thread, QueueError> {
    Thread::start("extensions-postgres").map_err(|error| {
        QueueError::new(QueueErrorKind::Unavailable, "connect", "a thread could not be started")
            .with_source(error)
    })
}

fn driver_for(config: &Config) -> Driver {
    let pooled = config.poll.is_some();
    let server =
        if pooled { config.server.clone().statement_cache_capacity(0) } else { config.server.clone() };
    let link = Link::new(format!("postgres {}", config.place()));
    Driver::new(server, config.max_connections, config.timeout, pooled, link)
}

/// The steps that would make the store.
async fn planned(config: &Config) -> Result<Vec<Migration>, QueueError> {
    let looking = async {
        let driver = driver_for(config);
        let mut conn = driver.connect().await.map_err(|error| error::map(&error, "connect"))?;
        let schema = match &config.schema {
            Some(asked) if is_plain(asked) => asked.clone(),
            Some(_) => return Err(quoted_schema()),
            None => schema(&mut conn, None, false).await?,
        };
        Ok(migrations::all(&Place::new(&schema, &config.prefix)))
    };
    tokio::time::timeout(config.timeout, looking).await.map_err(|_| error::timeout("connect"))?
}

async fn open(config: Config, homes: Homes) -> Result<(Arc<Core>, u32), QueueError> {
    let pooled = config.poll.is_some();
    let mut driver = driver_for(&config);
    let reaching = async {
        let mut conn = driver.connect().await.map_err(|error| error::map(&error, "connect"))?;
        let schema = schema(&mut conn, config.schema.as_deref(), config.migrate).await?;
        Ok::<_, QueueError>((conn, Place::new(&schema, &config.prefix)))
    };
    let reached = tokio::time::timeout(config.timeout, reaching).await;
    let (mut conn, place) = reached.map_err(|_| error::timeout("connect"))??;
    driver.link = Link::new(config.describe(&place));
    let preparing = async {
        let had = migrations::migrate(&mut conn, &place, config.migrate).await?;
        let store = Store::new(place, !pooled);
        store.refresh(&mut conn).await.map_err(|error| error::map(&error, "connect"))?;
        Ok::<_, QueueError>((store, had))
    };
    let prepared = tokio::time::timeout(config.timeout.max(MIGRATING), preparing).await;
    let (store, had) = prepared.map_err(|_| error::timeout("connect"))??;
    let core = Core {
        homes,
        driver,
        store: Arc::new(store),
        signal: Signal::default(),
        combiners: Default::default(),
        waiters: Arc::default(),
        poll: config.poll,
    };
    Ok((Arc::new(core), had))
}

/// The schema of the tables, made where it is missing and may be made.
async fn schema(conn: &mut PgConnection, asked: Option<&str>, make: bool) -> Result<String, QueueError> {
    match (find_schema(conn, asked).await?, asked) {
        (Some(schema), _) => Ok(schema),
        (None, Some(asked)) if make => make_schema(conn, asked).await,
        (None, Some(asked)) => {
            let hint = format!(
                "there is no schema `{asked}`, and so no store; create it with `migrate`, or name another by `?schema=`"
            );
            Err(QueueError::new(QueueErrorKind::NotFound, "connect", hint))
        }
        (None, None) => {
            let hint = "the connection has no current schema; name one by `?schema=`";
            Err(error::invalid("connect", hint))
        }
    }
}

async fn make_schema(conn: &mut PgConnection, asked: &str) -> Result<String, QueueError> {
    if !is_plain(asked) {
        return Err(quoted_schema());
    }
    let made = format!("CREATE SCHEMA IF NOT EXISTS \"{asked}\"");
    let made = sqlx::query(AssertSqlSafe(made)).persistent(false).execute(&mut *conn).await;
    // Of two processes that make it at once, one is told that it is there.
    if let (Err(made), None) = (made, find_schema(conn, Some(asked)).await?) {
        return Err(error::map(&made, "connect"));
    }
    Ok(asked.to_owned())
}

fn is_plain(schema: &str) -> bool {
    !schema.contains(['\'', '"', '$', '\\'])
}

fn quoted_schema() -> QueueError {
    let hint = "the schema's name holds a quote, `$` or `\\`; choose another schema";
    error::invalid("connect", hint)
}

async fn find_schema(conn: &mut PgConnection, asked: Option<&str>) -> Result<Option<String>, QueueError> {
    let sql = "SELECT CASE WHEN $1 IS NULL THEN current_schema() ELSE (SELECT nspname FROM pg_namespace WHERE nspname = $1) END::text";
    let found = sqlx::query(sql).persistent(false).bind(asked).fetch_one(conn).await;
    let found: Option<String> =
        found.and_then(|row| row.try_get(0)).map_err(|error| error::map(&error, "connect"))?;
    if found.as_deref().is_some_and(|schema| !is_plain(schema)) {
        return Err(quoted_schema());
    }
    Ok(found)
}

impl Core {
    /// Runs a task to its end at a home, even if nobody waits for it: up to its first wait here, so that a request is on its way before another
    /// thread is woken.
    fn begin(home: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        let mut task = Box::pin(task);
        let _at_home = home.enter();
        if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            drop(home.spawn(task));
        }
    }

    fn combiner(&self, home: &Handle) -> &Combiner {
        &self.combiners[usize::from(home.id() == self.homes.thread().id())]
    }

    /// Makes the lanes that are not known, in a transaction of their own: what others read of them must be there to stay.
    async fn know_lanes(
        &self,
        operation: &'static str,
        lanes: &[(QueueName, HandlerKey, u32)],
    ) -> Result<(), Failure> {
        let unknown = self.store.names().unknown(lanes);
        if unknown.is_empty() {
            return Ok(());
        }
        let made = self.driver.run(Call::one(operation), |conn, _| {
            let (store, unknown) = (Arc::clone(&self.store), unknown.clone());
            Box::pin(async move { store.make_lanes(conn, unknown).await })
        });
        made.await?;
        self.refresh(operation).await
    }

    /// Wakes who waits here for jobs of these lanes, before the server tells of them.
    fn tell_of(&self, lanes: &[(QueueName, HandlerKey, u32)]) {
        lanes.iter().for_each(|(queue, ..)| self.signal.changed(Some(queue.clone())));
    }

    async fn refresh(&self, operation: &'static str) -> Result<(), Failure> {
        self.driver
            .run(Call::one(operation), |conn, _| {
                let store = Arc::clone(&self.store);
                Box::pin(async move { store.refresh(conn).await })
            })
            .await
    }
}

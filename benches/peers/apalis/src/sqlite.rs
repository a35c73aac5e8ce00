//! apalis-sqlite.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{BackendExt, Strategy};
use apalis_sqlite::callback::HookCallbackListener;
use apalis_sqlite::{Config, SqliteStorage};
use common::{BoxError, Case, Command, Durability, Order, Peer};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::producer::Pushes;
use crate::worker::{Armed, DRAIN_POLL, QUEUE, looks, work};

/// How many jobs a worker claims at once.
const BATCH: usize = 2_000;
/// How often a worker at rest looks besides what SQLite's hook tells it: the hook comes before the commit, and a look at once may find nothing.
const IDLE_POLL: Duration = Duration::from_millis(5);

/// A database of apalis-sqlite's.
pub(crate) struct Sqlite {
    pool: SqlitePool,
    storage: SqliteStorage<Order>,
    wake: Wake,
}

/// What makes a worker look for jobs.
enum Wake {
    Default,
    Poll,
    Hook(HookCallbackListener),
}

impl Sqlite {
    pub(crate) async fn open(command: &Command) -> Result<Self, BoxError> {
        let options = options(command)?;
        set_up(&options).await?;
        let (pool, wake) = if command.case == Case::Latency {
            let (pool, hook) = SqliteStorage::connect_with_callback(&command.url)?;
            // It opens its connections when they are needed, and has to be told what they are to promise.
            pool.set_connect_options(options);
            (pool, Wake::Hook(hook))
        } else {
            let pool = SqlitePoolOptions::new().max_connections(connections(command));
            let wake = if command.defaults { Wake::Default } else { Wake::Poll };
            (pool.connect_with(options).await?, wake)
        };
        let config = match command.defaults {
            true => Config::default().queue(QUEUE),
            false => Config::default().queue(QUEUE).batch_size(BATCH).lock_tasks(false),
        };
        let storage = SqliteStorage::new(&pool).with_config(config);
        Ok(Self { pool, storage, wake })
    }
}

/// What every connection has: the settings of apalis' own `setup`, which makes them on one connection alone, but for its `synchronous = OFF`.
fn options(command: &Command) -> Result<SqliteConnectOptions, BoxError> {
    let synchronous = match command.durability {
        Durability::Normal => SqliteSynchronous::Normal,
        Durability::Full => SqliteSynchronous::Full,
    };
    let options: SqliteConnectOptions = command.url.parse()?;
    Ok(options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(Duration::from_secs(10))
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "64000")
        .pragma("journal_size_limit", "67108864"))
}

/// Migrations and, in a database that holds jobs, the planner's statistics; on a connection that is closed again, since it promises nothing.
async fn set_up(options: &SqliteConnectOptions) -> Result<(), BoxError> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    SqliteStorage::setup(&pool).await?;
    pool.close().await;
    Ok(())
}

/// SQLite has one writer at a time. Who pushes alone needs no connection besides; of several, some prepare what they push while one writes.
fn connections(command: &Command) -> u32 {
    match command.case {
        Case::Fire1 | Case::Bulk | Case::Fill => 1,
        Case::Fire64 | Case::Latency => 4,
        Case::Drain if command.defaults => 10,
        Case::Drain => 4,
    }
}

impl Peer for Sqlite {
    type Producer = Pushes<SqliteStorage<Order>>;

    fn producer(&self) -> Self::Producer {
        Pushes(self.storage.clone())
    }

    async fn unsettled(&self) -> Result<u64, BoxError> {
        let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM Jobs WHERE status <> 'Done'");
        Ok(left.fetch_one(&self.pool).await?.try_into()?)
    }

    async fn work(self: Arc<Self>) -> Result<(), BoxError> {
        let storage = self.storage.clone();
        match &self.wake {
            Wake::Default => work!(storage),
            Wake::Poll => work!(storage.poll_with_strategy(looks(DRAIN_POLL))),
            Wake::Hook(hook) => {
                work!(
                    storage
                        .poll_with_strategy(Armed(Strategy::new().stream(hook.clone()).interval(IDLE_POLL)))
                )
            }
        }
    }
}

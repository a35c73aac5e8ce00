//! The only place that knows the SQL of the queue's calls.

mod claim;
mod health;
mod history;
mod names;
mod operate;
mod push;
mod read;
mod row;
mod settle;
mod upkeep;

use std::fmt;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::postgres::PgArguments;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row};
use uuid::Uuid;

use self::names::Who;
pub(super) use self::names::{Names, lane_keys};
pub(super) use self::operate::Change;
pub(super) use self::push::takes;
use self::settle::Unsure;
pub(super) use self::settle::follow_ups;
use crate::job::{JobId, JobState, LeaseToken, QueueName};
use crate::time::{Timestamp, millis};

/// How many jobs one claim can hold: a token is the claim's number and the job's place in it.
const CLAIM_SIZE: i64 = 4096;

/// The schema and the prefix of a queue's tables.
#[derive(Debug, Clone)]
pub(super) struct Place {
    schema: String,
    prefix: String,
}

const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

impl Place {
    pub(super) fn new(schema: &str, prefix: &str) -> Self {
        Self { schema: schema.to_owned(), prefix: prefix.to_owned() }
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// A text with its gaps filled: `{p}` schema and prefix, `{x}` prefix, `{c}` channel, `{now}` the server's time in ms.
    pub(super) fn fill(&self, text: &str) -> String {
        let qualified = format!("\"{}\".{}", self.schema.replace('"', "\"\""), self.prefix);
        // The schema's name comes last, as it may hold braces itself.
        text.replace("{x}", &self.prefix)
            .replace("{c}", &self.channel())
            .replace("{now}", NOW)
            .replace("{p}", &qualified)
    }

    /// Where changes are told; the same for all processes.
    pub(super) fn channel(&self) -> String {
        let digest = Sha256::digest(format!("{}.{}", self.schema, self.prefix));
        digest.iter().take(12).fold("extensions_".to_owned(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schema {}", self.schema)
    }
}

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        /// The statements, filled for one place.
        #[derive(Debug)]
        struct Statements { $($name: Arc<str>,)* }

        impl Statements {
            fn new(place: &Place) -> Self {
                Self { $($name: place.fill($text).into(),)* }
            }
        }
    };
}

statements! {
    make_lanes = "SELECT {p}make_lanes($1, $2, $3)";
    who = names::WHO;
    lanes = names::LANES;
    push_new = push::PUSH_NEW;
    push_new_one = push::PUSH_NEW_ONE;
    hand_over = push::HAND_OVER;
    push = push::PUSH;
    claim = claim::CLAIM;
    release_call = "SELECT {p}release_call($1)";
    settle = settle::SETTLE;
    settled = "SELECT lost FROM {p}settled WHERE call = $1";
    extend = "SELECT {p}extend($1, $2, $3, $4)";
    maintain = "SELECT promoted, ended FROM {p}maintain()";
    ended_claims = upkeep::ENDED_CLAIMS;
    lost = upkeep::LOST;
    lose = "SELECT {p}lose($1, $2, $3, $4)";
    recount = "SELECT {p}recount($1)";
    prune = "SELECT {p}prune($1, $2, $3, $4)";
    beat = upkeep::BEAT;
    beat_done = history::BEAT_DONE;
    history = history::SINCE;
    settings = health::SETTINGS;
    orphaned_keys = health::ORPHANED_KEYS;
    leave = "SELECT {p}leave($1)";
    workers = read::WORKERS;
    unroutable = read::UNROUTABLE;
    note_unroutable = upkeep::NOTE_UNROUTABLE;
    now = "SELECT {now}";
    retry = "SELECT outcome, state, lane, other FROM {p}retry($1)";
    cancel = "SELECT outcome, state, lane, other FROM {p}cancel($1, $2)";
    forget = "SELECT outcome, state, lane, other FROM {p}forget($1)";
    pause = "SELECT {p}pause($1, $2)";
    paused = "SELECT name FROM {p}queues WHERE paused";
    store_id = "SELECT id FROM {p}store";
    has_store = "SELECT to_regclass('{p}store') IS NOT NULL";
    get = read::GET;
    count = read::COUNT;
}

/// The statements of one store and the names that are known of it.
#[derive(Debug)]
pub(super) struct Store {
    place: Place,
    sql: Statements,
    names: Mutex<Names>,
    /// Whether statements may be kept by the server between calls.
    prepared: bool,
    unsure: Mutex<Vec<Unsure>>,
}

type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

impl Store {
    pub(super) fn new(place: Place, prepared: bool) -> Self {
        let sql = Statements::new(&place);
        Self { place, sql, names: Mutex::default(), prepared, unsure: Mutex::default() }
    }

    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    fn query(&self, sql: &Arc<str>) -> Query {
        sqlx::query(AssertSqlSafe(Arc::clone(sql))).persistent(self.prepared)
    }

    pub(super) fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who the store is that this connection sees in the queue's place.
    pub(super) async fn id(&self, conn: &mut PgConnection) -> sqlx::Result<Uuid> {
        self.query(&self.sql.store_id).fetch_one(conn).await?.try_get(0)
    }

    /// The same in a transaction of the caller's, which goes on where there is no store.
    pub(super) async fn try_id(&self, conn: &mut PgConnection) -> sqlx::Result<Option<Uuid>> {
        let table = self.query(&self.sql.has_store).fetch_one(&mut *conn).await?;
        if table.try_get(0)? { self.id(conn).await.map(Some) } else { Ok(None) }
    }

    pub(super) async fn now(&self, conn: &mut PgConnection) -> sqlx::Result<Timestamp> {
        Ok(Timestamp::from_millis(self.query(&self.sql.now).fetch_one(conn).await?.try_get(0)?))
    }

    /// The queue that a notification names by its number.
    pub(super) fn queue_name(&self, number: &str) -> Option<QueueName> {
        self.names().queue_name(number.parse().ok()?)
    }
}

fn uuid(id: JobId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

fn job_id(id: Uuid) -> JobId {
    JobId::from_bytes(*id.as_bytes())
}

/// A token as stored; one that no store can hold matches nothing.
fn stored(token: LeaseToken) -> i64 {
    i64::try_from(token.0).unwrap_or(i64::MAX)
}

fn lease_token(stored: i64) -> LeaseToken {
    LeaseToken(u64::try_from(stored).unwrap_or(0))
}

const fn code(state: JobState) -> i16 {
    match state {
        JobState::Scheduled => 0,
        JobState::Available => 1,
        JobState::Running => 2,
        JobState::Retryable => 3,
        JobState::Completed => 4,
        JobState::Dead => 5,
        JobState::Cancelled => 6,
        JobState::Unroutable => 7,
        JobState::Quarantined => 8,
    }
}

fn state(code: i16) -> Option<JobState> {
    JobState::ALL.into_iter().find(|state| self::code(*state) == code)
}

/// A span of time as stored: the longest leaves room for the time it is added to.
fn span(duration: Duration) -> i64 {
    millis(duration).min(i64::MAX / 4)
}

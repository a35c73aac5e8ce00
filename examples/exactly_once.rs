//! Payments that are booked exactly once, though the workers that book them are killed with -9 again and again.
//!
//! ```text
//! cargo run --release --example exactly_once
//! ```
//!
//! The queue lies in the database of the application. A handler books its payment and completes its job in one transaction, so
//! there is no moment at which one is stored and the other is not. Nothing in the tables keeps a second booking out: only the
//! transaction does. The program starts workers as processes of their own, kills them in the middle of their work, and adds up at last.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use extensions::job::{JobRecord, JobState};
use extensions::prelude::*;
use extensions::queue::JobFilter;
use lexopt::prelude::*;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

const USAGE: &str = "\
exactly_once [--payments N] [--kills N] [--json]

  --payments N   how many payments to book (300)
  --kills N      how many workers to kill at it (5)
  --json         print one JSON object";

const TABLES: &str = "
    CREATE TABLE bookings (payment INTEGER NOT NULL, cents INTEGER NOT NULL);
    CREATE TABLE account (cents INTEGER NOT NULL);
    INSERT INTO account VALUES (0);";

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct PaymentReceived {
    payment: u64,
    cents: u64,
}

#[extension_handler(PaymentReceived)]
#[async_handler]
fn book(received: &PaymentReceived, job: &Job, db: Res<Database>) -> HandlerResult {
    let PaymentReceived { payment, cents } = received;
    let mut conn = db.connect()?;
    let mut tx = begin(&mut conn)?;
    tx.execute("INSERT INTO bookings VALUES (?1, ?2)", params![payment, cents])?;
    tx.execute("UPDATE account SET cents = cents + ?1", [cents])?;
    // A moment to be killed in: booked, and neither committed nor completed.
    std::thread::sleep(Duration::from_millis(1));
    tokio::runtime::Handle::current().block_on(job.complete_within(&mut tx))?;
    Ok(tx.commit()?) // and nothing after it
}

/// The application's database, which is the queue's as well.
#[derive(Debug)]
struct Database(PathBuf);

impl Database {
    fn connect(&self) -> rusqlite::Result<Connection> {
        Connection::open(&self.0)
    }

    async fn extensions(&self) -> Result<Extensions, BoxError> {
        let builder = Extensions::builder().discover().resource(Self(self.0.clone()));
        Ok(builder.queue_url(examples::sqlite_url(&self.0)).build().await?)
    }
}

/// Begins a transaction that may write from the start, so that no other's write comes between its reads and its own.
fn begin(conn: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    conn.transaction_with_behavior(TransactionBehavior::Immediate)
}

#[derive(Debug, Serialize)]
struct Summary {
    payments: u64,
    killed: u64,
    /// Jobs that workers held when they were killed.
    interrupted: u64,
    /// Bookings by workers that were killed.
    booked_by_killed: u64,
    bookings: u64,
    missing: u64,
    twice: u64,
    cents: u64,
    cents_expected: u64,
}

async fn run() -> Result<(), BoxError> {
    let Some(args) = Args::parse()? else { return Ok(()) };
    if let Some(path) = args.work_on {
        Database(path).extensions().await?.worker().concurrency(8).stop_when_drained().run().await?;
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let db = Database(folder.path().join("shop.db"));
    let ext = db.extensions().await?;
    let mut conn = db.connect()?;
    conn.execute_batch(TABLES)?;

    let payments = (1..=args.payments).map(|payment| PaymentReceived { payment, cents: 100 + payment % 7 });
    let cents_expected = payments.clone().map(|received| received.cents).sum();
    let mut tx = begin(&mut conn)?;
    for fired in ext.fire_many_within(&mut tx, payments).await {
        fired?;
    }
    tx.commit()?;

    let mut interrupted = 0;
    for kill in 1..=args.kills {
        let goal = args.payments * kill / (args.kills + 1);
        interrupted += kill_at(&db.0, goal, &conn, &ext).await?;
    }
    let booked_by_killed = number(&conn, "SELECT count(*) FROM bookings")?;
    ext.worker().stop_when_drained().run().await?;

    let bookings = number(&conn, "SELECT count(*) FROM bookings")?;
    let paid = number(&conn, "SELECT count(DISTINCT payment) FROM bookings")?;
    let summary = Summary {
        payments: args.payments,
        killed: args.kills,
        interrupted,
        booked_by_killed,
        bookings,
        missing: args.payments - paid,
        twice: bookings - paid,
        cents: number(&conn, "SELECT cents FROM account")?,
        cents_expected,
    };
    examples::print(&summary, args.json)?;
    let right = (summary.missing, summary.twice, summary.cents) == (0, 0, cents_expected);
    if right { Ok(()) } else { Err("not every payment was booked exactly once".into()) }
}

/// Starts a worker and kills it when there are so many bookings; how many jobs it held.
async fn kill_at(path: &Path, bookings: u64, conn: &Connection, ext: &Extensions) -> Result<u64, BoxError> {
    let mut worker = start_worker(path)?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while number(conn, "SELECT count(*) FROM bookings")? < bookings {
        if Instant::now() > deadline || worker.try_wait()?.is_some() {
            worker.kill().ok();
            return Err(format!("the worker did not get to {bookings} bookings").into());
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let queue = ext.queue().ok_or("there is no queue")?;
    let workers: Vec<_> = queue.workers().await?.into_iter().filter(|info| info.pid == worker.id()).collect();
    worker.kill()?; // with -9
    worker.wait()?;
    let running = JobFilter { states: vec![JobState::Running], limit: 1000, ..JobFilter::default() };
    let held = |job: &JobRecord| workers.iter().any(|info| Some(info.id) == job.worker);
    Ok(queue.list(running).await?.iter().filter(|job| held(job)).count() as u64)
}

fn start_worker(path: &Path) -> std::io::Result<Child> {
    let mut worker = Command::new(std::env::current_exe()?);
    worker.arg("--work-on").arg(path).stdin(Stdio::null()).spawn()
}

fn number(conn: &Connection, sql: &str) -> rusqlite::Result<u64> {
    conn.query_row(sql, [], |row| row.get(0))
}

struct Args {
    payments: u64,
    kills: u64,
    json: bool,
    /// The program's own processes only: the database whose jobs to work off.
    work_on: Option<PathBuf>,
}

impl Args {
    /// `None` where only help was asked for.
    fn parse() -> Result<Option<Self>, BoxError> {
        let mut args = Self { payments: 300, kills: 5, json: false, work_on: None };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("payments") => args.payments = examples::value(&mut parser, "--payments", str::parse)?,
                Long("kills") => args.kills = examples::value(&mut parser, "--kills", str::parse)?,
                Long("work-on") => args.work_on = Some(parser.value()?.into()),
                Long("json") => args.json = true,
                Long("help") | Short('h') => return examples::help(USAGE),
                _ => return Err(arg.unexpected().into()),
            }
        }
        Ok(Some(args))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    examples::finish(run().await)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            payments,
            killed,
            interrupted,
            booked_by_killed,
            bookings,
            missing,
            twice,
            cents,
            cents_expected,
        } = self;
        writeln!(f, "payments  {payments}, {cents_expected} cents")?;
        writeln!(
            f,
            "killed    {killed} workers, {interrupted} jobs in flight; {booked_by_killed} were booked by then"
        )?;
        write!(f, "bookings  {bookings}, {cents} cents; {missing} missing, {twice} twice")
    }
}

//! Points that refer to rows of a database: the queue keeps the primary key, the worker loads the row as it is then.
//!
//! ```text
//! cargo run --release -p examples --features sea-orm --example sea_orm
//! ```
//!
//! Orders are placed in a SQLite database through SeaORM; each fire queues a receipt and a reminder. Before the worker runs, the first
//! order is paid and the last one is deleted. So the first receipt says "paid"; the last order's receipt is dead at once with the
//! reason, and its reminder, which nobody needs any more, is cancelled.

use std::fmt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use extensions::prelude::*;
use extensions::sea_orm::ModelRef;
use lexopt::prelude::*;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, Database, DatabaseConnection, DbErr, IntoActiveModel, ModelTrait,
    Schema, Set,
};
use serde::{Deserialize, Serialize};

const USAGE: &str = "\
sea_orm [--json]

  --json   print one JSON object";

const ORDERS: u64 = 5;

mod orders {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "orders")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub email: String,
        pub status: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// An order was placed; stored as `{"order":7}`.
#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct OrderPlaced {
    order: ModelRef<orders::Entity>,
}

/// The mails that were sent, and what callbacks said.
#[derive(Debug, Default, Serialize)]
struct Desk {
    mails: Vec<String>,
    alarms: Vec<String>,
}

fn note(job: &Job, write: impl FnOnce(&mut Desk)) {
    let desk = job.resource::<Mutex<Desk>>().expect("a desk");
    write(&mut desk.lock().unwrap_or_else(PoisonError::into_inner));
}

/// An order without a receipt is somebody's mistake: its job is dead, and `Alarm` is told.
#[extension_handler(OrderPlaced)]
#[async_handler(on_failure = Alarm)]
async fn send_receipt(placed: &OrderPlaced, job: &Job) -> HandlerResult {
    let order = placed.order.load_from(job).await?;
    note(job, |desk| desk.mails.push(format!("to {}: order {} is {}", order.email, order.id, order.status)));
    Ok(())
}

/// An order that is gone needs no reminder.
#[extension_handler(OrderPlaced)]
#[async_handler(missing = "discard")]
async fn remind_to_pay(placed: &OrderPlaced, db: Res<DatabaseConnection>, job: &Job) -> HandlerResult {
    let order = placed.order.load(&*db).await?;
    if order.status != "paid" {
        note(job, |desk| desk.mails.push(format!("to {}: please pay order {}", order.email, order.id)));
    }
    Ok(())
}

struct Alarm;
impl OnFailure<OrderPlaced> for Alarm {
    async fn on_failure(&self, _placed: &OrderPlaced, error: &JobError, job: &Job) {
        note(job, |desk| desk.alarms.push(format!("{}: {error}", job.handler())));
    }
}

#[derive(Debug, Serialize)]
struct Summary {
    orders: u64,
    queued: u64,
    completed: u64,
    dead: u64,
    cancelled: u64,
    #[serde(flatten)]
    desk: Desk,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { orders, queued, completed, dead, cancelled, desk } = self;
        writeln!(f, "{orders} orders, {queued} jobs")?;
        writeln!(f, "  {completed} completed, {dead} dead, {cancelled} cancelled")?;
        let lines: Vec<_> = desk.mails.iter().chain(&desk.alarms).map(|line| format!("  {line}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

async fn place(db: &DatabaseConnection, number: u64) -> Result<orders::Model, DbErr> {
    let email = Set(format!("customer-{number}@mail.example"));
    orders::ActiveModel { email, status: Set("unpaid".to_owned()), ..Default::default() }.insert(db).await
}

async fn run() -> Result<(), BoxError> {
    let mut json = false;
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("json") => json = true,
            Long("help") | Short('h') => return examples::help(USAGE).map(|_: Option<()>| ()),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let folder = tempfile::tempdir()?;
    let db = Database::connect(format!("sqlite://{}/shop.db?mode=rwc", folder.path().display())).await?;
    db.execute(&Schema::new(db.get_database_backend()).create_table_from_entity(orders::Entity)).await?;
    let desk = Arc::new(Mutex::new(Desk::default()));
    let ext = Extensions::builder()
        .discover()
        .resource(db.clone())
        .resource(Arc::clone(&desk))
        .queue_url(examples::sqlite_url(&folder.path().join("jobs.db")))
        .build()
        .await?;

    let mut queued = 0;
    for number in 1..=ORDERS {
        let order = place(&db, number).await?; // stored before the fire: a worker may look for it at once
        queued += ext.fire(OrderPlaced { order: ModelRef::new(&order) }).await?.queued().len() as u64;
        if number == ORDERS {
            order.delete(&db).await?;
        } else if number == 1 {
            let mut order = order.into_active_model();
            order.status = Set("paid".to_owned());
            order.update(&db).await?;
        }
    }
    let report = ext.worker().concurrency(1).stop_when_drained().run().await?;
    let desk = std::mem::take(&mut *desk.lock().unwrap_or_else(PoisonError::into_inner));
    let WorkerReport { completed, dead, cancelled, .. } = report;
    examples::print(&Summary { orders: ORDERS, queued, completed, dead, cancelled, desk }, json)
}

#[tokio::main]
async fn main() -> ExitCode {
    examples::finish(run().await)
}

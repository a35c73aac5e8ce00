//! Issue 3, bridges: a point that refers to a row of a database, against a SQLite database.

use std::collections::HashSet;
use std::future::pending;
use std::sync::{Arc, Mutex};

use extensions::job::{ErrorKind, JobRecord, JobState};
use extensions::prelude::*;
use extensions::queue::{JobFilter, Memory, QueueAdmin};
use extensions::sea_orm::ModelRef;
use sea_orm::{ActiveModelTrait, ConnectionTrait, Database, DatabaseConnection, EntityTrait, ModelTrait};
use sea_orm::{IntoActiveModel, Schema, Set, TransactionTrait};
use serde::{Deserialize, Serialize};
use serde_json::json;

mod orders {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "orders")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub status: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod lines {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "lines")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub order_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub product: String,
        pub units: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod products {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "products")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub sku: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, unique_by = order)]
struct OrderPlaced {
    order: ModelRef<orders::Entity>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct LineAdded {
    line: ModelRef<lines::Entity>,
    product: Option<ModelRef<products::Entity>>,
}

/// Not queued: what a handler within the fire does with a reference.
#[derive(ExtensionPoint)]
#[extension_point(output = String)]
struct OrderAsked {
    order: ModelRef<orders::Entity>,
}

/// What handlers and callbacks wrote down, in order.
type Log = Mutex<Vec<String>>;

fn note(log: &Log, line: impl Into<String>) {
    log.lock().unwrap().push(line.into());
}

#[extension_handler(OrderPlaced)]
#[async_handler(retries = 3, backoff = fixed(0), on_retry = Repair, on_failure = Tell)]
async fn confirm(placed: &OrderPlaced, log: Res<Log>, job: &Job) -> HandlerResult {
    let order = placed.order.load_from(job).await?;
    note(&log, format!("order {} is {}", order.id, order.status));
    Ok(())
}

/// Its jobs are cancelled where those of `confirm` are dead.
#[extension_handler(LineAdded)]
#[async_handler(missing = "discard", on_failure = Tell)]
async fn reserve(added: &LineAdded, db: Res<DatabaseConnection>, log: Res<Log>) -> HandlerResult {
    let line = added.line.load(&*db).await?;
    note(&log, format!("{} × {}", line.units, line.product));
    Ok(())
}

#[extension_handler(OrderAsked)]
async fn answer(asked: &mut OrderAsked, cx: &Context) -> HandlerResult<String> {
    Ok(asked.order.load_from(cx).await?.status)
}

struct Tell;
impl<P: QueuedPoint> OnFailure<P> for Tell {
    async fn on_failure(&self, _: &P, error: &JobError, job: &Job) {
        note(&job.resource::<Log>().unwrap(), format!("on_failure: {error}"));
    }
}

/// Brings back the table that a test has put away.
struct Repair;
impl OnRetry<OrderPlaced> for Repair {
    async fn on_retry(&self, _: &OrderPlaced, error: &JobError, job: &Job) {
        note(&job.resource::<Log>().unwrap(), format!("on_retry: {error}"));
        let db = job.resource::<DatabaseConnection>().unwrap();
        db.execute_unprepared("ALTER TABLE away RENAME TO orders").await.unwrap();
    }
}

struct Shop {
    ext: Extensions,
    queue: Memory,
    db: DatabaseConnection,
    log: Arc<Log>,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/shop.db?mode=rwc", folder.path().display());
        let db = Database::connect(url).await.unwrap();
        let schema = Schema::new(db.get_database_backend());
        for table in [
            schema.create_table_from_entity(orders::Entity),
            schema.create_table_from_entity(lines::Entity),
            schema.create_table_from_entity(products::Entity),
        ] {
            db.execute(&table).await.unwrap();
        }
        let (queue, log) = (Memory::new(), Arc::new(Log::default()));
        let builder = Extensions::builder().discover().queue(queue.clone());
        let builder = builder.resource(db.clone()).resource(Arc::clone(&log));
        let ext = builder.build().await.unwrap();
        Self { ext, queue, db, log, _folder: folder }
    }

    async fn order(&self, status: &str) -> orders::Model {
        let order = orders::ActiveModel { status: Set(status.to_owned()), ..Default::default() };
        order.insert(&self.db).await.unwrap()
    }

    async fn line(&self, order_id: i64, product: &str, units: i64) -> lines::Model {
        let (product, units) = (Set(product.to_owned()), Set(units));
        lines::ActiveModel { order_id: Set(order_id), product, units }.insert(&self.db).await.unwrap()
    }

    /// The only job, after all has been worked off.
    async fn drain(&self) -> (WorkerReport, JobRecord) {
        let report = self.ext.worker().stop_when_drained().run_until(pending()).await.unwrap();
        (report, self.job().await)
    }

    async fn job(&self) -> JobRecord {
        let mut jobs = self.queue.list(JobFilter::default()).await.unwrap();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn the_handler_sees_the_row_as_it_is_when_it_runs() {
    let shop = Shop::open().await;
    let order = shop.order("placed").await;
    shop.ext.fire(OrderPlaced { order: ModelRef::new(&order) }).await.unwrap();
    let mut order = order.into_active_model();
    order.status = Set("paid".to_owned());
    order.update(&shop.db).await.unwrap();
    let (report, _) = shop.drain().await;
    assert_eq!((report.completed, shop.lines()), (1, vec!["order 1 is paid".to_owned()]));
}

#[tokio::test]
async fn a_row_that_is_gone_ends_the_job_at_once_with_that_reason() {
    let shop = Shop::open().await;
    let order = shop.order("placed").await;
    shop.ext.fire(OrderPlaced { order: ModelRef::new(&order) }).await.unwrap();
    order.delete(&shop.db).await.unwrap();
    let (report, job) = shop.drain().await;
    assert_eq!((report.dead, report.failed, report.retried), (1, 1, 0), "no second attempt of three");
    assert_eq!((job.state, job.attempt, job.errors[0].kind), (JobState::Dead, 1, ErrorKind::Missing));
    assert_eq!(job.errors[0].message, "the row of `orders` with the key 1 is gone");
    let told = "on_failure: missing: the row of `orders` with the key 1 is gone";
    assert_eq!((shop.lines(), job.owes_on_failure), (vec![told.to_owned()], false));
}

#[tokio::test]
async fn a_row_that_is_gone_cancels_the_job_of_a_handler_that_discards_it() {
    let shop = Shop::open().await;
    let line = shop.line(7, "tea", 2).await;
    shop.ext.fire(LineAdded { line: ModelRef::new(&line), product: None }).await.unwrap();
    line.delete(&shop.db).await.unwrap();
    let (report, job) = shop.drain().await;
    assert_eq!((report.cancelled, report.failed, job.state), (1, 0, JobState::Cancelled));
    assert_eq!(job.reason.as_deref(), Some("the row of `lines` with the key (7, \"tea\") is gone"));
    assert!(shop.lines().is_empty(), "cancelling calls nothing");
}

#[tokio::test]
async fn a_key_of_several_columns_finds_its_row_among_those_that_share_one() {
    let shop = Shop::open().await;
    for (order_id, product, units) in [(7, "milk", 1), (7, "tea", 2), (8, "tea", 3)] {
        shop.line(order_id, product, units).await;
    }
    let line = ModelRef::from_key((7, "tea".to_owned()));
    shop.ext.fire(LineAdded { line, product: None }).await.unwrap();
    let (report, _) = shop.drain().await;
    assert_eq!((report.completed, shop.lines()), (1, vec!["2 × tea".to_owned()]));
}

#[tokio::test]
async fn an_error_of_the_database_is_a_failed_attempt_and_the_next_one_loads_the_row() {
    let shop = Shop::open().await;
    let order = shop.order("placed").await;
    shop.ext.fire(OrderPlaced { order: (&order).into() }).await.unwrap();
    shop.db.execute_unprepared("ALTER TABLE orders RENAME TO away").await.unwrap();
    let (report, job) = shop.drain().await;
    assert_eq!((report.failed, report.retried, report.completed), (1, 1, 1));
    assert_eq!((job.state, job.errors[0].kind), (JobState::Completed, ErrorKind::Failed));
    assert!(job.errors[0].message.contains("no such table: orders"), "{:?}", job.errors);
    assert_eq!(shop.lines().last().unwrap(), "order 1 is placed");
}

#[tokio::test]
async fn a_database_that_nobody_gave_is_named_with_what_to_write() {
    let queue = Memory::new();
    let options = AsyncOptions::new().retries(1);
    let builder = Extensions::builder().register_async::<OrderPlaced, _>(Loads, options);
    let ext = builder.queue(queue.clone()).build().await.unwrap();
    ext.fire(OrderPlaced { order: ModelRef::from_key(7) }).await.unwrap();
    ext.worker().stop_when_drained().run_until(pending()).await.unwrap();
    let jobs = queue.list(JobFilter::default()).await.unwrap();
    assert_eq!(jobs[0].errors[0].kind, ErrorKind::Failed, "a deployment can repair it");
    assert!(jobs[0].errors[0].message.contains("add `.resource(db)` to the builder"), "{:?}", jobs[0].errors);
}

struct Loads;
impl AsyncHandler<OrderPlaced> for Loads {
    async fn handle(&self, placed: &OrderPlaced, job: &Job) -> HandlerResult {
        placed.order.load_from(job).await.map(drop)
    }
}

#[tokio::test]
async fn an_awaited_handler_loads_through_its_context_and_a_missing_row_is_its_error() {
    let shop = Shop::open().await;
    let order = shop.order("placed").await;
    let fired = shop.ext.fire(OrderAsked { order: ModelRef::new(&order) }).await.unwrap();
    assert_eq!(fired.outputs().collect::<Vec<_>>(), ["placed"]);
    let error = shop.ext.fire(OrderAsked { order: ModelRef::from_key(99) }).await.unwrap_err();
    assert!(error.to_string().contains("the row of `orders` with the key 99 is gone"), "{error}");
}

#[tokio::test]
async fn a_row_is_loaded_or_looked_for_in_a_transaction_too() {
    let shop = Shop::open().await;
    let order = shop.order("placed").await;
    let reference = ModelRef::new(&order);
    let tx = shop.db.begin().await.unwrap();
    order.clone().delete(&tx).await.unwrap();
    assert_eq!(reference.find(&tx).await.unwrap(), None);
    assert!(reference.load(&tx).await.unwrap_err().is_missing());
    tx.rollback().await.unwrap();
    assert_eq!(reference.load(&shop.db).await.unwrap(), order);
    assert_eq!(orders::Entity::find_by_id(*reference.key()).one(&shop.db).await.unwrap(), Some(order));
}

#[tokio::test]
async fn what_is_stored_is_the_bare_key() {
    let shop = Shop::open().await;
    let order = shop.order("placed").await;
    shop.ext.fire(OrderPlaced { order: ModelRef::new(&order) }).await.unwrap();
    assert_eq!(shop.job().await.payload.as_bytes(), br#"{"order":1}"#);

    let added = LineAdded {
        line: ModelRef::from_key((7, "tea".to_owned())),
        product: Some(ModelRef::from_key("tea")),
    };
    let written = serde_json::to_value(&added).unwrap();
    assert_eq!(written, json!({ "line": [7, "tea"], "product": "tea" }));
    assert_eq!(serde_json::from_value::<LineAdded>(written).unwrap(), added);
    for other in [json!({ "order": "7" }), json!({ "order": [7] }), json!({ "order": { "id": 7 } })] {
        assert!(serde_json::from_value::<OrderPlaced>(other.clone()).is_err(), "{other}");
    }
}

#[tokio::test]
async fn references_to_one_row_are_the_same_to_a_unique_job() {
    let shop = Shop::open().await;
    let options = AsyncOptions::new().unique(true);
    let ext = Extensions::builder().register_async::<OrderPlaced, _>(Loads, options).queue(Memory::new());
    let ext = ext.build().await.unwrap();
    let order = shop.order("placed").await;
    let fire = async |order| ext.fire(OrderPlaced { order }).await.unwrap();
    assert_eq!(fire(ModelRef::new(&order)).await.queued().len(), 1);
    assert_eq!(fire(ModelRef::from_key(order.id)).await.duplicates().len(), 1);
    assert_eq!(fire(ModelRef::from_key(order.id + 1)).await.queued().len(), 1);
}

#[test]
fn references_are_compared_hashed_and_shown_by_their_keys() {
    let key = |key: i64| ModelRef::<orders::Entity>::from_key(key);
    let set: HashSet<_> = [key(1), key(2), key(1).clone()].into();
    assert_eq!(set, HashSet::from([key(2), key(1)]));
    assert_ne!(key(1), key(2));
    assert_eq!(format!("{:?}", key(7)), "ModelRef(\"orders\", 7)");
}

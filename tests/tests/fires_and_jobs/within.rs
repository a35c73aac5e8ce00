//! 4.6: the jobs of a fire are stored in the caller's transaction, or not at all.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use extensions::fire::{FireInfo, FireLayer, FireOutcome, NextFire, NextPush, Observed, PushLayer};
use extensions::job::NewJob;
use extensions::prelude::*;
use extensions::queue::{
    Memory, Pushed, QueueBackend, QueueError, QueueErrorKind, Settled, Settlement, Transaction,
};
use extensions::{ExtensionPoint, FireErrorKind};
use tests::kit::{self, Log, in_time, jobs, lines, on_memory, work};
use tests::transactional::{MemoryTransaction, Transactional};

use super::{Label, Placed, Shipped, options, placed, shop, transactional};

/// A transaction that stays on its thread, as that of `rusqlite` does.
struct Local(MemoryTransaction, PhantomData<Rc<()>>);

impl Transaction for Local {
    async fn push(
        &mut self,
        queue: &dyn QueueBackend,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        let _stays_here = Rc::new(());
        self.0.push(queue, jobs).await
    }
    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        self.0.settle(queue, settlements).await
    }
}

fn ships(point: &mut Placed, cx: &Context) -> HandlerResult {
    cx.fire_sync(Shipped { id: point.id })?;
    Ok(())
}

#[tokio::test]
async fn jobs_and_those_of_nested_fires_are_there_with_the_commit_in_one_push() {
    let builder = shop().register_fn::<Placed>("ships", ships, HandlerOptions::new());
    let (ext, queue) = transactional(builder).await;
    let mut tx = MemoryTransaction::default();
    let fired = ext.point(placed(7)).within(&mut tx).fire().await.unwrap();
    assert_eq!((fired.queued().len(), fired.point().id), (2, 7));
    assert_eq!((tx.pushes.len(), tx.pushes[0].len()), (1, 2));
    assert_eq!(jobs(&queue).await.len(), 0, "nothing is there before the commit");
    tx.commit(&*queue).await;
    work(&ext).await;
    assert_eq!(lines(&ext), ["label 7", "mail 7"]);
}

#[tokio::test]
async fn a_roll_back_leaves_nothing() {
    let (ext, queue) = transactional(shop()).await;
    let mut tx = MemoryTransaction::default();
    ext.point(placed(7)).within(&mut tx).fire().await.unwrap();
    drop(tx);
    assert_eq!(jobs(&queue).await.len(), 0);
}

#[tokio::test]
async fn options_hold_whether_they_were_chosen_before_or_after_it() {
    let (ext, _) = transactional(shop()).await;
    let mut tx = MemoryTransaction::default();
    let before = ext.point(placed(1)).delay(secs(5)).on_queue("bulk").for_tenant("acme").strict();
    before.within(&mut tx).fire().await.unwrap();
    let after = ext.point(placed(2)).within(&mut tx).delay(secs(5)).on_queue("bulk").for_tenant("acme");
    after.strict().graceful().unobserved().fire().await.unwrap();
    let none = ext.point(placed(3)).within(&mut tx).except::<super::Mail>().fire().await.unwrap();
    assert!(none.queued().is_empty());
    for pushed in &tx.pushes {
        let job = &pushed[0];
        assert_eq!((job.delay, job.queue.as_str()), (secs(5), "bulk"));
        assert_eq!(job.meta.tenant.as_deref(), Some("acme"));
    }
    assert_eq!(tx.pushes.len(), 2);
}

#[tokio::test]
async fn the_future_can_be_sent_between_threads_if_the_transaction_can() {
    fn sent<T: Send>(future: T) -> T {
        future
    }
    let (ext, queue) = transactional(shop()).await;
    let spawned = ext.clone();
    let firing = tokio::spawn(sent(async move {
        let mut tx = MemoryTransaction::default();
        spawned.point(placed(7)).within(&mut tx).fire().await.unwrap();
        spawned.fire_many_within(&mut tx, [placed(8)]).await;
        tx
    }));
    let tx = in_time("the fire", firing).await.unwrap();
    tx.commit(&*queue).await;
    assert_eq!(jobs(&queue).await.len(), 2);
}

/// A transaction that borrows its connection, as that of `sqlx` does.
struct Borrowed<'c>(&'c mut MemoryTransaction);
impl Transaction for Borrowed<'_> {
    async fn push(
        &mut self,
        queue: &dyn QueueBackend,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        self.0.push(queue, jobs).await
    }
    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        self.0.settle(queue, settlements).await
    }
}

#[tokio::test]
async fn one_that_borrows_its_connection_can_be_sent_too() {
    let (ext, _) = transactional(shop()).await;
    let firing = tokio::spawn(async move {
        let mut connection = MemoryTransaction::default();
        let mut tx = Borrowed(&mut connection);
        ext.point(placed(7)).within(&mut tx).graceful().fire().await.unwrap();
        ext.fire_many_within(&mut tx, [placed(8)]).await;
        connection.pushes.len()
    });
    assert_eq!(in_time("the fire", firing).await.unwrap(), 2);
}

#[tokio::test]
async fn a_transaction_that_stays_on_its_thread_will_do() {
    let (ext, queue) = transactional(shop()).await;
    let mut tx = Local(MemoryTransaction::default(), PhantomData);
    ext.point(placed(7)).within(&mut tx).fire().await.unwrap();
    tx.0.commit(&*queue).await;
    assert_eq!(jobs(&queue).await.len(), 1);
}

/// A transaction whose calls need no runtime.
struct Blocking(Vec<Arc<[NewJob]>>);
impl Transaction for Blocking {
    async fn push(&mut self, _: &dyn QueueBackend, jobs: Arc<[NewJob]>) -> Result<Vec<Pushed>, QueueError> {
        self.0.push(Arc::clone(&jobs));
        Ok(vec![Pushed::Queued; jobs.len()])
    }
    async fn settle(&mut self, _: &dyn QueueBackend, _: Vec<Settlement>) -> Result<Vec<Settled>, QueueError> {
        unreachable!("a fire settles nothing")
    }
}

#[test]
fn fire_sync_needs_no_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (ext, _) = runtime.block_on(transactional(shop()));
    drop(runtime);
    let mut tx = Blocking(Vec::new());
    assert_eq!(ext.point(placed(7)).within(&mut tx).fire_sync().unwrap().queued().len(), 1);
    assert_eq!(tx.0.len(), 1);
}

/// Writes down what it wraps.
#[derive(Clone)]
struct Around(Arc<Mutex<Vec<&'static str>>>);
impl Around {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }
}
impl FireLayer for Around {
    async fn fire(&self, _: &FireInfo, next: NextFire<'_>) -> HandlerResult<FireOutcome> {
        self.note("fire");
        let outcome = next.run().await;
        self.note("fired");
        outcome
    }
}
impl PushLayer for Around {
    async fn push(&self, jobs: Arc<[NewJob]>, next: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
        self.note("push");
        let changed = jobs.iter().cloned().map(|mut job| {
            job.meta.tags.push("layered".to_owned());
            job
        });
        let pushed = next.run(changed.collect()).await;
        self.note("pushed");
        pushed
    }
}

#[tokio::test]
async fn observers_and_layers_are_around_it_as_ever() {
    let around = Around(Arc::default());
    let seen = around.clone();
    let builder = shop().fire_layer(around.clone()).push_layer(around.clone());
    let builder = builder.observer(move |fire: &Observed<'_>| {
        assert_eq!(fire.report().queued.len(), 1);
        seen.note("observed");
    });
    let (ext, _) = transactional(builder).await;
    let mut tx = Local(MemoryTransaction::default(), PhantomData);
    ext.point(placed(7)).within(&mut tx).fire().await.unwrap();
    assert_eq!(*around.0.lock().unwrap(), ["fire", "push", "pushed", "observed", "fired"]);
    assert_eq!(tx.0.pushes[0][0].meta.tags, ["layered"]);
}

/// Refuses every push.
struct Refuses;
impl PushLayer for Refuses {
    async fn push(&self, _: Arc<[NewJob]>, _: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
        Err(QueueError::new(QueueErrorKind::Other, "push", "not today"))
    }
}

#[tokio::test]
async fn a_layer_that_refuses_the_push_keeps_the_transaction_untouched() {
    let (ext, _) = transactional(shop().push_layer(Refuses)).await;
    let mut tx = MemoryTransaction::default();
    let error = ext.point(placed(7)).within(&mut tx).fire().await.unwrap_err();
    assert!(error.to_string().contains("not today"), "{error}");
    assert!(tx.is_untouched());
}

/// Asks for the same push twice at once and takes the answer that comes first.
struct Hasty;
impl PushLayer for Hasty {
    async fn push(&self, jobs: Arc<[NewJob]>, next: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
        tokio::select! {
            biased;
            pushed = next.run(Arc::clone(&jobs)) => pushed,
            pushed = next.run(jobs) => pushed,
        }
    }
}

#[tokio::test]
async fn a_layer_that_asks_twice_and_leaves_one_answer_is_served() {
    let (ext, _) = transactional(shop().push_layer(Hasty)).await;
    let mut tx = MemoryTransaction::default();
    let firing = ext.point(placed(7)).within(&mut tx).fire();
    assert_eq!(in_time("the fire", firing).await.unwrap().queued().len(), 1);
}

#[tokio::test]
async fn a_push_that_fails_says_to_roll_back_and_gives_the_jobs() {
    let (ext, queue) = transactional(shop()).await;
    let mut tx = MemoryTransaction { fails: true, ..MemoryTransaction::default() };
    let error = ext.point(placed(7)).within(&mut tx).fire().await.unwrap_err();
    assert!(matches!(error.kind(), FireErrorKind::PushFailedWithin(_)));
    let said = error.to_string();
    assert!(said.contains("can only be rolled back") && said.contains("the test cut the line"), "{said}");
    assert_eq!((error.unqueued().len(), error.point::<Placed>()), (1, Some(&placed(7))));
    assert_eq!(jobs(&queue).await.len(), 0);
}

#[tokio::test]
async fn an_error_or_veto_of_a_handler_leaves_the_transaction_as_it_was() {
    let errs = |_: &mut Placed, _: &Context| -> HandlerResult { Err("no".into()) };
    let builder = shop().register_fn::<Placed>("errs", errs, HandlerOptions::new());
    let (ext, _) = transactional(builder).await;
    let mut tx = MemoryTransaction::default();
    assert!(ext.point(placed(7)).within(&mut tx).fire().await.is_err());
    assert!(tx.is_untouched());
}

/// A transaction that nothing may be done in.
struct Untouchable;
impl Transaction for Untouchable {
    async fn push(&mut self, _: &dyn QueueBackend, _: Arc<[NewJob]>) -> Result<Vec<Pushed>, QueueError> {
        panic!("touched")
    }
    async fn settle(&mut self, _: &dyn QueueBackend, _: Vec<Settlement>) -> Result<Vec<Settled>, QueueError> {
        panic!("touched")
    }
}

#[tokio::test]
async fn a_fire_without_jobs_does_not_touch_the_transaction_and_needs_no_queue() {
    let log = |_: &mut Placed, cx: &Context| -> HandlerResult {
        cx.resource::<Log>().unwrap().add("inline");
        Ok(())
    };
    let builder = Extensions::builder().resource(Log::default());
    let ext = builder.register_fn::<Placed>("log", log, HandlerOptions::new()).build().await.unwrap();
    ext.point(placed(7)).within(&mut Untouchable).fire().await.unwrap();
    ext.point(Shipped { id: 1 }).within(&mut Untouchable).fire().await.unwrap();
    let many = ext.fire_many_within(&mut Untouchable, [placed(1), placed(2)]).await;
    assert!(many.iter().all(Result::is_ok));
    assert_eq!(lines(&ext), ["inline"; 3]);
}

async fn refused(ext: &Extensions) -> String {
    let error = ext.point(placed(7)).within(&mut Untouchable).fire().await.unwrap_err();
    let FireErrorKind::PushFailedWithin(cause) = error.kind() else { panic!("{error:#?}") };
    assert_eq!(cause.kind(), QueueErrorKind::Unsupported);
    error.to_string()
}

#[tokio::test]
async fn a_queue_without_transactions_is_an_error_that_names_those_that_have_them() {
    let (ext, _) = on_memory(shop()).await;
    let said = refused(&ext).await;
    for part in ["(memory)", "`Postgres`", "`Sqlite`", "rusqlite"] {
        assert!(said.contains(part), "{said}");
    }
    let in_place = shop().resource(Log::default()).queue_url("sync:").build().await.unwrap();
    assert!(refused(&in_place).await.contains("there is no queue"));
}

#[tokio::test]
async fn a_fake_queues_and_records_at_once() {
    let builder = Extensions::fake().resource(Log::default()).register_async::<Shipped, _>(Label, options());
    let ext = builder.build().await.unwrap();
    ext.point(Shipped { id: 3 }).within(&mut Untouchable).fire().await.unwrap();
    ext.assert_fired::<Shipped>(|shipped| shipped.id == 3);
    ext.assert_queued::<Label>(1);
    ext.run_queued().await;
    assert_eq!(lines(&ext), ["label 3"]);
}

#[tokio::test]
async fn a_fake_on_a_queue_with_transactions_uses_them_and_records() {
    let builder = Extensions::fake().resource(Log::default()).queue(Transactional::default());
    let ext = builder.register_async::<Shipped, _>(Label, options()).build().await.unwrap();
    let mut tx = MemoryTransaction::default();
    ext.point(Shipped { id: 3 }).within(&mut tx).fire().await.unwrap();
    ext.assert_queued::<Label>(1);
    assert_eq!(tx.pushes.len(), 1);
}

#[derive(Debug, ExtensionPoint, serde::Serialize, serde::Deserialize)]
#[extension_point(queued, interruptible)]
struct Asked(u32);

struct Answer;
impl AsyncHandler<Asked> for Answer {
    async fn handle(&self, _: &Asked, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn many_points_share_one_push_and_a_veto_keeps_back_its_own_jobs_only() {
    let odd_ones_out = |asked: &mut Asked, _: &Context| -> HandlerResult<Verdict> {
        Ok(if asked.0 % 2 == 1 { Verdict::veto("odd") } else { Verdict::Continue })
    };
    let builder = shop()
        .register_fn::<Asked>("even", odd_ones_out, HandlerOptions::new())
        .register_async::<Asked, _>(Answer, options());
    let (ext, _) = transactional(builder).await;
    let mut tx = MemoryTransaction::default();
    let fired = ext.fire_many_within(&mut tx, (0..5).map(Asked)).await;
    let queued: Vec<_> = fired.iter().map(|fired| fired.as_ref().unwrap().queued().len()).collect();
    assert_eq!(queued, [1, 0, 1, 0, 1]);
    assert_eq!((tx.pushes.len(), tx.pushes[0].len()), (1, 3));
    tx.fails = true;
    let failed = ext.fire_many_within(&mut tx, [Asked(1), Asked(2)]).await;
    assert!(failed[0].is_ok());
    assert!(kit::kind(failed.into_iter().nth(1).unwrap()).starts_with("PushFailedWithin"));
}

#[tokio::test]
async fn a_builder_that_was_given_a_transaction_shows_itself_without_it() {
    let ext = Extensions::builder().queue(Memory::new()).build().await.unwrap();
    let shown = format!("{:?}", ext.point(placed(1)).within(&mut Untouchable));
    assert!(shown.contains(Placed::info().name) && shown.contains("Within"), "{shown}");
}

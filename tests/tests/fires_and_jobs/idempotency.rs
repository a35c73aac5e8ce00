//! A fire that is repeated under its idempotency key queues its jobs once.

use std::sync::Arc;
use std::time::Duration;

use extensions::ExtensionsBuilder;
use extensions::Fired;
use extensions::job::JobId;
use extensions::prelude::*;
use extensions::queue::{Memory, QueueBackend, Retention};
use tests::kit::{self, Log, by_hand, jobs, kind, lines, on_memory, work};
use tests::transactional::{MemoryTransaction, Transactional};

use super::{Mail, Placed, Shipped, options, placed, shop, transactional};

const DAY: Duration = secs(24 * 3600);

fn ids<P: ExtensionPoint>(fired: &Fired<P>) -> Vec<JobId> {
    fired.queued().iter().map(extensions::fire::QueuedJob::id).collect()
}

/// A second handler of `Placed`.
struct Book;
impl AsyncHandler<Placed> for Book {
    async fn handle(&self, placed: &Placed, job: &Job) -> HandlerResult {
        super::log(job, format!("book {}", placed.id))
    }
}

async fn fire(ext: &Extensions, id: u32, key: &str) -> Vec<JobId> {
    ids(&ext.point(placed(id)).idempotency_key(key).fire().await.unwrap())
}

#[tokio::test]
async fn a_repetition_reports_the_same_jobs_runs_inline_handlers_again_and_queues_nothing() {
    let inline = |_: &mut Placed, cx: &Context| -> HandlerResult {
        cx.resource::<Log>().unwrap().add("inline");
        Ok(())
    };
    let builder = shop()
        .register_fn::<Placed>("inline", inline, HandlerOptions::new())
        .register_async::<Placed, _>(Book, options());
    let (ext, queue) = on_memory(builder).await;
    let first = fire(&ext, 1, "order-1").await;
    let again = fire(&ext, 1, "order-1").await;
    assert_eq!((first.len(), &first), (2, &again));
    assert_ne!(first[0], first[1], "one handler's job is not the other's");
    assert_eq!(jobs(&queue).await.len(), 2);
    work(&ext).await;
    assert_eq!(fire(&ext, 1, "order-1").await, first, "also when they have run");
    assert_eq!(work(&ext).await.completed, 0);
    let mut lines = lines(&ext);
    lines.sort();
    assert_eq!(lines, ["book 1", "inline", "inline", "inline", "mail 1"]);
}

#[tokio::test]
async fn another_key_another_tenant_and_no_key_make_new_jobs() {
    let (ext, queue) = on_memory(shop()).await;
    fire(&ext, 1, "a").await;
    fire(&ext, 1, "b").await;
    for tenant in ["acme", "umbrella"] {
        ext.point(placed(1)).idempotency_key("a").for_tenant(tenant).fire().await.unwrap();
        ext.tenant(tenant).run(fire(&ext, 1, "a")).await;
    }
    ext.fire(placed(1)).await.unwrap();
    assert_eq!(jobs(&queue).await.len(), 5);
    ext.point(Shipped { id: 1 }).idempotency_key("a").fire().await.unwrap();
    assert_eq!(jobs(&queue).await.len(), 6, "a key of another point is another one");
}

fn keeping_nothing(builder: ExtensionsBuilder) -> ExtensionsBuilder {
    builder.retention(Retention { completed: secs(0), ..Retention::default() })
}

#[tokio::test]
async fn the_key_holds_for_its_window_though_no_record_of_the_job_remains() {
    for window in [None, Some(secs(60))] {
        let (clock, builder) = by_hand();
        let builder = keeping_nothing(builder.register_async::<Placed, _>(Mail, options()));
        let builder = match window {
            Some(window) => builder.idempotency_window(window),
            None => builder,
        };
        let queue: Arc<dyn QueueBackend> = Arc::new(Memory::with_clock(clock.clone()));
        let (ext, queue) = kit::on(builder, queue).await;
        let first = fire(&ext, 1, "order-1").await;
        assert_eq!(work(&ext).await.completed, 1);
        assert_eq!(jobs(&queue).await.len(), 0);
        let window = window.unwrap_or(DAY);
        clock.advance(window - Duration::from_millis(1));
        assert_eq!(fire(&ext, 1, "order-1").await, first);
        assert_eq!(jobs(&queue).await.len(), 0, "within {window:?}");
        clock.advance(Duration::from_millis(1));
        assert_eq!(fire(&ext, 1, "order-1").await, first);
        assert_eq!(jobs(&queue).await.len(), 1, "after {window:?}");
    }
}

#[tokio::test]
async fn what_was_stored_first_stays() {
    let (ext, _) = on_memory(shop()).await;
    fire(&ext, 1, "order").await;
    fire(&ext, 2, "order").await;
    work(&ext).await;
    assert_eq!(lines(&ext), ["mail 1"]);
}

#[tokio::test]
async fn a_unique_job_that_was_kept_out_is_tried_again_and_one_that_was_stored_is_no_duplicate() {
    let builder = Extensions::builder().register_async::<Placed, _>(Mail, options().unique(true));
    let (ext, queue) = on_memory(builder).await;
    let keyed = |key: &'static str| ext.point(placed(1)).idempotency_key(key).fire();
    let first = keyed("a").await.unwrap();
    let repeated = keyed("a").await.unwrap();
    assert_eq!((ids(&first), repeated.duplicates().len()), (ids(&repeated), 0));
    let kept_out = keyed("b").await.unwrap();
    assert_eq!((kept_out.queued().len(), kept_out.duplicates()[0].of()), (0, first.queued()[0].id()));
    work(&ext).await;
    assert_eq!(keyed("b").await.unwrap().queued().len(), 1);
    assert_eq!(jobs(&queue).await.len(), 2);
}

fn ships_twice(placed: &mut Placed, cx: &Context) -> HandlerResult {
    for id in [placed.id, placed.id + 1] {
        cx.fire_sync(Shipped { id })?;
    }
    Ok(())
}

#[tokio::test]
async fn the_jobs_of_nested_fires_are_part_of_it() {
    let builder = shop().register_fn::<Placed>("ships", ships_twice, HandlerOptions::new());
    let (ext, queue) = on_memory(builder).await;
    let first = fire(&ext, 1, "order-1").await;
    assert_eq!((first.len(), fire(&ext, 1, "order-1").await), (3, first));
    work(&ext).await;
    assert_eq!(lines(&ext), ["label 1", "label 2", "mail 1"]);
    assert_eq!(jobs(&queue).await.len(), 3);
}

#[tokio::test]
async fn an_empty_key_is_an_error_before_any_handler_runs() {
    let inline = |_: &mut Placed, _: &Context| -> HandlerResult { panic!("it runs") };
    let (ext, queue) = on_memory(shop().register_fn::<Placed>("inline", inline, HandlerOptions::new())).await;
    let fired = ext.point(placed(1)).idempotency_key("").fire().await;
    assert!(kind(fired).contains("the idempotency key is empty"));
    let nobody = on_memory(Extensions::builder()).await.0;
    assert!(nobody.point(placed(1)).idempotency_key("").fire_sync().is_err(), "without handlers too");
    assert_eq!(jobs(&queue).await.len(), 0);
}

#[tokio::test]
async fn a_queue_that_cannot_keep_ids_refuses_it_before_any_handler_runs() {
    let inline = |_: &mut Placed, _: &Context| -> HandlerResult { panic!("it runs") };
    let builder = shop().register_fn::<Placed>("inline", inline, HandlerOptions::new());
    let queue = Transactional::default().without_unique();
    let (ext, _) = kit::on(builder, Arc::new(queue)).await;
    let fired = ext.point(placed(1)).idempotency_key("order-1").fire().await;
    assert!(kind(fired).contains("lacks the capability `unique`"));
}

#[tokio::test]
async fn it_goes_with_transactions_and_without_a_runtime() {
    let (ext, queue) = transactional(shop()).await;
    let mut tx = MemoryTransaction::default();
    let within = ext.point(placed(1)).within(&mut tx).idempotency_key("order-1").fire().await.unwrap();
    tx.commit(&*queue).await;
    let synchronous = ext.point(placed(1)).idempotency_key("order-1").fire_sync().unwrap();
    assert_eq!(ids(&within), ids(&synchronous));
    assert_eq!(jobs(&queue).await.len(), 1);
}

#[tokio::test]
async fn jobs_that_run_in_place_run_once_too() {
    let (clock, builder) = by_hand();
    let builder = builder.resource(Log::default()).queue_url("sync:");
    let ext = builder.register_async::<Placed, _>(Mail, options()).build().await.unwrap();
    let first = fire(&ext, 1, "order-1").await;
    assert_eq!(fire(&ext, 1, "order-1").await, first);
    fire(&ext, 2, "order-2").await;
    assert_eq!(lines(&ext), ["mail 1", "mail 2"]);
    clock.advance(DAY);
    fire(&ext, 1, "order-1").await;
    assert_eq!(lines(&ext), ["mail 1"]);
}

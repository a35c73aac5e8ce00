//! Fires of a job's handler whose jobs are queued with the job's completion.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use extensions::fire::NextPush;
use extensions::fire::PushLayer;
use extensions::job::{JobState, NewJob};
use extensions::prelude::*;
use extensions::queue::{Pushed, QueueError};
use extensions::{ExtensionsBuilder, FireErrorKind};
use serde::{Deserialize, Serialize};
use tests::kit::{Log, job, jobs, lines, on_memory, work};

use super::{Label, Placed, Shipped, log, options, placed, shop};

/// Fires `Shipped` and then does what the point's id says.
struct Ship;
impl AsyncHandler<Placed> for Ship {
    async fn handle(&self, placed: &Placed, job: &Job) -> HandlerResult {
        let fired = job.fire(Shipped { id: placed.id }).await?;
        assert_eq!(fired.queued().len(), 1, "the report lists it");
        let listed = job.extensions().queue().unwrap().list(Default::default()).await?;
        let there = listed.iter().filter(|record| record.handler.point() == "Shipped").count();
        log(job, format!("{there} before the end"))?;
        match placed.id {
            FAILS if job.attempt() == 1 => Err("not yet".into()),
            DIES => Err(HandlerError::permanent("never")),
            SNOOZES if job.resource::<AtomicU32>().unwrap().fetch_add(1, Ordering::Relaxed) == 0 => {
                Err(HandlerError::snooze(secs(0)))
            }
            CANCELS => Err(HandlerError::cancel("no need")),
            PANICS => panic!("oh"),
            _ => Ok(()),
        }
    }
}
const FAILS: u32 = 101;
const DIES: u32 = 102;
const SNOOZES: u32 = 103;
const CANCELS: u32 = 104;
const PANICS: u32 = 105;

fn shipping(options: AsyncOptions) -> ExtensionsBuilder {
    Extensions::builder()
        .resource(AtomicU32::new(0))
        .register_async::<Placed, _>(Ship, options.backoff(Backoff::fixed(secs(0))))
        .register_async::<Shipped, _>(Label, AsyncOptions::new())
}

#[tokio::test]
async fn they_are_queued_with_the_completion_and_stem_from_the_job() {
    let (ext, queue) = on_memory(shipping(options())).await;
    let fired = ext.point(placed(7)).for_tenant("acme").fire().await.unwrap();
    let parent = fired.queued()[0].id();
    work(&ext).await;
    assert_eq!(lines(&ext), ["0 before the end", "label 7"]);
    let all = jobs(&queue).await;
    let follow_up = all.iter().find(|job| job.handler.point() == "Shipped").unwrap();
    let fired = job(&queue, parent).await.meta;
    let meta = &follow_up.meta;
    assert_eq!((meta.parent, meta.root, meta.depth), (Some(parent), fired.root, 1));
    assert_eq!(meta.tenant.as_deref(), Some("acme"));
    assert_eq!((fired.parent, fired.depth), (None, 0));
}

#[tokio::test]
async fn an_attempt_that_does_not_complete_the_job_queues_none() {
    for (id, labels) in [(FAILS, 1), (DIES, 0), (SNOOZES, 1), (CANCELS, 0), (PANICS, 0)] {
        let (ext, queue) =
            on_memory(shipping(options().max_attempts(if id == PANICS { 1 } else { 3 }))).await;
        ext.fire(placed(id)).await.unwrap();
        work(&ext).await;
        let stored = jobs(&queue).await.iter().filter(|job| job.handler.point() == "Shipped").count();
        assert_eq!(stored, labels, "{id}");
    }
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Weighed(u32);

#[extension_handler(Weighed)]
#[async_handler]
fn ship_blocking(weighed: &Weighed, job: &Job) -> HandlerResult {
    let fired = job.point(Shipped { id: weighed.0 }).on_queue("labels").fire_sync()?;
    assert_eq!(fired.queued()[0].queue().as_str(), "labels");
    job.fire_sync(placed(weighed.0))?;
    Ok(())
}

#[tokio::test]
async fn a_blocking_handler_fires_them_without_awaiting_and_options_hold() {
    let (ext, queue) = on_memory(shop().discover()).await;
    ext.tenant("acme").run(ext.fire(Weighed(7))).await.unwrap();
    work(&ext).await;
    assert_eq!(lines(&ext), ["mail 7"]);
    let all = jobs(&queue).await;
    let label = all.iter().find(|job| job.handler.point() == "Shipped").unwrap();
    assert_eq!((label.queue.as_str(), label.state), ("labels", JobState::Available));
    assert_eq!(label.meta.tenant.as_deref(), Some("acme"));
}

struct InAnotherTask;
impl AsyncHandler<Placed> for InAnotherTask {
    async fn handle(&self, placed: &Placed, job: &Job) -> HandlerResult {
        let (job, id) = (job.clone(), placed.id);
        tokio::spawn(async move { job.fire(Shipped { id }).await }).await??;
        Ok(())
    }
}

#[tokio::test]
async fn a_task_that_the_handler_spawned_fires_in_the_scopes_of_the_job() {
    let builder = Extensions::builder()
        .register_async::<Placed, _>(InAnotherTask, options())
        .register_async::<Shipped, _>(Label, options());
    let (ext, queue) = on_memory(builder).await;
    ext.user("7").run(ext.point(placed(7)).for_tenant("acme").fire()).await.unwrap();
    work(&ext).await;
    let all = jobs(&queue).await;
    let label = all.iter().find(|job| job.handler.point() == "Shipped").unwrap();
    assert_eq!((label.meta.tenant.as_deref(), label.meta.user.as_deref()), (Some("acme"), Some("7")));
}

#[tokio::test]
async fn their_inline_handlers_run_at_once_and_those_may_nest_fires() {
    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct Outer;
    struct Fires;
    impl AsyncHandler<Outer> for Fires {
        async fn handle(&self, _: &Outer, job: &Job) -> HandlerResult {
            let fired = job.fire(placed(3)).await?;
            assert_eq!((fired.point().id, fired.queued().len()), (4, 2));
            log(job, "fired")
        }
    }
    let inline = |point: &mut Placed, cx: &Context| -> HandlerResult {
        cx.resource::<Log>().unwrap().add(format!("inline at depth {}", cx.depth()));
        cx.fire_sync(Shipped { id: point.id })?;
        point.id += 1;
        Ok(())
    };
    let builder = shop().register_async::<Outer, _>(Fires, options()).register_fn::<Placed>(
        "inline",
        inline,
        HandlerOptions::new(),
    );
    let (ext, queue) = on_memory(builder).await;
    let parent = ext.fire(Outer).await.unwrap().queued()[0].id();
    work(&ext).await;
    assert_eq!(lines(&ext), ["inline at depth 0", "fired", "label 3", "mail 4"]);
    let mut stored = jobs(&queue).await;
    stored.retain(|job| job.id != parent);
    assert!(stored.iter().all(|job| job.meta.parent == Some(parent)));
    let depths: BTreeSet<_> = stored.iter().map(|job| (job.handler.point(), job.meta.depth)).collect();
    assert_eq!(depths, BTreeSet::from([("Placed", 1), ("Shipped", 2)]));
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Page(u32);

struct NextPage;
impl AsyncHandler<Page> for NextPage {
    async fn handle(&self, page: &Page, job: &Job) -> HandlerResult {
        log(job, page.0.to_string())?;
        if page.0 < 200 {
            job.fire(Page(page.0 + 1)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_chain_of_jobs_may_be_longer_than_fires_may_be_nested_but_not_in_place() {
    let chain = || Extensions::builder().register_async::<Page, _>(NextPage, options());
    let (ext, queue) = on_memory(chain()).await;
    ext.fire(Page(1)).await.unwrap();
    assert_eq!(work(&ext).await.completed, 200);
    let longest = jobs(&queue).await.iter().map(|job| job.meta.depth).max();
    assert!(longest >= Some(99), "{longest:?}");

    let in_place = chain().resource(Log::default()).queue_url("sync:").max_depth(10).build().await.unwrap();
    in_place.fire(Page(1)).await.unwrap();
    let runs = lines(&in_place);
    assert_eq!(runs.last().map(String::as_str), Some("11"), "it ends: {runs:?}");
}

struct Bill;
impl OnFailure<Placed> for Bill {
    async fn on_failure(&self, _: &Placed, _: &JobError, job: &Job) {
        let error = job.fire(Shipped { id: 1 }).await.unwrap_err();
        assert!(matches!(error.kind(), FireErrorKind::PushFailed(_)));
        log(job, format!("refused: {error}")).unwrap();
    }
}

#[tokio::test]
async fn a_job_that_failed_takes_none() {
    let (ext, queue) = on_memory(shipping(options().on_failure::<Placed, _>(Bill))).await;
    ext.fire(placed(DIES)).await.unwrap();
    work(&ext).await;
    let lines = lines(&ext);
    assert!(lines[1].contains("is settled") && lines[1].contains("job.extensions()"), "{lines:?}");
    assert_eq!(jobs(&queue).await.len(), 1);
}

/// Fires the same jobs in each attempt, and writes their ids down.
struct Steady;
impl AsyncHandler<Placed> for Steady {
    async fn handle(&self, _: &Placed, job: &Job) -> HandlerResult {
        for id in [1, 2] {
            let fired = job.fire(Shipped { id }).await?;
            log(job, fired.queued()[0].id().to_string())?;
        }
        if job.attempt() == 1 { Err("again".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn their_ids_are_the_same_in_every_attempt() {
    let builder = Extensions::builder()
        .register_async::<Placed, _>(Steady, options().backoff(Backoff::fixed(secs(0))))
        .register_async::<Shipped, _>(Label, options().delay(secs(3600)));
    let (ext, _) = on_memory(builder).await;
    ext.fire(placed(1)).await.unwrap();
    work(&ext).await;
    let ids = lines(&ext);
    assert_eq!((ids.len(), &ids[..2]), (4, &ids[2..]));
    assert_ne!(ids[0], ids[1]);
}

struct Tags;
impl PushLayer for Tags {
    async fn push(&self, jobs: Arc<[NewJob]>, next: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
        let tagged = jobs.iter().cloned().map(|mut job| {
            job.meta.tags.push("layered".to_owned());
            job
        });
        next.run(tagged.collect()).await
    }
}

#[tokio::test]
async fn layers_of_pushes_are_around_the_keeping() {
    let (ext, queue) = on_memory(shipping(options()).push_layer(Tags)).await;
    ext.fire(placed(1)).await.unwrap();
    work(&ext).await;
    assert!(jobs(&queue).await.iter().all(|job| job.meta.tags == ["layered"]));
}

#[tokio::test]
async fn a_fake_counts_them_once_their_job_is_completed() {
    let builder = Extensions::fake().resource(Log::default()).resource(AtomicU32::new(0));
    let builder =
        builder.register_async::<Placed, _>(Ship, options()).register_async::<Shipped, _>(Label, options());
    let ext = builder.build().await.unwrap();
    ext.fire(placed(DIES)).await.unwrap();
    ext.run_queued().await;
    ext.assert_queued::<Label>(0);
    ext.fire(placed(1)).await.unwrap();
    ext.run_queued().await;
    ext.assert_queued::<Label>(1);
    assert!(lines(&ext).contains(&"label 1".to_owned()));
}

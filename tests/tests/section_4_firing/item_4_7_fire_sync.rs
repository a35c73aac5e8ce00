//! 4.7: `fire_sync` needs no runtime, and refuses a point with awaited handlers.

use super::*;

struct Waits;
impl AwaitedHandler<Placed> for Waits {
    async fn handle(&self, _: &mut Placed, _: &Context) -> HandlerResult<Verdict> {
        Ok(Verdict::Continue)
    }
}

#[test]
fn it_queues_without_a_runtime_and_inside_of_one_and_on_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ext = runtime.block_on(shop().queue_url(url).build()).unwrap();
    assert_eq!(ext.fire_sync(placed("", "")).unwrap().queued().len(), 2);
    let beside = runtime.block_on(async { ext.fire_sync(placed("", "")).unwrap().queued().len() });
    assert_eq!(beside, 2);
    drop(runtime);
    assert_eq!(ext.fire_sync(placed("", "")).unwrap().queued().len(), 2);
    assert_eq!(
        ext.point(placed("", "")).on_queue("other").fire_sync().unwrap().queued()[0].queue(),
        &"other"
    );
}

#[tokio::test]
async fn awaited_handlers_are_named_however_they_came_and_nothing_ran() {
    let (ext, queue) = on_memory(shop().register_awaited::<Placed, _>(Waits, at(1))).await;
    let error = ext.fire_sync(placed("", "")).unwrap_err();
    assert!(error.to_string().contains("(Waits), which `fire_sync` cannot run"), "{error}");
    assert!(error.point::<Placed>().unwrap().seen.is_empty() && jobs(&queue).await.is_empty());
    let (ext, _queue) = on_memory(shop()).await;
    let guard = ext.register_awaited::<Placed, _>(Waits, at(1)).unwrap();
    assert!(kind(ext.fire_sync(placed("", ""))).starts_with("Awaited"));
    drop(guard);
    ext.fire_sync(placed("", "")).unwrap();
}

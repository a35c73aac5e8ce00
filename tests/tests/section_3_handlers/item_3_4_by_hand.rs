//! 3.4: by hand at start-up and on a running instance, where a guard unregisters unless it is kept.

use super::*;

#[derive(Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Done(u32);

struct Plain;
impl Handler<Done> for Plain {
    fn handle(&self, _: &mut Done, cx: &Context) -> HandlerResult {
        cx.resource::<Log>().unwrap().add("plain");
        Ok(())
    }
}
struct Waits;
impl AwaitedHandler<Done> for Waits {
    async fn handle(&self, _: &mut Done, cx: &Context) -> HandlerResult {
        cx.resource::<Log>().unwrap().add("waits");
        Ok(())
    }
}
struct Works;
impl AsyncHandler<Done> for Works {
    async fn handle(&self, done: &Done, job: &Job) -> HandlerResult {
        job.resource::<Log>().unwrap().add(format!("works {}", done.0));
        Ok(())
    }
}

fn all() -> Registrations {
    Registrations::in_group("all")
        .register::<Done, _>(Plain, at(2))
        .register_awaited::<Done, _>(Waits, at(1))
        .register_fn::<Done>("closure", note("closure"), at(3).group("mine"))
        .register_async::<Done, _>(Works, AsyncOptions::new())
        .on_any("Don?", |any: &AnyPoint<'_>, cx: &Context| {
            cx.resource::<Log>().unwrap().add(any.name());
            Ok(())
        })
}

const ALL: [&str; 5] = ["waits", "plain", "closure", "Done", "works 7"];

async fn fire_and_work(ext: &Extensions) -> Vec<String> {
    ext.fire(Done(7)).await.unwrap();
    work(ext).await;
    lines(ext)
}

#[tokio::test]
async fn at_start_up_one_by_one_and_as_a_list_in_a_group() {
    let (ext, _queue) = on_memory(
        Extensions::builder()
            .register::<Done, _>(Plain, at(2))
            .register_awaited::<Done, _>(Waits, at(1))
            .register_fn::<Done>("closure", note("closure"), at(3))
            .on_any("Don?", |any: &AnyPoint<'_>, cx: &Context| {
                cx.resource::<Log>().unwrap().add(any.name());
                Ok(())
            })
            .register_async::<Done, _>(Works, AsyncOptions::new()),
    )
    .await;
    assert_eq!(fire_and_work(&ext).await, ALL);
    let (ext, _queue) = on_memory(Extensions::builder().register_many(all())).await;
    assert_eq!(fire_and_work(&ext).await, ALL);
    let groups: Vec<_> = ext.handlers_of::<Done>().iter().map(|info| info.group.clone()).collect();
    assert_eq!(groups.iter().filter(|group| group.as_deref() == Some("all")).count(), 4, "{groups:?}");
    assert_eq!(groups.iter().filter(|group| group.as_deref() == Some("mine")).count(), 1, "{groups:?}");
}

#[tokio::test]
async fn on_a_running_instance_they_go_with_their_guard_and_leave_nothing() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let start = ext.registry();
    let guard = ext.register_many(all()).unwrap();
    assert_eq!(fire_and_work(&ext).await, ALL);
    drop(guard);
    assert!(fire_and_work(&ext).await.is_empty());
    assert!(Arc::ptr_eq(&ext.registry(), &start), "the instance is as it was");
    let one = ext.register::<Done, _>(Plain, at(2)).unwrap();
    let two = ext.register_awaited::<Done, _>(Waits, at(1)).unwrap();
    let three = ext.register_fn::<Done>("closure", note("closure"), at(3)).unwrap();
    assert_eq!(fire_and_work(&ext).await, ["waits", "plain", "closure"]);
    drop(one);
    assert_eq!(fire_and_work(&ext).await, ["waits", "closure"]);
    drop((three, two));
    assert!(Arc::ptr_eq(&ext.registry(), &start));
}

#[tokio::test]
async fn a_kept_one_stays_until_it_is_unregistered_by_type_by_name_or_with_all() {
    let (ext, _queue) = on_memory(Extensions::builder().register::<Done, _>(Plain, at(2))).await;
    ext.register_many(all_but_plain()).unwrap().keep();
    assert_eq!(fire_and_work(&ext).await, ALL);
    assert!(ext.unregister::<Done, Waits>() && !ext.unregister::<Done, Waits>());
    assert!(ext.unregister_named::<Done>("closure") && !ext.unregister_named::<Done>("closure"));
    assert_eq!(fire_and_work(&ext).await, ["plain", "Done", "works 7"]);
    assert_eq!(ext.unregister_all::<Done>(), 3);
    assert!(fire_and_work(&ext).await.is_empty() && !ext.has_handlers::<Done>());
    let again = ext.register::<Done, _>(Plain, at(1)).unwrap();
    assert_eq!(fire_and_work(&ext).await, ["plain"], "what was taken off does not come back with another");
    drop(again);
}

fn all_but_plain() -> Registrations {
    Registrations::new()
        .register_awaited::<Done, _>(Waits, at(1))
        .register_fn::<Done>("closure", note("closure"), at(3))
        .register_async::<Done, _>(Works, AsyncOptions::new())
        .on_any("Don?", |any: &AnyPoint<'_>, cx: &Context| {
            cx.resource::<Log>().unwrap().add(any.name());
            Ok(())
        })
}

#[tokio::test]
async fn a_list_of_which_one_cannot_be_registers_nothing() {
    let (ext, _queue) =
        on_memory(Extensions::builder().register_fn::<Done>("taken", note("taken"), at(1))).await;
    let start = ext.registry();
    let list = Registrations::new()
        .register::<Done, _>(Plain, at(2))
        .register_fn::<Done>("taken", note("again"), at(3))
        .register_async::<Done, _>(Works, AsyncOptions::new().retries(0));
    let said = ext.register_many(list).unwrap_err().to_string();
    assert!(said.contains("have the name `taken`") && said.contains("`retries` is 0"), "{said}");
    assert_eq!(fire_and_work(&ext).await, ["taken"]);
    assert!(Arc::ptr_eq(&ext.registry(), &start));
}

#[tokio::test]
async fn an_async_one_without_a_queue_is_refused_on_a_running_instance_too() {
    let ext = Extensions::builder().build().await.unwrap();
    let error = ext.register_async::<Done, _>(Works, AsyncOptions::new()).unwrap_err();
    assert!(error.to_string().contains(".queue_url("), "{error}");
}

#[tokio::test]
async fn a_running_worker_runs_the_jobs_of_an_async_one_that_comes_later() {
    let (ext, queue) = on_memory(Extensions::builder().register::<Done, _>(Plain, at(2))).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(ext.worker().run_until(async { drop(stopped.await) }));
    until("the worker", async || !queue.workers().await.unwrap().is_empty()).await;
    for round in 0..3 {
        let guard = ext.register_async::<Done, _>(Works, AsyncOptions::new()).unwrap();
        let id = ext.fire(Done(round)).await.unwrap().queued()[0].id();
        until_state(&queue, id, JobState::Completed).await;
        drop(guard);
        assert!(ext.fire(Done(9)).await.unwrap().queued().is_empty());
    }
    drop(stop);
    assert_eq!(in_time("the worker's end", worker).await.unwrap().unwrap().completed, 3);
}

#[tokio::test]
async fn the_jobs_of_an_async_one_that_went_wait_for_it() {
    let (ext, queue) = on_memory(Extensions::builder()).await;
    let guard = ext.register_async::<Done, _>(Works, AsyncOptions::new()).unwrap();
    let id = ext.fire(Done(1)).await.unwrap().queued()[0].id();
    drop(guard);
    assert_eq!(work(&ext).await.completed, 0);
    assert_ne!(tests::kit::job(&queue, id).await.state, JobState::Completed);
    let _back = ext.register_async::<Done, _>(Works, AsyncOptions::new()).unwrap();
    assert_eq!(work(&ext).await.completed, 1);
    assert_eq!(lines(&ext), ["works 1"]);
}

#[tokio::test]
async fn a_handler_may_register_and_unregister_others_while_its_fire_goes_on_as_it_began() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let changes = |_: &mut Done, cx: &Context| -> HandlerResult {
        let ext = cx.extensions();
        ext.unregister_named::<Done>("gone");
        ext.register_fn::<Done>("new", note("new"), at(4))?.keep();
        Ok(())
    };
    let list = Registrations::new().register_fn::<Done>("changes", changes, at(1)).register_fn::<Done>(
        "gone",
        note("gone"),
        at(2),
    );
    ext.register_many(list).unwrap().keep();
    ext.fire(Done(0)).await.unwrap();
    assert_eq!(lines(&ext), ["gone"]);
    ext.unregister_named::<Done>("changes");
    ext.fire(Done(0)).await.unwrap();
    assert_eq!(lines(&ext), ["new"]);
}

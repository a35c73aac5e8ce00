//! 6.4: the instance is muted and silenced by guards that nest, a task by `silenced(async …)`.

use super::*;

#[derive(Clone, Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Sold {
    seen: u32,
}
#[derive(Clone, Default, ExtensionPoint)]
struct Bought {
    seen: u32,
}

struct Counts;
impl Handler<Sold> for Counts {
    fn handle(&self, point: &mut Sold, _: &Context) -> HandlerResult {
        point.seen += 1;
        Ok(())
    }
}
impl Handler<Bought> for Counts {
    fn handle(&self, point: &mut Bought, _: &Context) -> HandlerResult {
        point.seen += 1;
        Ok(())
    }
}
struct Later;
impl AsyncHandler<Sold> for Later {
    async fn handle(&self, _: &Sold, _: &Job) -> HandlerResult {
        Ok(())
    }
}

async fn shop() -> (Extensions, Arc<dyn QueueBackend>) {
    let nests = |_: &mut Bought, cx: &Context| -> HandlerResult {
        cx.fire_sync(Sold::default())?;
        Ok(())
    };
    on_memory(
        Extensions::builder()
            .register::<Sold, _>(Counts, at(1))
            .register_fn::<Sold>(
                "ten",
                |point, _| {
                    point.seen += 10;
                    Ok(())
                },
                at(2),
            )
            .register::<Bought, _>(Counts, at(1))
            .register_fn::<Bought>("nests", nests, at(2))
            .register_async::<Sold, _>(Later, AsyncOptions::new()),
    )
    .await
}

/// What the inline handlers added up to, and how many jobs were queued.
async fn fire(ext: &Extensions) -> (u32, usize) {
    let fired = ext.fire(Sold::default()).await.unwrap();
    (fired.point().seen, fired.queued().len())
}

#[tokio::test]
async fn mutes_nest_and_hold_for_inline_and_async_handlers_by_type_and_by_name() {
    let (ext, _queue) = shop().await;
    let (first, second) = (ext.mute::<Counts>(), ext.mute::<Counts>());
    let named = ext.mute_named("ten");
    assert_eq!(fire(&ext).await, (0, 1));
    drop(first);
    assert_eq!((fire(&ext).await, ext.is_muted::<Counts>()), ((0, 1), true), "two mutes need two drops");
    drop(second);
    assert_eq!((fire(&ext).await, ext.is_muted::<Counts>()), ((1, 1), false));
    assert!(ext.is_muted_named("ten"));
    let job = ext.mute::<Later>();
    let fired = ext.fire(Sold::default()).await.unwrap();
    let expected = [("ten", SkipReason::Muted), ("Later", SkipReason::Muted)];
    assert_eq!(skips(fired.skipped()), expected.map(|(name, reason)| (name.to_owned(), reason)));
    drop((named, job));
    assert_eq!(fire(&ext).await, (11, 1));
    let counts = ext.mute::<Counts>();
    assert_eq!(ext.fire(Bought::default()).await.unwrap().point().seen, 0, "on all its points");
    ext.mute_named("ten").keep();
    assert_eq!(fire(&ext).await, (0, 1));
    ext.unmute_all();
    drop(counts);
    assert_eq!(fire(&ext).await, (11, 1));
    assert_eq!(ext.switched_off(), Default::default());
}

#[tokio::test]
async fn silences_nest_over_the_instance_and_over_points_and_jobs_that_are_queued_run() {
    let (ext, queue) = shop().await;
    assert_eq!(fire(&ext).await, (11, 1));
    let (first, second) = (ext.silence(), ext.silence_point::<Sold>());
    let fired = ext.fire(Sold::default()).await.unwrap();
    assert!(fired.is_silenced() && fired.queued().is_empty() && fired.point().seen == 0);
    let expected = ["Counts", "ten", "Later"].map(|name| (name.to_owned(), SkipReason::Silenced));
    assert_eq!(skips(fired.skipped()), expected);
    assert_eq!(ext.fire(Bought::default()).await.unwrap().point().seen, 0);
    drop(first);
    assert!(!ext.is_silenced());
    assert_eq!(ext.fire(Bought::default()).await.unwrap().point().seen, 1, "the nested point is silent");
    assert_eq!((fire(&ext).await, jobs(&queue).await.len()), ((0, 0), 1));
    assert_eq!(work(&ext).await.completed, 1);
    let third = ext.silence_point::<Sold>();
    drop(second);
    assert_eq!(fire(&ext).await, (0, 0));
    drop(third);
    assert_eq!(fire(&ext).await, (11, 1));
    ext.silence().keep();
    assert!(ext.is_silenced());
    ext.resume();
    assert_eq!(fire(&ext).await, (11, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silenced_task_is_silent_alone_with_what_it_nests_among_hundreds() {
    let (ext, queue) = shop().await;
    let tasks: Vec<_> = (0..300)
        .map(|n| {
            let ext = ext.clone();
            tokio::spawn(async move {
                let mut loud = 0;
                for round in 0..10 {
                    if (n + round) % 2 == 0 {
                        let inside = ext.silenced(async {
                            tokio::task::yield_now().await;
                            let fired = ext.fire(Sold::default()).await.unwrap();
                            assert!(fired.is_silenced());
                            tokio::task::yield_now().await;
                            let bought = ext.fire_sync(Bought::default()).unwrap();
                            let spawned = tokio::spawn({
                                let ext = ext.clone();
                                async move { fire(&ext).await }
                            });
                            assert_eq!(spawned.await.unwrap(), (11, 1), "a spawned task is outside");
                            fired.point().seen + bought.point().seen
                        });
                        assert_eq!(inside.await, 0);
                    } else {
                        assert_eq!(fire(&ext).await, (11, 1));
                    }
                    loud += 1;
                    tokio::task::yield_now().await;
                }
                loud
            })
        })
        .collect();
    let mut loud = 0;
    for task in tasks {
        loud += in_time("a task", task).await.unwrap();
    }
    let stored = queue.stats().await.unwrap();
    assert_eq!(stored[0].count(JobState::Available), loud);
}

#[tokio::test]
async fn one_instances_silence_is_not_anothers() {
    let ((ext, _queue), (other, _other_queue)) = (shop().await, shop().await);
    ext.silenced(async { assert_eq!((fire(&ext).await, fire(&other).await), ((0, 0), (11, 1))) }).await;
    let _quiet = ext.silence();
    assert_eq!((fire(&ext).await, fire(&other).await), ((0, 0), (11, 1)));
}

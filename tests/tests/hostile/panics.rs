use super::*;

/// Panics when it is shown.
#[derive(Debug)]
struct Unspeakable;
impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("unspeakable")
    }
}
impl std::error::Error for Unspeakable {}

/// Panics when it is dropped.
struct Bomb;
impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped")
    }
}

/// A future that is done at once, and panics when it is dropped.
struct Trap(#[allow(dead_code)] Bomb);
impl Future for Trap {
    type Output = HandlerResult;
    fn poll(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<HandlerResult> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_stage_whose_error_panics_when_it_is_shown_has_failed_and_no_other() {
    let ext = built(Extensions::builder()).await;
    let pipeline = |keep_going: bool| {
        let pipeline = ext
            .pipeline(0)
            .through_fn(|value, next| Box::pin(async move { next.run(value).await }))
            .named("outer")
            .through_fn(|_, _| Box::pin(async { Err(Unspeakable.into()) }))
            .named("inner");
        if keep_going { pipeline.continue_on_failure() } else { pipeline }
    };
    let piped = pipeline(false).run_report().await;
    assert_eq!(piped.failure().unwrap().stage(), Some("inner"));
    let piped = pipeline(true).run_report().await;
    assert!(piped.failure().is_none());
    assert_eq!(piped.stages()[0].fate, StageFate::Ran);
    let alone = ext.pipeline(0).through_fn(|_, _| Box::pin(async { Err(Unspeakable.into()) })).named("alone");
    assert_eq!(alone.run_report().await.failure().unwrap().stage(), Some("alone"));
}

struct Refuses;
impl FireLayer for Refuses {
    async fn fire(&self, _: &FireInfo, _: NextFire<'_>) -> HandlerResult<FireOutcome> {
        Err(Unspeakable.into())
    }
}

#[tokio::test]
async fn a_layer_whose_error_panics_when_it_is_shown_refuses_the_fire() {
    let ext = built(with_beat(Extensions::builder()).fire_layer(Refuses)).await;
    let error = ext.fire(Beat).await.unwrap_err();
    assert!(error.point::<Beat>().is_some(), "{error}");
}

#[tokio::test]
async fn a_fake_records_a_fire_whose_error_panics_when_it_is_shown() {
    let fails = |_: &mut Beat, _: &Context| Err(Unspeakable.into());
    let ext = built(Extensions::fake().register_fn::<Beat>("fails", fails, at(1))).await;
    ext.fire(Beat).await.unwrap_err();
    ext.point(Beat).graceful().fire().await.unwrap();
    ext.assert_fired_times::<Beat>(2);
}

#[tokio::test]
async fn what_a_handler_panics_with_may_panic_when_it_is_dropped() {
    let explodes = |_: &mut Beat, _: &Context| std::panic::panic_any(Bomb);
    let ext = built(Extensions::builder().register_fn::<Beat>("explodes", explodes, at(1))).await;
    let error = ext.fire_sync(Beat).unwrap_err();
    assert!(error.report().errors[0].error.is_panic());
    let error = ext.point(Beat).strict().fire().await.unwrap_err();
    assert!(error.report().errors[0].error.is_panic());
}

#[tokio::test]
async fn an_awaited_handler_whose_future_panics_when_it_is_dropped_has_panicked() {
    struct Traps;
    impl AwaitedHandler<Beat> for Traps {
        fn handle(&self, _: &mut Beat, _: &Context) -> impl Future<Output = HandlerResult> + Send {
            Trap(Bomb)
        }
    }
    let ext = built(Extensions::builder().register_awaited::<Beat, _>(Traps, at(1))).await;
    let error = ext.fire(Beat).await.unwrap_err();
    assert!(error.report().errors[0].error.is_panic());
    let fired = ext.point(Beat).graceful().fire().await.unwrap();
    assert!(fired.errors()[0].error.is_panic());
}

#[tokio::test]
async fn a_job_whose_future_panics_when_it_is_dropped_has_failed() {
    struct Traps;
    impl AsyncHandler<Sent> for Traps {
        fn handle(&self, _: &Sent, _: &Job) -> impl Future<Output = HandlerResult> + Send {
            Trap(Bomb)
        }
    }
    let options = AsyncOptions::new().max_attempts(1);
    let (ext, _queue) = on_memory(Extensions::builder().register_async::<Sent, _>(Traps, options)).await;
    ext.fire(Sent { id: 1 }).await.unwrap();
    let report = in_time("the work", work(&ext)).await;
    assert_eq!((report.dead, report.completed), (1, 0));
}

#[tokio::test]
async fn after_each_is_told_of_a_stage_that_panicked() {
    let ext = built(Extensions::builder()).await;
    let log = Arc::new(Mutex::new(Vec::new()));
    let (before, after) = (Arc::clone(&log), Arc::clone(&log));
    let piped = ext
        .pipeline(0)
        .before_each(move |stage, _| before.lock().unwrap().push(format!("<{}", stage.name)))
        .after_each(move |stage, _| after.lock().unwrap().push(format!("{}>", stage.name)))
        .through_fn(|_, _| Box::pin(async { panic!("boom") }))
        .named("odd")
        .continue_on_failure()
        .run_report()
        .await;
    assert!(piped.failure().is_none());
    assert_eq!(*log.lock().unwrap(), ["<odd", "odd>"]);
}

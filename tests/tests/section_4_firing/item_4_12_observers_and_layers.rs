//! 4.12: observers are told of every fire; layers wrap fires and pushes in a stated order.

use super::*;

struct Around(&'static str, Arc<Mutex<Vec<String>>>);
impl Around {
    fn add(&self, what: impl std::fmt::Display) {
        self.1.lock().unwrap().push(format!("{} {what}", self.0));
    }
}
impl FireLayer for Around {
    async fn fire(&self, fire: &FireInfo, next: NextFire<'_>) -> HandlerResult<FireOutcome> {
        self.add(format_args!("before {}", fire.point.name));
        let outcome = next.run().await?;
        self.add(format_args!("after {outcome:?}"));
        Ok(outcome)
    }
}
impl PushLayer for Around {
    async fn push(&self, jobs: Arc<[NewJob]>, next: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
        self.add("push");
        next.run(jobs).await
    }
}

#[tokio::test]
async fn the_first_layer_is_the_outermost_and_observers_come_after_the_push_inside_the_fires_layers() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let around = |name| Around(name, Arc::clone(&seen));
    let observed = Arc::clone(&seen);
    let (ext, _queue) = on_memory(
        shop()
            .fire_layer(around("outer"))
            .fire_layer(around("inner"))
            .push_layer(around("outer"))
            .push_layer(around("inner"))
            .observer(move |fire: &Observed<'_>| {
                let queued = fire.report().queued.len();
                observed.lock().unwrap().push(format!("observed {queued}"));
            }),
    )
    .await;
    ext.fire(placed("", "")).await.unwrap();
    let expected = [
        "outer before Placed",
        "inner before Placed",
        "outer push",
        "inner push",
        "observed 2",
        "inner after Succeeded",
        "outer after Succeeded",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    seen.lock().unwrap().clear();
    ext.fire_sync(placed("", "first")).unwrap();
    ext.fire(placed("first", "")).await.unwrap_err();
    let _quiet = ext.silence();
    ext.fire(placed("", "")).await.unwrap();
    let said = seen.lock().unwrap().clone();
    let outcomes: Vec<_> = said.iter().filter(|line| line.starts_with("outer after")).collect();
    assert_eq!(outcomes, ["outer after Vetoed", "outer after Failed", "outer after Silenced"]);
    assert_eq!(said.iter().filter(|line| line.starts_with("observed")).count(), 3);
}

#[tokio::test]
async fn observers_see_the_point_the_report_and_the_error_of_every_fire_but_the_unobserved() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observed = Arc::clone(&seen);
    let observer = move |fire: &Observed<'_>| {
        let point = fire.point().and_then(|point| Some(point.downcast::<Placed>()?.seen.len()));
        let veto = fire.report().veto.as_ref().map(|veto| veto.by().to_owned());
        observed.lock().unwrap().push((point, veto, fire.error().is_some()));
    };
    let panics = |_: &Observed<'_>| panic!("an observer's own affair");
    let nests = |point: &mut Placed, cx: &Context| -> HandlerResult<Verdict> {
        if point.errs == "nested" {
            cx.fire_sync(placed("", "first"))?;
        }
        Ok(Verdict::Continue)
    };
    let builder = shop().register_fn::<Placed>("nests", nests, at(1)).observer(panics).observer(observer);
    let (ext, _queue) = on_memory(builder).await;
    let take = || std::mem::take(&mut *seen.lock().unwrap());
    ext.fire(placed("", "")).await.unwrap();
    assert_eq!(take(), [(Some(2), None, false)]);
    ext.fire(placed("", "second")).await.unwrap();
    assert_eq!(take(), [(Some(2), Some("second".into()), false)]);
    ext.fire_sync(placed("first", "")).unwrap_err();
    assert_eq!(take(), [(Some(1), None, true)]);
    drop(ext.fire_many([placed("", ""), placed("", "first")]).await);
    assert_eq!(take().len(), 2);
    ext.fire(placed("nested", "")).await.unwrap();
    assert_eq!(take(), [(Some(1), Some("first".into()), false), (Some(2), None, false)]);
    ext.point(placed("", "first")).unobserved().fire().await.unwrap();
    ext.point(placed("first", "")).unobserved().fire_sync().unwrap_err();
    assert!(take().is_empty());
}

#[tokio::test]
async fn an_observer_is_told_a_renamed_points_name_in_the_instance() {
    let seen = Arc::new(Mutex::new(String::new()));
    let observed = Arc::clone(&seen);
    let builder = shop().rename_point("section_4_firing::Placed", "order.placed").observer(
        move |fire: &Observed<'_>| fire.point().unwrap().name().clone_into(&mut observed.lock().unwrap()),
    );
    let (ext, _queue) = on_memory(builder).await;
    ext.fire(placed("", "")).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), "order.placed");
}

static RAN: AtomicU32 = AtomicU32::new(0);

#[tokio::test]
async fn a_layer_that_refuses_keeps_everything_from_running_and_gives_the_point_back() {
    struct Refuses;
    impl FireLayer for Refuses {
        async fn fire(&self, _: &FireInfo, _: NextFire<'_>) -> HandlerResult<FireOutcome> {
            Err("not today".into())
        }
    }
    let runs = |_: &mut Placed, _: &Context| {
        RAN.fetch_add(1, Ordering::SeqCst);
        Ok(Verdict::Continue)
    };
    let builder = shop().fire_layer(Refuses).register_fn::<Placed>("runs", runs, at(1));
    let (ext, queue) = on_memory(builder).await;
    for error in [ext.fire(placed("", "")).await.unwrap_err(), ext.fire_sync(placed("", "")).unwrap_err()] {
        assert!(matches!(error.kind(), FireErrorKind::Layer(why) if why == "not today"), "{error:?}");
        assert!(error.point::<Placed>().is_some());
    }
    assert!(ext.allows(placed("", "")).await.is_err(), "no answer is no consent");
    assert_eq!((RAN.load(Ordering::SeqCst), jobs(&queue).await.len()), (0, 0));
}

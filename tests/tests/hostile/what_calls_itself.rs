use super::*;

#[tokio::test]
async fn a_handler_may_unregister_mute_and_open_itself_while_it_runs_and_is_dropped_after_the_fire() {
    let ext = built(with_beat(Extensions::builder())).await;
    let (own, kept) = (Arc::new(Mutex::new(None::<Registration>)), Arc::new(Mutex::new(Vec::new())));
    let (mine, mutes, dropped) = (Arc::clone(&own), Arc::clone(&kept), Arc::new(()));
    let held = Arc::clone(&dropped);
    let registration = ext
        .register_fn::<Tick>(
            "own",
            move |tick, cx| {
                let ext = cx.extensions();
                tick.seen.push(held_by(&held));
                mutes.lock().unwrap().push(ext.mute_named("own"));
                ext.breaker_of_named::<Tick>("own").unwrap().open();
                drop(mine.lock().unwrap().take());
                let nested = cx.fire_sync(Tick::default()).map_err(extensions::BoxError::from)?;
                assert!(nested.point().seen.is_empty());
                tick.seen.push(held_by(&held));
                Ok(())
            },
            at(1),
        )
        .unwrap();
    *own.lock().unwrap() = Some(registration);
    let fired = ext.fire_sync(Tick::default()).unwrap();
    assert_eq!(fired.point().seen, ["2", "2"]);
    assert_eq!(Arc::strong_count(&dropped), 1);
    assert!(!ext.has_handlers::<Tick>());
    kept.lock().unwrap().clear();
    assert!(is_quiet(&ext));
}

fn held_by(held: &Arc<()>) -> String {
    Arc::strong_count(held).to_string()
}

#[tokio::test]
async fn a_handler_may_register_another_when_it_is_dropped() {
    struct Heir(Extensions);
    impl Handler<Tick> for Heir {
        fn handle(&self, _: &mut Tick, _: &Context) -> HandlerResult {
            Ok(())
        }
    }
    impl Drop for Heir {
        fn drop(&mut self) {
            self.0.register_fn::<Tick>("heir", |_, _| Ok(()), at(1)).unwrap().keep();
        }
    }
    let ext = built(Extensions::builder()).await;
    let again = ext.clone();
    let names = ends("the unregistering", move || {
        let registration = again.register::<Tick, _>(Heir(again.clone()), at(1).name("first")).unwrap();
        drop(registration);
        let second = Heir(again.clone());
        again.unregister_all::<Tick>();
        again.register::<Tick, _>(second, at(1).name("second")).unwrap().keep();
        again.unregister_all::<Tick>();
        tests::kit::names::<Tick>(&again)
    });
    assert_eq!(names, ["heir"]);
    ext.unregister_all::<Tick>();
}

#[tokio::test]
async fn hooks_and_observers_may_fire_the_point_that_they_are_told_of() {
    let (told, hooked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None::<Extensions>)));
    let (observed, hook) = (Arc::clone(&told), Arc::clone(&hooked));
    let hook_told = Arc::clone(&told);
    let ext = built(
        Extensions::builder()
            .circuit_breaker(BreakerOptions::new().threshold(1))
            .register_fn::<Tick>("fails", |_, _| Err("no".into()), at(1))
            .on_breaker_change(move |change| {
                let ext = hook.lock().unwrap().clone().unwrap();
                let fired = ext.point(Tick::default()).unobserved().fire_sync().unwrap();
                hook_told.lock().unwrap().push(format!("{} {:?}", change.to, fired.skipped()[0].reason));
            })
            .observer(move |fire: &extensions::fire::Observed<'_>| {
                observed.lock().unwrap().push(format!("fired, error: {}", fire.error().is_some()));
            }),
    )
    .await;
    *hooked.lock().unwrap() = Some(ext.clone());
    ext.fire(Tick::default()).await.unwrap_err();
    hooked.lock().unwrap().take();
    assert_eq!(*told.lock().unwrap(), ["open CircuitOpen", "fired, error: true"]);
}

#[tokio::test]
async fn fires_nest_down_to_the_limit_on_the_stack_of_a_thread() {
    let deeper = |tick: &mut Tick, cx: &Context| {
        let error = cx.fire_sync(Tick::default()).err();
        tick.seen.extend(error.map(|error| error.to_string()));
        Ok(())
    };
    let ext = built(Extensions::builder().register_fn::<Tick>("deeper", deeper, at(1))).await;
    for muted in [false, true] {
        let _mute = muted.then(|| ext.mute_named("nobody"));
        let again = ext.clone();
        ends("the deepest fire", move || again.fire_sync(Tick::default()).unwrap());
    }
    struct Deeper;
    impl AwaitedHandler<Tick> for Deeper {
        async fn handle(&self, tick: &mut Tick, cx: &Context) -> HandlerResult {
            let ext = cx.extensions();
            let nested = ext.tenant("acme").run(ext.silenced(async { pause().await })).await;
            let () = nested;
            if let Err(error) = ext.user("7").run(cx.fire(Tick::default())).await {
                tick.seen.push(error.to_string());
            }
            Ok(())
        }
    }
    let ext = built(with_beat(Extensions::builder().register_awaited::<Tick, _>(Deeper, at(1)))).await;
    in_time("the deepest fire", ext.fire(Tick::default())).await.unwrap();
    assert!(is_quiet(&ext));
}

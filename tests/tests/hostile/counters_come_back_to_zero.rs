use super::*;

struct Waits;
impl AwaitedHandler<Tick> for Waits {
    async fn handle(&self, tick: &mut Tick, cx: &Context) -> HandlerResult {
        pause().await;
        if tick.seen.len() < 2 {
            let mut seen = tick.seen.clone();
            seen.push("outer".to_owned());
            let ext = cx.extensions();
            ext.user("7").run(cx.fire(Tick { seen })).await?;
        }
        pause().await;
        Ok(())
    }
}

struct Slowly;
impl Stage<Tick> for Slowly {
    async fn handle(&self, tick: &mut Tick, next: Next<'_, Tick>) -> HandlerResult {
        pause().await;
        next.run(tick).await?;
        pause().await;
        Ok(())
    }
}

struct Around;
impl FireLayer for Around {
    async fn fire(&self, _: &FireInfo, next: NextFire<'_>) -> HandlerResult<FireOutcome> {
        pause().await;
        let outcome = next.run().await;
        pause().await;
        outcome
    }
}

fn waiting(builder: ExtensionsBuilder) -> ExtensionsBuilder {
    with_beat(builder)
        .circuit_breaker(
            BreakerOptions::new()
                .threshold(1)
                .timeout(Duration::from_millis(1))
                .half_open_max(1)
                .successes(1),
        )
        .register_awaited::<Tick, _>(Waits, at(1))
        .register_stage::<Tick, _>(Slowly, at(2))
}

#[tokio::test]
async fn a_fire_that_is_dropped_at_any_await_leaves_nothing_behind() {
    let (clock, builder) = by_hand();
    let ext = built(waiting(builder)).await;
    let breaker = ext.breaker_of::<Tick, Waits>().unwrap();
    let call = ext.circuit_breaker("call");
    for probing in [false, true] {
        for polls in 0..40 {
            if probing {
                call.call(async { Err::<(), _>("no") }).await.ok();
                clock.advance(Duration::from_millis(1));
            }
            let fire = || ext.fire(Tick::default());
            drop_after(polls, fire()).await;
            drop_after(polls, ext.tenant("acme").run(fire())).await;
            drop_after(
                polls,
                ext.silenced(async {
                    pause().await;
                    fire().await
                }),
            )
            .await;
            drop_after(polls, ext.as_global(extensions::fire(Tick::default()))).await;
            drop_after(polls, ext.point(Tick::default()).for_tenant("acme").fire()).await;
            drop_after(polls, ext.point(Tick::default()).as_pipeline().run_report()).await;
            drop_after(polls, ext.fire_many([Tick::default(), Tick::default()])).await;
            drop_after(
                polls.min(3),
                call.call(async {
                    pause().await;
                    pause().await;
                    pause().await;
                    Ok::<_, ()>(())
                }),
            )
            .await;
            assert!(is_quiet(&ext), "after {polls} polls");
        }
    }
    // Each probe that was dropped gave its place back.
    call.call(async { Ok::<_, ()>(()) }).await.unwrap();
    assert_eq!(call.status(), BreakerStatus::Closed);
    assert_eq!(breaker.failure_count(), 0);
    in_time("a fire", ext.fire(Tick::default())).await.unwrap();
}

#[tokio::test]
async fn a_layered_fire_that_is_dropped_at_any_await_leaves_the_breaker_as_it_was() {
    let ext = built(waiting(Extensions::builder()).fire_layer(Around)).await;
    let breaker = ext.breaker_of::<Tick, Waits>().unwrap();
    for polls in 0..30 {
        drop_after(polls, ext.fire(Tick::default())).await;
        drop_after(polls, ext.point(Tick::default()).for_tenant("acme").fire()).await;
    }
    assert_eq!(breaker.status(), BreakerStatus::Closed);
    in_time("a fire", ext.fire(Tick::default())).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_scopes_and_instances_leave_nothing_behind() {
    let ext = built(with_beat(Extensions::builder())).await;
    for n in 0..10_000 {
        let scope = ext.scope(format!("import-{n}"));
        if n % 100 == 0 {
            scope.register_fn::<Beat>("scoped", |_, _| Ok(()), at(1));
        }
        drop_after(n % 2, scope.run(std::future::pending::<()>())).await;
    }
    assert!(is_quiet(&ext));
    let shared = Arc::new(());
    for _ in 0..200 {
        let held = Arc::clone(&shared);
        let handler = move |_: &mut Beat, _: &Context| {
            let _ = &held;
            Ok(())
        };
        let ext = built(Extensions::builder().register_fn::<Beat>("holds", handler, at(1))).await;
        let mute = ext.mute_named("holds");
        let breaker = ext.breaker_of_named::<Beat>("holds").unwrap();
        breaker.open();
        drop(ext);
        breaker.close();
        drop(mute);
    }
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[test]
fn changes_from_many_threads_while_others_fire_end_where_they_began() {
    let ext = tokio::runtime::Runtime::new().unwrap().block_on(built(with_beat(Extensions::builder())));
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let changing: Vec<_> = (0..4)
            .map(|thread| {
                let ext = ext.clone();
                threads.spawn(move || {
                    for n in 0..200 {
                        let name = format!("{thread}-{n}");
                        let mine = ext.register_fn::<Beat>(name.clone(), |_, _| Ok(()), at(n)).unwrap();
                        let breaker = ext.breaker_of_named::<Beat>(&name).unwrap();
                        breaker.open();
                        let mute = ext.mute_named("beat");
                        let fired = ext.fire_sync(Beat).unwrap();
                        let skipped: Vec<_> =
                            fired.skipped().iter().map(|one| one.handler.name.to_string()).collect();
                        assert!(skipped.contains(&name) && skipped.contains(&"beat".to_owned()));
                        if n % 2 == 0 {
                            drop(mine)
                        } else {
                            breaker.reset();
                            drop(mine)
                        }
                        drop(mute);
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            threads.spawn(|| {
                while !over.load(SeqCst) {
                    ext.fire_sync(Beat).unwrap();
                }
            });
        }
        let results: Vec<_> = changing.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, SeqCst);
        assert!(results.iter().all(Result::is_ok));
    });
    assert!(is_quiet(&ext));
    assert_eq!(ext.count_handlers::<Beat>(), 1);
}

//! Product 6, item by item: safety. Breaker state that is shared between processes comes later.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use extensions::breaker::{BreakerError, BreakerReport, CircuitBreaker, SharedBreakers};
use extensions::fire::SkipReason;
use extensions::job::JobState;
use extensions::prelude::*;
use extensions::queue::{Memory, QueueBackend};
use extensions::time::{Clock, ManualClock};
use extensions::{BreakerStatus, ExtensionsBuilder};
use serde::{Deserialize, Serialize};
use tests::kit::{by_hand, in_time, jobs, kind, lines, on, on_memory, skips, until, until_state, work};
use tokio::sync::{Semaphore, SemaphorePermit};

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

/// 6.1: graceful mode is one fire's, or the default; nothing of a fire is on the shared instance.
mod item_6_1_graceful {
    use super::*;

    #[derive(Clone, Default, ExtensionPoint)]
    struct Called {
        errs: bool,
        nested: Option<bool>,
        seen: Vec<&'static str>,
    }

    struct Yields(&'static str);
    impl AwaitedHandler<Called> for Yields {
        async fn handle(&self, point: &mut Called, cx: &Context) -> HandlerResult {
            for _ in 0..fastrand::u8(0..4) {
                tokio::task::yield_now().await;
            }
            if let (Some(errs), "first") = (point.nested, self.0) {
                let nested = cx.fire(Called { errs, ..Called::default() }).await;
                point.seen.push(if nested.is_ok() { "nested ok" } else { "nested err" });
            }
            point.seen.push(self.0);
            if point.errs && self.0 != "last" { Err(self.0.into()) } else { Ok(()) }
        }
    }

    fn three() -> ExtensionsBuilder {
        Extensions::builder()
            .without_circuit_breaker()
            .register_awaited::<Called, _>(Yields("first"), at(1).name("first"))
            .register_awaited::<Called, _>(Yields("second"), at(2).name("second"))
            .register_awaited::<Called, _>(Yields("last"), at(3).name("last"))
    }

    fn errs() -> Called {
        Called { errs: true, ..Called::default() }
    }

    #[tokio::test]
    async fn every_handler_runs_and_all_errors_are_collected_per_fire_or_by_default() {
        let (ext, _queue) = on_memory(three()).await;
        let fired = ext.point(errs()).graceful().fire().await.unwrap();
        assert_eq!(fired.point().seen, ["first", "second", "last"]);
        let names: Vec<_> = fired.errors().iter().map(|failure| failure.handler.name.to_string()).collect();
        assert_eq!(names, ["first", "second"]);
        assert!(!fired.is_success());
        let error = ext.fire(errs()).await.unwrap_err();
        assert_eq!(error.point::<Called>().unwrap().seen, ["first"]);
        let (ext, _queue) = on_memory(three().graceful(true)).await;
        assert_eq!(ext.fire(errs()).await.unwrap().errors().len(), 2);
        assert_eq!(ext.fire_many([errs()]).await.remove(0).unwrap().errors().len(), 2);
        assert_eq!(kind(ext.point(errs()).fail_fast().fire().await), "HandlerFailed");
    }

    #[tokio::test]
    async fn by_default_plain_handlers_go_on_behind_an_error_and_a_panic_too() {
        let step = |name: &'static str| {
            move |point: &mut Called, _: &Context| {
                point.seen.push(name);
                assert!(!point.errs || name != "panics", "boom");
                if point.errs && name == "fails" { Err("fails".into()) } else { Ok(()) }
            }
        };
        let names = ["first", "fails", "second", "panics", "last"];
        let builder = (0..).zip(names).fold(Extensions::builder().graceful(true), |builder, (rank, name)| {
            builder.register_fn::<Called>(name, step(name), at(rank))
        });
        let (ext, _queue) = on_memory(builder).await;
        for fired in [ext.fire(errs()).await.unwrap(), ext.fire_sync(errs()).unwrap()] {
            assert_eq!(fired.point().seen, names);
            let failed: Vec<_> = fired.errors().iter().map(|failure| failure.error.to_string()).collect();
            assert_eq!(failed, ["fails", "panicked: boom"]);
        }
        assert!(ext.fire(Called::default()).await.unwrap().is_success());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn concurrent_fires_of_different_modes_do_not_touch_each_other_after_errors_and_in_nested_fires() {
        let (ext, _queue) = on_memory(three()).await;
        let tasks: Vec<_> = (0..200)
            .map(|n: u32| {
                let ext = ext.clone();
                tokio::spawn(async move {
                    for round in 0..10 {
                        let (graceful, inner) =
                            ((n + round).is_multiple_of(2), (n + round).is_multiple_of(3));
                        let point = Called { nested: Some(inner), ..errs() };
                        let fire = ext.point(point);
                        let fire = if graceful { fire.graceful() } else { fire };
                        let nested = if inner { "nested err" } else { "nested ok" };
                        match fire.fire().await {
                            Ok(fired) => {
                                assert!(graceful);
                                assert_eq!(fired.point().seen, [nested, "first", "second", "last"]);
                                assert_eq!(fired.errors().len(), 2);
                            }
                            Err(error) => {
                                assert!(!graceful);
                                assert_eq!(error.point::<Called>().unwrap().seen, [nested, "first"]);
                            }
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            in_time("a task", task).await.unwrap();
        }
    }
}

/// 6.2: in strict mode a point without handlers is an error.
mod item_6_2_strict {
    use super::*;

    #[derive(Default, ExtensionPoint)]
    struct Lonely;
    #[derive(Default, ExtensionPoint)]
    struct Other;

    fn nothing(_: &mut Lonely, _: &Context) -> HandlerResult {
        Ok(())
    }

    #[tokio::test]
    async fn per_fire_and_by_default_in_every_way_of_firing() {
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        assert!(ext.fire(Lonely).await.is_ok());
        assert_eq!(kind(ext.point(Lonely).strict().fire().await), "NoHandlers");
        assert!(ext.fire(Lonely).await.is_ok(), "nothing stays on the instance");
        let (ext, _queue) = on_memory(Extensions::builder().strict(true)).await;
        assert_eq!(kind(ext.fire(Lonely).await), "NoHandlers");
        assert_eq!(kind(ext.fire_sync(Lonely)), "NoHandlers");
        assert_eq!(kind(ext.fire_many([Lonely]).await.remove(0)), "NoHandlers");
        assert_eq!(kind(ext.point(Lonely).fire_sync()), "NoHandlers");
    }

    #[tokio::test]
    async fn a_handler_of_the_scope_counts_and_only_inside() {
        let (ext, _queue) = on_memory(Extensions::builder().strict(true)).await;
        let scope = ext.scope("inside");
        scope.register_fn::<Lonely>("h", nothing, at(1));
        assert!(scope.run(async { ext.fire(Lonely).await }).await.is_ok());
        assert_eq!(kind(ext.fire(Lonely).await), "NoHandlers");
    }

    #[tokio::test]
    async fn a_point_whose_handlers_have_gone_has_none() {
        let builder = Extensions::builder().strict(true).register_fn::<Lonely>("h", nothing, at(1));
        let (ext, _queue) = on_memory(builder).await;
        assert!(ext.fire(Lonely).await.is_ok());
        ext.unregister_all::<Lonely>();
        assert_eq!(kind(ext.fire(Lonely).await), "NoHandlers");
        assert_eq!(kind(ext.fire_sync(Lonely)), "NoHandlers");
        let guard = ext.register_fn::<Lonely>("h", nothing, at(1)).unwrap();
        assert!(ext.fire(Lonely).await.is_ok());
        drop(guard);
        assert_eq!(kind(ext.fire(Lonely).await), "NoHandlers");
    }

    #[tokio::test]
    async fn a_wildcard_that_does_not_match_the_point_is_no_handler_of_it() {
        let any = |_: &AnyPoint<'_>, _: &Context| Ok(());
        let (ext, _queue) = on_memory(Extensions::builder().strict(true).on_any("Oth*", any)).await;
        assert!(ext.fire(Other).await.is_ok());
        assert_eq!(kind(ext.fire(Lonely).await), "NoHandlers");
        assert_eq!(kind(ext.fire_sync(Lonely)), "NoHandlers");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_is_that_fires_alone() {
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let tasks = (0..100).map(|n| {
            let ext = ext.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let fire = ext.point(Lonely);
                    let fire = if n % 2 == 0 { fire.strict() } else { fire };
                    assert_eq!(fire.fire().await.is_err(), n % 2 == 0);
                    tokio::task::yield_now().await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            in_time("a task", task).await.unwrap();
        }
    }
}

/// 6.3: a circuit breaker for each handler.
mod item_6_3_circuit_breakers {
    use super::*;

    #[derive(Clone, Copy, ExtensionPoint)]
    struct Charged {
        fails: bool,
    }
    #[derive(Clone, Copy, ExtensionPoint)]
    struct Refunded {
        fails: bool,
    }
    const FAILS: Charged = Charged { fails: true };
    const WORKS: Charged = Charged { fails: false };

    struct Charge;
    impl Handler<Charged> for Charge {
        fn handle(&self, point: &mut Charged, cx: &Context) -> HandlerResult {
            cx.resource::<tests::kit::Log>().unwrap().add("charge");
            if point.fails { Err("declined".into()) } else { Ok(()) }
        }
    }
    impl Handler<Refunded> for Charge {
        fn handle(&self, point: &mut Refunded, _: &Context) -> HandlerResult {
            if point.fails { Err("declined".into()) } else { Ok(()) }
        }
    }

    async fn charging(options: HandlerOptions) -> (Arc<ManualClock>, Extensions, CircuitBreaker) {
        let (clock, builder) = by_hand();
        let (ext, _queue) = on_memory(builder.register::<Charged, _>(Charge, options)).await;
        let breaker = ext.breaker_of::<Charged, Charge>().unwrap();
        (clock, ext, breaker)
    }

    /// Fires, and answers whether the handler was called.
    async fn fire(ext: &Extensions, point: Charged) -> bool {
        match ext.fire(point).await {
            Ok(fired) => assert!(fired.is_success()),
            Err(error) => assert!(point.fails && error.to_string().ends_with("declined"), "{error}"),
        }
        lines(ext) == ["charge"]
    }

    async fn open(ext: &Extensions) {
        for _ in 0..5 {
            assert!(fire(ext, FAILS).await);
        }
    }

    #[tokio::test]
    async fn five_failures_in_a_row_open_it_a_minute_later_three_successes_close_it_one_failure_opens_it_again()
     {
        let (clock, ext, breaker) = charging(HandlerOptions::new()).await;
        for _ in 0..3 {
            for failures in 1..=4 {
                assert!(fire(&ext, FAILS).await);
                assert_eq!((breaker.status(), breaker.failure_count()), (BreakerStatus::Closed, failures));
            }
            assert!(fire(&ext, WORKS).await);
            assert_eq!(breaker.failure_count(), 0, "a success in between begins the count anew");
        }
        open(&ext).await;
        assert_eq!((breaker.status(), breaker.is_available()), (BreakerStatus::Open, false));
        let fired = ext.fire(FAILS).await.unwrap();
        assert_eq!(skips(fired.skipped()), [("Charge".to_owned(), SkipReason::CircuitOpen)]);
        assert!(fired.is_success() && lines(&ext).is_empty());
        for again in 0..3 {
            clock.advance(secs(60) - Duration::from_millis(1));
            assert!(!fire(&ext, WORKS).await, "{again}");
            clock.advance(Duration::from_millis(1));
            assert_eq!((breaker.status(), breaker.is_available()), (BreakerStatus::HalfOpen, true));
            assert!(fire(&ext, WORKS).await && fire(&ext, WORKS).await && fire(&ext, FAILS).await);
            assert_eq!(breaker.status(), BreakerStatus::Open);
        }
        clock.advance(secs(60));
        for status in [BreakerStatus::HalfOpen, BreakerStatus::HalfOpen, BreakerStatus::Closed] {
            assert!(fire(&ext, WORKS).await);
            assert_eq!(breaker.status(), status);
        }
        for failures in 1..=4 {
            assert!(fire(&ext, FAILS).await);
            assert_eq!((breaker.status(), breaker.failure_count()), (BreakerStatus::Closed, failures));
        }
    }

    #[tokio::test]
    async fn it_counts_in_every_way_of_firing() {
        let (_clock, ext, breaker) = charging(at(1)).await;
        ext.fire_sync(FAILS).unwrap_err();
        ext.point(FAILS).graceful().fire().await.unwrap();
        ext.fire_many([FAILS]).await.remove(0).unwrap_err();
        ext.scope("x").run(async { ext.fire(FAILS).await }).await.unwrap_err();
        assert_eq!((breaker.failure_count(), breaker.status()), (4, BreakerStatus::Closed));
        ext.fire(FAILS).await.unwrap_err();
        assert_eq!(breaker.status(), BreakerStatus::Open);
        lines(&ext);
        ext.fire_sync(FAILS).unwrap();
        ext.point(FAILS).graceful().fire_sync().unwrap();
        ext.fire_many([FAILS]).await.remove(0).unwrap();
        ext.scope("x").run(async { ext.fire(FAILS).await }).await.unwrap();
        assert!(lines(&ext).is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_and_each_handler_on_each_point_has_its_own() {
        let panics = |_: &mut Charged, _: &Context| -> HandlerResult { panic!("boom") };
        let (ext, _queue) = on_memory(
            Extensions::builder()
                .register::<Charged, _>(Charge, at(1))
                .register::<Refunded, _>(Charge, at(1))
                .register_fn::<Charged>("panics", panics, at(2)),
        )
        .await;
        for _ in 0..5 {
            ext.fire(WORKS).await.unwrap_err();
        }
        let fired = ext.fire(WORKS).await.unwrap();
        assert_eq!(skips(fired.skipped()), [("panics".to_owned(), SkipReason::CircuitOpen)]);
        for _ in 0..5 {
            ext.fire(FAILS).await.unwrap_err();
        }
        let status = |report: &BreakerReport| (report.name.clone(), report.status);
        let expected = [
            ("Charged/Charge".to_owned(), BreakerStatus::Open),
            ("Charged/panics".to_owned(), BreakerStatus::Open),
            ("Refunded/Charge".to_owned(), BreakerStatus::Closed),
        ];
        assert_eq!(ext.breakers().iter().map(status).collect::<Vec<_>>(), expected);
        ext.fire(Refunded { fails: true }).await.unwrap_err();
        assert_eq!(ext.breaker_of::<Refunded, Charge>().unwrap().failure_count(), 1);
    }

    /// Waits inside for a permit; none means failure.
    struct Blocks {
        inside: Arc<AtomicU32>,
        gate: Arc<Semaphore>,
    }
    impl AwaitedHandler<Charged> for Blocks {
        async fn handle(&self, point: &mut Charged, _: &Context) -> HandlerResult {
            if point.fails {
                return Err("declined".into());
            }
            self.inside.fetch_add(1, Ordering::SeqCst);
            let permit = self.gate.acquire().await;
            self.inside.fetch_sub(1, Ordering::SeqCst);
            permit.map(SemaphorePermit::forget).map_err(|_| "closed".into())
        }
    }

    async fn blocking(options: HandlerOptions) -> (Extensions, Arc<AtomicU32>, Arc<Semaphore>) {
        let (clock, builder) = by_hand();
        let (inside, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let handler = Blocks { inside: Arc::clone(&inside), gate: Arc::clone(&gate) };
        let (ext, _queue) = on_memory(builder.register_awaited::<Charged, _>(handler, options)).await;
        for _ in 0..5 {
            ext.fire(FAILS).await.unwrap_err();
        }
        assert_eq!(status(&ext), BreakerStatus::Open);
        clock.advance(secs(60));
        (ext, inside, gate)
    }

    fn status(ext: &Extensions) -> BreakerStatus {
        ext.breaker_of::<Charged, Blocks>().unwrap().status()
    }

    async fn until_inside(inside: &AtomicU32, calls: u32) {
        until("calls", async || (inside.load(Ordering::SeqCst) == calls).then_some(())).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn in_half_open_three_calls_at_a_time_and_no_more_under_a_rush() {
        let (ext, inside, gate) = blocking(HandlerOptions::new()).await;
        let rush: Vec<_> = (0..50)
            .map(|_| {
                let ext = ext.clone();
                tokio::spawn(async move { ext.fire(WORKS).await.unwrap().skipped().len() })
            })
            .collect();
        until_inside(&inside, 3).await;
        let skipped = until("the others", async || {
            let ended = rush.iter().filter(|fire| fire.is_finished()).count();
            (ended == 47).then_some(ended)
        });
        assert_eq!((skipped.await, inside.load(Ordering::SeqCst)), (47, 3));
        assert!(!ext.breaker_of::<Charged, Blocks>().unwrap().is_available());
        gate.add_permits(1);
        until_inside(&inside, 2).await;
        until("a free place", async || {
            ext.breaker_of::<Charged, Blocks>().filter(CircuitBreaker::is_available)
        })
        .await;
        let fourth = tokio::spawn({
            let ext = ext.clone();
            async move { ext.fire(WORKS).await.unwrap().skipped().len() }
        });
        until_inside(&inside, 3).await;
        assert_eq!(ext.fire(WORKS).await.unwrap().skipped().len(), 1, "still three at a time");
        gate.add_permits(3);
        assert_eq!(in_time("the fourth", fourth).await.unwrap(), 0);
        let mut skipped = 0;
        for fire in rush {
            skipped += in_time("the rush", fire).await.unwrap();
        }
        assert_eq!((skipped, status(&ext)), (47, BreakerStatus::Closed));
    }

    #[tokio::test]
    async fn a_fire_that_is_dropped_in_half_open_gives_its_place_back_and_a_late_result_does_not_count() {
        let (ext, inside, gate) = blocking(HandlerOptions::new()).await;
        let mut fires: Vec<_> = (0..3)
            .map(|_| {
                let ext = ext.clone();
                tokio::spawn(async move { ext.fire(WORKS).await })
            })
            .collect();
        until_inside(&inside, 3).await;
        assert_eq!(ext.fire(WORKS).await.unwrap().skipped().len(), 1);
        let dropped = fires.remove(0);
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        assert_eq!(kind(ext.fire(FAILS).await), "HandlerFailed", "the place is free");
        assert_eq!(status(&ext), BreakerStatus::Open);
        gate.add_permits(2);
        for fire in fires {
            assert!(in_time("a late one", fire).await.unwrap().unwrap().is_success());
        }
        assert_eq!(status(&ext), BreakerStatus::Open, "results of before are too late");
    }

    #[extension_handler(Refunded)]
    #[circuit_breaker(threshold = 2, timeout = 30, half_open_max = 1)]
    fn own_numbers(point: &mut Refunded) -> HandlerResult {
        if point.fails { Err("own".into()) } else { Ok(()) }
    }
    #[extension_handler(Refunded)]
    #[circuit_breaker(off)]
    fn without(point: &mut Refunded) -> HandlerResult {
        if point.fails { Err("without".into()) } else { Ok(()) }
    }

    #[tokio::test]
    async fn attributes_override_the_instances_numbers_and_opt_out() {
        let (clock, builder) = by_hand();
        let builder = builder.discover().circuit_breaker(BreakerOptions::new().threshold(7).successes(2));
        let (ext, _queue) = on_memory(builder.register::<Refunded, _>(Charge, at(1))).await;
        let fails = async || {
            let fired = ext.point(Refunded { fails: true }).graceful().fire().await.unwrap();
            fired.errors().len()
        };
        assert_eq!([fails().await, fails().await, fails().await], [3, 3, 2], "two open the second's");
        for _ in 3..7 {
            assert_eq!(fails().await, 2);
        }
        for _ in 0..20 {
            assert_eq!(fails().await, 1, "seven open the first's, and the last has none");
        }
        assert!(ext.breaker_of_named::<Refunded>("without").is_none());
        let own = ext.breaker_of_named::<Refunded>("own_numbers").unwrap();
        clock.advance(secs(30));
        assert_eq!(own.status(), BreakerStatus::HalfOpen);
        ext.fire(Refunded { fails: false }).await.unwrap();
        ext.fire(Refunded { fails: false }).await.unwrap();
        assert_eq!(own.status(), BreakerStatus::Closed, "what it does not say is the instance's");
    }

    #[tokio::test]
    async fn an_instance_without_breakers_has_those_that_handlers_ask_for() {
        let own = at(2).name("own").circuit_breaker(BreakerOptions::new().threshold(1));
        let (ext, _queue) = on_memory(
            Extensions::builder()
                .without_circuit_breaker()
                .register::<Charged, _>(Charge, at(1))
                .register_fn::<Charged>("own", |_, _| Err("own".into()), own),
        )
        .await;
        for expected in [2, 1, 1, 1, 1, 1, 1, 1] {
            assert_eq!(ext.point(FAILS).graceful().fire().await.unwrap().errors().len(), expected);
        }
        assert!(ext.breaker_of::<Charged, Charge>().is_none() && ext.breakers().len() == 1);
        let wrong =
            Extensions::builder().circuit_breaker(BreakerOptions::new().threshold(0).half_open_max(0));
        let said = wrong.register::<Charged, _>(Charge, at(1)).build().await.unwrap_err().to_string();
        assert!(said.contains("`threshold` is 0") && said.contains("`half_open_max` is 0"), "{said}");
    }

    #[tokio::test]
    async fn one_fire_can_pass_it_by_and_counts_for_nothing() {
        let (_clock, ext, breaker) = charging(at(1)).await;
        let bypass = async |point| ext.point(point).without_circuit_breaker().fire().await.is_ok();
        for _ in 0..10 {
            assert!(!bypass(FAILS).await);
        }
        assert_eq!((breaker.status(), breaker.failure_count()), (BreakerStatus::Closed, 0));
        lines(&ext);
        open(&ext).await;
        assert!(bypass(WORKS).await && lines(&ext).len() == 1 && !bypass(FAILS).await);
        assert_eq!((breaker.status(), breaker.failure_count()), (BreakerStatus::Open, 5));
        lines(&ext);
        assert!(!fire(&ext, WORKS).await, "the next fire does not pass it by");
    }

    #[tokio::test]
    async fn opened_closed_and_reset_by_hand() {
        let (clock, ext, breaker) = charging(at(1)).await;
        breaker.open();
        clock.advance(secs(1_000_000));
        assert!(!fire(&ext, WORKS).await && breaker.status() == BreakerStatus::Open, "until it is closed");
        assert_eq!(breaker.report().retry_in, Some(Duration::MAX));
        breaker.close();
        assert!(fire(&ext, WORKS).await && breaker.is_available());
        fire(&ext, FAILS).await;
        breaker.close();
        assert_eq!(breaker.failure_count(), 1, "one that is closed stays as it is");
        breaker.reset();
        assert_eq!(breaker.failure_count(), 0);
        open(&ext).await;
        breaker.reset();
        assert!(fire(&ext, WORKS).await);
        assert_eq!((breaker.status(), breaker.failure_count()), (BreakerStatus::Closed, 0));
        let data = serde_json::to_value(ext.breakers()).unwrap();
        assert_eq!((&data[0]["name"], &data[0]["status"]), (&"Charged/Charge".into(), &"closed".into()));
    }

    #[tokio::test]
    async fn hooks_are_told_of_every_change_once_and_in_order_and_may_use_the_instance() {
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let told = Arc::clone(&seen);
        let (clock, builder) = by_hand();
        let builder = builder
            .register::<Charged, _>(Charge, at(1))
            .on_breaker_change(|_| panic!("a hook's own affair"))
            .on_breaker_change(move |change| {
                assert_eq!(change.name, "Charged/Charge");
                told.lock().unwrap().push((change.from, change.to));
            });
        let (ext, _queue) = on_memory(builder).await;
        open(&ext).await;
        clock.advance(secs(60));
        fire(&ext, FAILS).await;
        clock.advance(secs(60));
        for _ in 0..3 {
            fire(&ext, WORKS).await;
        }
        use BreakerStatus::{Closed, HalfOpen, Open};
        let expected =
            [(Closed, Open), (Open, HalfOpen), (HalfOpen, Open), (Open, HalfOpen), (HalfOpen, Closed)];
        assert_eq!(*seen.lock().unwrap(), expected);
        let again: Arc<Mutex<Option<Extensions>>> = Arc::default();
        let slot = Arc::clone(&again);
        let statuses: Arc<Mutex<Vec<_>>> = Arc::default();
        let noted = Arc::clone(&statuses);
        let builder =
            Extensions::builder().register::<Charged, _>(Charge, at(1)).on_breaker_change(move |_| {
                let ext = slot.lock().unwrap().clone().unwrap();
                noted.lock().unwrap().push(ext.breakers()[0].status);
            });
        let (ext, _queue) = on_memory(builder).await;
        *again.lock().unwrap() = Some(ext.clone());
        open(&ext).await;
        assert_eq!(*statuses.lock().unwrap(), [Open]);
        *again.lock().unwrap() = None;
    }

    #[tokio::test]
    async fn named_breakers_guard_calls_of_ones_own() {
        let (clock, builder) = by_hand();
        let (ext, _queue) = on_memory(builder).await;
        let api = ext.circuit_breaker("external-api");
        let call = async |fails: bool| {
            let called = AtomicBool::new(false);
            let result = ext
                .circuit_breaker("external-api")
                .call(async {
                    called.store(true, Ordering::SeqCst);
                    if fails { Err("503") } else { Ok(200) }
                })
                .await;
            (called.into_inner(), result)
        };
        for _ in 0..4 {
            assert!(matches!(call(true).await, (true, Err(BreakerError::Failed("503")))));
        }
        assert!(matches!(call(false).await, (true, Ok(200))));
        for _ in 0..5 {
            call(true).await.1.unwrap_err();
        }
        clock.advance(secs(20));
        let (called, refused) = call(false).await;
        assert!(!called && matches!(refused, Err(BreakerError::Open { retry_in }) if retry_in == secs(40)));
        clock.advance(secs(40));
        for status in [BreakerStatus::HalfOpen, BreakerStatus::HalfOpen, BreakerStatus::Closed] {
            assert!(call(false).await.0 && api.status() == status);
        }
        for _ in 0..5 {
            let panics = tokio::spawn({
                let api = api.clone();
                async move { api.call::<(), ()>(async { panic!("boom") }).await }
            });
            assert!(panics.await.unwrap_err().is_panic(), "a panic goes on, and counts");
        }
        assert_eq!(api.status(), BreakerStatus::Open);
        clock.advance(secs(60));
        for _ in 0..10 {
            let never = api.call::<(), ()>(std::future::pending());
            assert!(tokio::time::timeout(Duration::from_millis(1), never).await.is_err());
        }
        assert!(api.is_available(), "a call that is dropped gives its place back");
        let strict = ext.circuit_breaker_with("strict", BreakerOptions::new().threshold(1));
        strict.call::<(), _>(async { Err("no") }).await.unwrap_err();
        let states: Vec<_> =
            ext.breakers().iter().map(|report| (report.name.clone(), report.status)).collect();
        let half_open = ("external-api".to_owned(), BreakerStatus::HalfOpen);
        assert_eq!(states, [half_open, ("strict".to_owned(), BreakerStatus::Open)]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_named_breaker_in_half_open_lets_three_calls_through_at_a_time() {
        let (clock, builder) = by_hand();
        let (ext, _queue) = on_memory(builder).await;
        let api = ext.circuit_breaker("api");
        for _ in 0..5 {
            api.call::<(), _>(async { Err("503") }).await.unwrap_err();
        }
        clock.advance(secs(60));
        let (inside, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let calls: Vec<_> = (0..30)
            .map(|_| {
                let (ext, inside, gate) = (ext.clone(), Arc::clone(&inside), Arc::clone(&gate));
                tokio::spawn(async move {
                    let call = async {
                        inside.fetch_add(1, Ordering::SeqCst);
                        gate.acquire().await.map(drop)
                    };
                    ext.circuit_breaker("api").call(call).await.is_ok()
                })
            })
            .collect();
        until("the refused", async || {
            (calls.iter().filter(|call| call.is_finished()).count() == 27).then_some(())
        })
        .await;
        assert_eq!(inside.load(Ordering::SeqCst), 3);
        gate.add_permits(3);
        let mut passed = 0;
        for call in calls {
            passed += u32::from(in_time("a call", call).await.unwrap());
        }
        assert_eq!((passed, api.status()), (3, BreakerStatus::Closed));
    }

    #[tokio::test]
    async fn instances_that_share_breakers_open_and_close_together() {
        let shared = SharedBreakers::new();
        let (clock, _) = by_hand();
        let instance = async || {
            let same: Arc<dyn Clock> = Arc::clone(&clock) as _;
            let builder = Extensions::builder().clock(same).breaker_store(shared.member());
            on_memory(builder.register::<Charged, _>(Charge, at(1))).await.0
        };
        let (one, two) = (instance().await, instance().await);
        let status = |ext: &Extensions| ext.breaker_of::<Charged, Charge>().unwrap().status();
        for _ in 0..4 {
            fire(&one, FAILS).await;
            fire(&two, FAILS).await;
        }
        assert_eq!(status(&two), BreakerStatus::Closed, "each counts for itself");
        fire(&one, FAILS).await;
        assert_eq!([status(&one), status(&two)], [BreakerStatus::Open; 2]);
        assert!(!fire(&two, WORKS).await);
        clock.advance(secs(60));
        for _ in 0..3 {
            assert!(fire(&two, WORKS).await);
        }
        assert_eq!([status(&one), status(&two)], [BreakerStatus::Closed; 2]);
        assert!(fire(&one, WORKS).await);
        two.breaker_of::<Charged, Charge>().unwrap().open();
        assert!(!fire(&one, WORKS).await);
    }

    #[tokio::test]
    async fn the_breaker_of_a_handler_is_its_own_whatever_scopes_have_under_its_name() {
        let (_clock, builder) = by_hand();
        let (ext, _queue) = on_memory(builder).await;
        let scope = ext.tenant("acme");
        scope.register::<Charged, _>(Charge, at(1));
        let guard = ext.register::<Charged, _>(Charge, at(2)).unwrap();
        ext.breaker_of::<Charged, Charge>().unwrap().open();
        assert!(!fire(&ext, WORKS).await);
        ext.breaker_of_named::<Charged>("Charge").unwrap().close();
        assert!(fire(&ext, WORKS).await);
        drop(guard);
        assert!(ext.breaker_of::<Charged, Charge>().is_none());
        assert!(scope.run(fire(&ext, WORKS)).await, "the tenant's was never touched");
    }

    #[test]
    fn threads_that_fail_at_once_open_it_and_nobody_gets_through() {
        const THREADS: u32 = 8;
        let (clock, builder) = by_hand();
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let fails = move |_: &mut Charged, _: &Context| -> HandlerResult {
            counted.fetch_add(1, Ordering::SeqCst);
            Err("down".into())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (ext, _queue) = runtime.block_on(on_memory(builder.register_fn::<Charged>("h", fails, at(1))));
        for round in 0..20 {
            calls.store(0, Ordering::SeqCst);
            std::thread::scope(|threads| {
                for _ in 0..THREADS {
                    threads.spawn(|| {
                        for _ in 0..50 {
                            let _ = ext.fire_sync(FAILS);
                        }
                    });
                }
            });
            let made = calls.load(Ordering::SeqCst);
            let least = if round == 0 { 5 } else { 1 };
            assert!((least..least + THREADS).contains(&made), "{made} calls in round {round}");
            assert_eq!(ext.breakers()[0].status, BreakerStatus::Open);
            clock.advance(secs(60));
        }
    }
}

/// 6.4: the instance is muted and silenced by guards that nest, a task by `silenced(async …)`.
mod item_6_4_mute_and_silence {
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
}

/// 6.5: the breaker guards async handlers too: an open circuit leaves the jobs waiting.
mod item_6_5_async_handlers {
    use super::*;

    #[derive(Clone, Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct Shipped {
        parcel: u32,
    }

    /// What the handler depends on.
    #[derive(Default)]
    struct Carrier {
        up: AtomicBool,
        calls: AtomicU32,
    }

    struct Announce;
    impl AsyncHandler<Shipped> for Announce {
        async fn handle(&self, _: &Shipped, job: &Job) -> HandlerResult {
            let carrier = job.resource::<Carrier>().unwrap();
            carrier.calls.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if carrier.up.load(Ordering::SeqCst) { Ok(()) } else { Err("down".into()) }
        }
    }
    struct Other;
    impl AsyncHandler<Shipped> for Other {
        async fn handle(&self, _: &Shipped, _: &Job) -> HandlerResult {
            Ok(())
        }
    }

    fn announcing(builder: ExtensionsBuilder, breaker: BreakerOptions) -> (ExtensionsBuilder, Arc<Carrier>) {
        let carrier = Arc::new(Carrier::default());
        let options = AsyncOptions::new().retries(1).handler(|options| options.circuit_breaker(breaker));
        let builder = builder.register_async::<Shipped, _>(Announce, options);
        (builder.resource(Arc::clone(&carrier)), carrier)
    }

    async fn ship(ext: &Extensions, parcels: u32) {
        for fired in ext.fire_many((0..parcels).map(|parcel| Shipped { parcel })).await {
            fired.unwrap();
        }
    }

    async fn count(queue: &Arc<dyn QueueBackend>, state: JobState) -> usize {
        jobs(queue).await.iter().filter(|job| job.state == state).count()
    }

    #[tokio::test]
    async fn jobs_wait_without_an_attempt_and_run_after_the_time_out() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
        let file = extensions::queue::connect(&url).await.unwrap();
        for queue in [Arc::new(Memory::new()) as Arc<dyn QueueBackend>, file] {
            let (clock, builder) = by_hand();
            let (builder, carrier) = announcing(builder, BreakerOptions::new().threshold(2));
            let builder = builder.register_async::<Shipped, _>(Other, AsyncOptions::new());
            let (ext, queue) = on(builder, queue).await;
            ship(&ext, 6).await;
            let report = work(&ext).await;
            assert_eq!((report.failed, report.completed), (2, 6), "the other handler's jobs are not held");
            assert_eq!(carrier.calls.load(Ordering::SeqCst), 2);
            let waiting: Vec<_> =
                jobs(&queue).await.into_iter().filter(|job| job.state == JobState::Available).collect();
            assert_eq!(waiting.len(), 4);
            assert!(waiting.iter().all(|job| job.attempt == 0 && job.errors.is_empty()), "{waiting:?}");
            carrier.up.store(true, Ordering::SeqCst);
            clock.advance(secs(59));
            assert_eq!(work(&ext).await.completed, 0);
            assert_eq!(
                ext.fire(Shipped { parcel: 7 }).await.unwrap().queued().len(),
                2,
                "it is queued all the same"
            );
            clock.advance(secs(1));
            assert_eq!(work(&ext).await.completed, 6);
            assert_eq!(
                (count(&queue, JobState::Completed).await, count(&queue, JobState::Dead).await),
                (12, 2)
            );
            let breaker = ext.breaker_of::<Shipped, Announce>().unwrap();
            assert_eq!(breaker.status(), BreakerStatus::Closed);
        }
    }

    #[tokio::test]
    async fn a_failure_in_half_open_holds_the_rest_for_another_time_out() {
        let (clock, builder) = by_hand();
        let (builder, carrier) = announcing(builder, BreakerOptions::new().threshold(2));
        let (ext, queue) = on_memory(builder).await;
        ship(&ext, 8).await;
        for (calls, advance) in [(2, 60), (3, 59), (3, 1), (4, 60)] {
            work(&ext).await;
            assert_eq!(carrier.calls.load(Ordering::SeqCst), calls);
            clock.advance(secs(advance));
        }
        carrier.up.store(true, Ordering::SeqCst);
        work(&ext).await;
        assert_eq!((count(&queue, JobState::Completed).await, count(&queue, JobState::Dead).await), (4, 4));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_running_worker_takes_them_up_by_itself_and_none_has_used_more_than_its_one_attempt() {
        let breaker = BreakerOptions::new().threshold(3).timeout(Duration::from_millis(200));
        let (builder, carrier) = announcing(Extensions::builder(), breaker);
        let (ext, queue) = on_memory(builder).await;
        ship(&ext, 40).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let worker = ext.worker().concurrency(8).run_until(async { drop(stopped.await) });
        let worker = tokio::spawn(worker);
        let opened = async || {
            let breaker = ext.breaker_of::<Shipped, Announce>()?;
            (breaker.status() != BreakerStatus::Closed).then_some(())
        };
        until("the circuit to open", opened).await;
        carrier.up.store(true, Ordering::SeqCst);
        until("all jobs", async || {
            let jobs = jobs(&queue).await;
            jobs.iter().all(|job| job.state.is_final()).then_some(())
        })
        .await;
        drop(stop);
        in_time("the worker's end", worker).await.unwrap().unwrap();
        let jobs = jobs(&queue).await;
        assert!(jobs.iter().all(|job| job.attempt == 1 && job.errors.len() <= 1));
        assert_eq!(carrier.calls.load(Ordering::SeqCst), 40, "each ran once");
        assert!(count(&queue, JobState::Completed).await >= 20);
    }

    #[tokio::test]
    async fn opened_by_hand_it_holds_jobs_until_it_is_closed() {
        let (_clock, builder) = by_hand();
        let (builder, carrier) = announcing(builder, BreakerOptions::new());
        let (ext, queue) = on_memory(builder).await;
        carrier.up.store(true, Ordering::SeqCst);
        let breaker = ext.breaker_of::<Shipped, Announce>().unwrap();
        breaker.open();
        ship(&ext, 3).await;
        assert_eq!((work(&ext).await.completed, count(&queue, JobState::Available).await), (0, 3));
        breaker.close();
        let id = jobs(&queue).await[0].id;
        assert_eq!(work(&ext).await.completed, 3);
        assert_eq!(until_state(&queue, id, JobState::Completed).await.attempt, 1);
    }
}

/// 6.6: a guard that did not run denies, unless it says `on_unavailable = "allow"`; silence is never consent.
mod item_6_6_fail_closed_guards {
    use super::*;

    #[derive(Clone, Default, Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, interruptible)]
    struct Delete {
        trouble: bool,
    }

    struct Permission;
    impl Handler<Delete> for Permission {
        fn handle(&self, point: &mut Delete, _: &Context) -> HandlerResult<Verdict> {
            if point.trouble { Err("the directory is down".into()) } else { Ok(Verdict::Continue) }
        }
    }
    struct Waits(Arc<Semaphore>);
    impl AwaitedHandler<Delete> for Waits {
        async fn handle(&self, point: &mut Delete, _: &Context) -> HandlerResult<Verdict> {
            if point.trouble {
                return Err("the directory is down".into());
            }
            self.0.acquire().await.map(drop)?;
            Ok(Verdict::Continue)
        }
    }
    struct Erase;
    impl AsyncHandler<Delete> for Erase {
        async fn handle(&self, _: &Delete, _: &Job) -> HandlerResult {
            Ok(())
        }
    }

    fn guard(on_unavailable: OnUnavailable) -> HandlerOptions {
        at(1).tags(["slow"]).group("checks").on_unavailable(on_unavailable)
    }

    async fn guarded(on_unavailable: OnUnavailable) -> (Arc<ManualClock>, Extensions) {
        let (clock, builder) = by_hand();
        let builder = builder
            .register::<Delete, _>(Permission, guard(on_unavailable))
            .register_async::<Delete, _>(Erase, AsyncOptions::new());
        (clock, on_memory(builder).await.0)
    }

    /// Asks in every way, and sees that they agree and that only consent queues.
    async fn ask(ext: &Extensions) -> bool {
        let point = Delete::default;
        let allowed = ext.allows(point()).await.unwrap();
        assert_eq!(ext.point(point()).allows().await.unwrap(), allowed);
        assert_eq!(ext.point(point()).graceful().allows().await.unwrap(), allowed);
        assert_eq!(ext.point(point()).allows_sync().unwrap(), allowed);
        for fired in [ext.fire(point()).await.unwrap(), ext.fire_many([point()]).await.remove(0).unwrap()] {
            assert_eq!((fired.is_success(), fired.veto().is_none()), (allowed, allowed));
            assert_eq!(fired.queued().len(), usize::from(allowed));
            if let Some(veto) = fired.veto() {
                assert!(veto.unavailable && veto.by() == "Permission", "{veto:?}");
                assert!(veto.reason().starts_with("it could not be asked: "), "{veto:?}");
                assert_eq!(kind(fired.into_result()), "Vetoed");
            }
        }
        allowed
    }

    #[tokio::test]
    async fn a_mute_a_tag_a_group_and_an_open_circuit_deny_or_are_passed_over() {
        for (on_unavailable, allowed) in [(OnUnavailable::Deny, false), (OnUnavailable::Allow, true)] {
            let (clock, ext) = guarded(on_unavailable).await;
            assert!(ask(&ext).await);
            let muted = ext.mute::<Permission>();
            assert_eq!(ask(&ext).await, allowed, "muted by type");
            drop(muted);
            let muted = ext.mute_named("Permission");
            assert_eq!(ask(&ext).await, allowed, "muted by name");
            drop(muted);
            let disabled = ext.disable_tag("slow");
            assert_eq!(ask(&ext).await, allowed, "its tag");
            drop(disabled);
            let disabled = ext.disable_group("checks");
            assert_eq!(ask(&ext).await, allowed, "its group");
            drop(disabled);
            for _ in 0..5 {
                ext.fire(Delete { trouble: true }).await.unwrap_err();
            }
            assert_eq!(ask(&ext).await, allowed, "its circuit");
            clock.advance(secs(60));
            assert!(ask(&ext).await, "half-open asks it again");
            ext.breaker_of::<Delete, Permission>().unwrap().open();
            assert_eq!(ask(&ext).await, allowed, "its circuit, by hand");
            assert!(ext.point(Delete::default()).without_circuit_breaker().allows().await.unwrap());
        }
    }

    #[tokio::test]
    async fn an_error_or_a_panic_in_graceful_mode_denies_or_is_passed_over() {
        for (on_unavailable, allowed) in [(OnUnavailable::Deny, false), (OnUnavailable::Allow, true)] {
            let (_clock, ext) = guarded(on_unavailable).await;
            let trouble = || ext.point(Delete { trouble: true }).without_circuit_breaker();
            assert_eq!(trouble().graceful().allows().await.unwrap(), allowed);
            assert_eq!(trouble().graceful().allows_sync().unwrap(), allowed);
            assert_eq!(kind(trouble().allows().await), "HandlerFailed", "else it is an error");
            assert!(!trouble().graceful().fire().await.unwrap().is_success());
            let (ext, _queue) = on_memory(Extensions::builder().graceful(true).register_fn::<Delete>(
                "panics",
                |_, _| panic!("boom"),
                guard(on_unavailable),
            ))
            .await;
            assert_eq!(ext.allows(Delete::default()).await.unwrap(), allowed);
            let panics = |_: &Delete, _: &Context| -> bool { panic!("boom") };
            let options = guard(on_unavailable).when(panics);
            let builder = Extensions::builder().graceful(true).register::<Delete, _>(Permission, options);
            let (ext, _queue) = on_memory(builder).await;
            assert_eq!(ext.allows(Delete::default()).await.unwrap(), allowed, "its predicate panics");
        }
    }

    #[tokio::test]
    async fn so_does_a_guard_whose_places_in_half_open_are_taken() {
        for (on_unavailable, allowed) in [(OnUnavailable::Deny, false), (OnUnavailable::Allow, true)] {
            let (clock, builder) = by_hand();
            let gate = Arc::new(Semaphore::new(0));
            let waits = Waits(Arc::clone(&gate));
            let (ext, _queue) =
                on_memory(builder.register_awaited::<Delete, _>(waits, guard(on_unavailable))).await;
            for _ in 0..5 {
                ext.fire(Delete { trouble: true }).await.unwrap_err();
            }
            clock.advance(secs(60));
            let probes: Vec<_> = (0..3)
                .map(|_| {
                    let ext = ext.clone();
                    tokio::spawn(async move { ext.allows(Delete::default()).await.unwrap() })
                })
                .collect();
            let breaker = ext.breaker_of::<Delete, Waits>().unwrap();
            until("the probes", async || (!breaker.is_available()).then_some(())).await;
            assert_eq!(ext.allows(Delete::default()).await.unwrap(), allowed);
            gate.add_permits(1);
            for probe in probes {
                assert!(in_time("a probe", probe).await.unwrap());
            }
            assert!(ext.allows(Delete::default()).await.unwrap());
        }
    }

    #[tokio::test]
    async fn silence_of_the_instance_the_point_and_the_task_is_silence_and_never_consent() {
        for on_unavailable in [OnUnavailable::Deny, OnUnavailable::Allow] {
            let (_clock, ext) = guarded(on_unavailable).await;
            let silent = async || {
                assert_eq!(kind(ext.allows(Delete::default()).await), "Silenced");
                assert_eq!(kind(ext.point(Delete::default()).graceful().allows().await), "Silenced");
                assert_eq!(kind(ext.point(Delete::default()).allows_sync()), "Silenced");
                let fired = ext.fire(Delete::default()).await.unwrap();
                assert!(fired.is_silenced() && !fired.is_success() && fired.queued().is_empty());
                assert_eq!(kind(fired.into_result()), "Silenced");
            };
            let quiet = ext.silence();
            silent().await;
            drop(quiet);
            let quiet = ext.silence_point::<Delete>();
            silent().await;
            drop(quiet);
            ext.silenced(silent()).await;
            assert!(ask(&ext).await);
        }
    }

    #[tokio::test]
    async fn only_a_silence_that_allows_guards_is_consent_and_only_if_all_of_them_do() {
        let (_clock, ext) = guarded(OnUnavailable::Deny).await;
        let seeding = ext.silence().allowing_guards();
        assert!(ext.allows(Delete::default()).await.unwrap());
        let fired = ext.fire(Delete::default()).await.unwrap();
        assert!(fired.is_silenced() && fired.is_success() && fired.queued().is_empty());
        let other = ext.silence();
        assert_eq!(kind(ext.allows(Delete::default()).await), "Silenced");
        drop(other);
        let other = ext.silence_point::<Delete>().allowing_guards();
        assert!(ext.allows(Delete::default()).await.unwrap());
        ext.silenced(async { assert_eq!(kind(ext.allows(Delete::default()).await), "Silenced") }).await;
        drop((seeding, other));
        assert!(ask(&ext).await);
    }

    #[tokio::test]
    async fn a_guard_that_is_no_part_of_the_fire_and_no_guard_at_all_mean_yes() {
        let (ext, _queue) = on_memory(
            Extensions::builder()
                .environment("production")
                .register::<Delete, _>(Permission, guard(OnUnavailable::Deny).when_env(["staging"])),
        )
        .await;
        assert!(ext.allows(Delete { trouble: true }).await.unwrap());
        let muted = ext.mute::<Permission>();
        assert!(ext.allows(Delete::default()).await.unwrap(), "what is no part of it is not missed");
        drop(muted);
        ext.unregister::<Delete, Permission>();
        assert!(ext.allows(Delete::default()).await.unwrap());
        let scope = ext.tenant("strict");
        scope.register_fn::<Delete>("no", |_, _| Ok(Verdict::veto("never")), at(1));
        assert!(ext.allows(Delete::default()).await.unwrap());
        assert!(!scope.run(async { ext.allows(Delete::default()).await.unwrap() }).await);
        let _muted = ext.mute_named("no");
        assert!(ext.allows(Delete::default()).await.unwrap());
        assert!(!scope.run(async { ext.allows(Delete::default()).await.unwrap() }).await, "muted inside");
    }

    #[tokio::test]
    async fn an_async_handler_is_no_guard() {
        let (_clock, ext) = guarded(OnUnavailable::Deny).await;
        let _muted = ext.mute::<Erase>();
        let fired = ext.fire(Delete::default()).await.unwrap();
        assert!(fired.is_success() && fired.queued().is_empty());
        assert!(ext.allows(Delete::default()).await.unwrap());
        let panics = |_: &Delete, _: &Context| -> bool { panic!("boom") };
        let options = AsyncOptions::new().handler(|options| options.when(panics));
        let (ext, _queue) =
            on_memory(Extensions::builder().register_async::<Delete, _>(Erase, options)).await;
        assert!(ext.point(Delete::default()).graceful().allows().await.unwrap());
    }

    #[derive(Default, ExtensionPoint)]
    #[extension_point(interruptible)]
    struct ByAttribute;

    #[extension_handler(ByAttribute, on_unavailable = "allow", tags = ["optional"])]
    fn optional(_: &mut ByAttribute) -> Verdict {
        Verdict::Continue
    }
    #[extension_handler(ByAttribute, on_unavailable = "deny", tags = ["needed"])]
    fn needed(_: &mut ByAttribute) -> Verdict {
        Verdict::Continue
    }
    #[extension_handler(ByAttribute, tags = ["plain"])]
    async fn plain() -> Verdict {
        Verdict::Continue
    }

    #[tokio::test]
    async fn the_attribute_says_which_guards_may_be_missing_and_the_default_is_none() {
        let (ext, _queue) = on_memory(Extensions::builder().discover()).await;
        for (tag, allowed) in [("optional", true), ("needed", false), ("plain", false)] {
            let _disabled = ext.disable_tag(tag);
            assert_eq!(ext.allows(ByAttribute).await.unwrap(), allowed, "{tag}");
        }
        assert!(ext.allows(ByAttribute).await.unwrap());
    }
}

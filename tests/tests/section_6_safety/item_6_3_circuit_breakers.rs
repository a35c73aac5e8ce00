//! 6.3: a circuit breaker for each handler.

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
async fn five_failures_in_a_row_open_it_a_minute_later_three_successes_close_it_one_failure_opens_it_again() {
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
    until("calls", async || inside.load(Ordering::SeqCst) == calls).await;
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
    until("a free place", async || ext.breaker_of::<Charged, Blocks>().filter(CircuitBreaker::is_available))
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
    let wrong = Extensions::builder().circuit_breaker(BreakerOptions::new().threshold(0).half_open_max(0));
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
    let expected = [(Closed, Open), (Open, HalfOpen), (HalfOpen, Open), (Open, HalfOpen), (HalfOpen, Closed)];
    assert_eq!(*seen.lock().unwrap(), expected);
    let again: Arc<Mutex<Option<Extensions>>> = Arc::default();
    let slot = Arc::clone(&again);
    let statuses: Arc<Mutex<Vec<_>>> = Arc::default();
    let noted = Arc::clone(&statuses);
    let builder = Extensions::builder().register::<Charged, _>(Charge, at(1)).on_breaker_change(move |_| {
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
    let states: Vec<_> = ext.breakers().iter().map(|report| (report.name.clone(), report.status)).collect();
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
    until("the refused", async || calls.iter().filter(|call| call.is_finished()).count() == 27).await;
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

//! The faults of the model, each shown absent. Where a numbered item is about the same, its section's file has the details.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use extensions::BreakerStatus;
use extensions::features::StaticFlags;
use extensions::prelude::*;
use serde::{Deserialize, Serialize};
use tests::kit::{Log, by_hand, in_time, jobs, kind, lines, names, on_memory, until};
use tokio::sync::{Barrier, Semaphore};

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Ordered {
    vetoed_by: String,
    failed_by: String,
}

fn ordered(vetoed_by: &str, failed_by: &str) -> Ordered {
    Ordered { vetoed_by: vetoed_by.to_owned(), failed_by: failed_by.to_owned() }
}

fn guard(name: &'static str) -> impl Fn(&mut Ordered, &Context) -> HandlerResult<Verdict> + Send + Sync {
    move |order, cx| {
        cx.resource::<Log>().unwrap().add(name);
        if order.failed_by == name {
            return Err(format!("{name} fails").into());
        }
        Ok(if order.vetoed_by == name { Verdict::veto(format!("{name} vetoes")) } else { Verdict::Continue })
    }
}

#[extension_handler(Ordered, priority = 1)]
#[async_handler(queue = "from-the-attribute")]
async fn mails(_: &Ordered) {}

#[tokio::test]
async fn no_veto_is_lost_in_the_report() {
    for graceful in [false, true] {
        let (ext, _queue) = on_memory(
            Extensions::builder()
                .register_fn::<Ordered>("fails", guard("fails"), at(1))
                .register_fn::<Ordered>("vetoes", guard("vetoes"), at(2))
                .register_fn::<Ordered>("unreached", guard("unreached"), at(3)),
        )
        .await;
        let failed_by = if graceful { "fails" } else { "" };
        let fire = ext.point(ordered("vetoes", failed_by));
        let fired = if graceful { fire.graceful() } else { fire }.fire().await.unwrap();
        let veto = fired.veto().expect("a veto");
        assert_eq!((veto.by(), veto.reason()), ("vetoes", "vetoes vetoes"));
        assert_eq!((fired.is_success(), fired.errors().len()), (false, usize::from(graceful)));
        let data = serde_json::to_value(&fired).unwrap();
        assert_eq!((&data["success"], &data["veto"]["handler"]["name"]), (&false.into(), &"vetoes".into()));
        let error = fired.into_result().unwrap_err();
        assert_eq!(error.to_string(), "`Ordered` was vetoed by `vetoes`: vetoes vetoes");
        assert_eq!(lines(&ext), ["fails", "vetoes"]);
    }
}

#[derive(Clone, Copy, ExtensionPoint)]
struct Called {
    fails: bool,
}

struct Calls {
    inside: Arc<AtomicU32>,
    gate: Arc<Semaphore>,
}
impl AwaitedHandler<Called> for Calls {
    async fn handle(&self, point: &mut Called, _: &Context) -> HandlerResult {
        if point.fails {
            return Err("down".into());
        }
        self.inside.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.map(drop)?;
        Ok(())
    }
}

struct Circuit {
    ext: Extensions,
    clock: Arc<extensions::time::ManualClock>,
    inside: Arc<AtomicU32>,
    gate: Arc<Semaphore>,
}

impl Circuit {
    async fn new(permits: usize) -> Self {
        let (clock, builder) = by_hand();
        let (inside, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(permits)));
        let calls = Calls { inside: Arc::clone(&inside), gate: Arc::clone(&gate) };
        let (ext, _queue) = on_memory(builder.register_awaited::<Called, _>(calls, at(1))).await;
        Self { ext, clock, inside, gate }
    }

    async fn fire(&self, fails: bool) {
        assert_eq!(self.ext.fire(Called { fails }).await.is_err(), fails);
    }

    async fn fail(&self, times: u32) {
        for _ in 0..times {
            self.fire(true).await;
        }
    }

    fn status(&self) -> BreakerStatus {
        self.ext.breaker_of::<Called, Calls>().unwrap().status()
    }
}

#[tokio::test]
async fn a_breaker_closes_again_by_success() {
    let circuit = Circuit::new(1).await;
    for _ in 0..3 {
        circuit.fail(5).await;
        assert_eq!(circuit.status(), BreakerStatus::Open);
        circuit.clock.advance(secs(60));
        for _ in 0..3 {
            circuit.fire(false).await;
        }
        assert_eq!(circuit.status(), BreakerStatus::Closed);
    }
}

#[tokio::test]
async fn a_breaker_counts_consecutive_failures_only() {
    let circuit = Circuit::new(1).await;
    for _ in 0..50 {
        circuit.fail(4).await;
        circuit.fire(false).await;
        assert_eq!(circuit.status(), BreakerStatus::Closed);
    }
    circuit.fail(5).await;
    assert_eq!(circuit.status(), BreakerStatus::Open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_does_not_let_unlimited_probes_through() {
    let circuit = Circuit::new(0).await;
    circuit.fail(5).await;
    circuit.clock.advance(secs(60));
    let together = Arc::new(Barrier::new(100));
    let fires: Vec<_> = (0..100)
        .map(|_| {
            let (ext, together) = (circuit.ext.clone(), Arc::clone(&together));
            tokio::spawn(async move {
                together.wait().await;
                ext.fire(Called { fails: false }).await.unwrap().skipped().is_empty()
            })
        })
        .collect();
    let refused = async || fires.iter().filter(|fire| fire.is_finished()).count() == 97;
    until("the refused", refused).await;
    assert_eq!(circuit.inside.load(Ordering::SeqCst), 3);
    circuit.gate.add_permits(3);
    let mut probes = 0;
    for fire in fires {
        probes += u32::from(in_time("a fire", fire).await.unwrap());
    }
    assert_eq!((probes, circuit.status()), (3, BreakerStatus::Closed));
}

#[tokio::test]
async fn no_two_closures_share_one_identity() {
    let (_clock, builder) = by_hand();
    let same = |name: &'static str| {
        move |point: &mut Called, cx: &Context| -> HandlerResult {
            cx.resource::<Log>().unwrap().add(name);
            if point.fails && name == "a" { Err("a fails".into()) } else { Ok(()) }
        }
    };
    let any = |name: &'static str| {
        move |_: &AnyPoint<'_>, cx: &Context| {
            cx.resource::<Log>().unwrap().add(name);
            Ok(())
        }
    };
    let build = || {
        Extensions::builder()
            .register_fn::<Called>("a", same("a"), at(1))
            .register_fn::<Called>("b", same("b"), at(2))
            .on_any("Called", any("c"))
            .on_any("Calle?", any("d"))
    };
    let (ext, _queue) = on_memory(build()).await;
    let fire = async |ext: &Extensions| {
        ext.fire(Called { fails: false }).await.unwrap();
        lines(ext)
    };
    assert_eq!(fire(&ext).await, ["a", "b", "d", "c"]);
    let muted = ext.mute_named("a");
    assert_eq!(fire(&ext).await, ["b", "d", "c"]);
    drop(muted);
    for _ in 0..5 {
        ext.point(Called { fails: true }).graceful().fire().await.unwrap();
    }
    lines(&ext);
    assert_eq!(fire(&ext).await, ["b", "d", "c"], "each has its own circuit");
    assert!(ext.unregister_named::<Called>("b"));
    assert_eq!(fire(&ext).await, ["d", "c"]);
    let infos = build().build().await.unwrap().handlers_of::<Called>();
    let paths: std::collections::BTreeSet<_> = infos.iter().map(|info| info.path.clone()).collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
    let path = &infos[0].path;
    let (ext, _queue) = on_memory(
        builder
            .register_many(Registrations::new())
            .rename_handler(path, "renamed")
            .register_fn::<Called>("a", same("a"), at(1))
            .register_fn::<Called>("b", same("b"), at(2)),
    )
    .await;
    assert_eq!(names::<Called>(&ext), ["renamed", "b"]);
    let twice = build().register_fn::<Called>("a", same("again"), at(3)).build().await.unwrap_err();
    assert!(twice.to_string().contains("two handlers of `Called` have the name `a`"), "{twice}");
}

#[tokio::test]
async fn no_async_work_is_queued_before_a_later_inline_handler_vetoes_or_fails() {
    let (ext, queue) = on_memory(Extensions::builder().discover().register_fn::<Ordered>(
        "last",
        guard("last"),
        at(i32::MAX),
    ))
    .await;
    ext.fire(ordered("last", "")).await.unwrap();
    assert_eq!(kind(ext.fire(ordered("", "last")).await), "HandlerFailed");
    for fired in ext.fire_many([ordered("last", ""), ordered("", "last")]).await {
        assert!(fired.is_err() || fired.unwrap().queued().is_empty());
    }
    assert!(jobs(&queue).await.is_empty());
    ext.fire(ordered("", "")).await.unwrap();
    assert_eq!(jobs(&queue).await.len(), 1);
}

#[tokio::test]
async fn no_attributes_queue_is_overridden_by_configuration() {
    struct ByHand;
    impl AsyncHandler<Ordered> for ByHand {
        async fn handle(&self, _: &Ordered, _: &Job) -> HandlerResult {
            Ok(())
        }
    }
    let configured = AsyncOptions::new().queue("configured").retries(9);
    let (ext, queue) = on_memory(
        Extensions::builder()
            .discover()
            .async_defaults(configured)
            .register_async::<Ordered, _>(ByHand, AsyncOptions::new()),
    )
    .await;
    ext.fire(ordered("", "")).await.unwrap();
    let stored: Vec<_> =
        jobs(&queue).await.iter().map(|job| (job.queue.to_string(), job.max_attempts)).collect();
    assert_eq!(stored, [("from-the-attribute".to_owned(), 9), ("configured".to_owned(), 9)]);
}

#[tokio::test]
async fn no_muted_silenced_or_open_guard_counts_as_consent() {
    let (ext, queue) = on_memory(Extensions::builder().discover().register_fn::<Ordered>(
        "guard",
        guard("guard"),
        at(1).tags(["slow"]),
    ))
    .await;
    let ask = || ext.allows(ordered("", ""));
    assert!(ask().await.unwrap());
    let muted = ext.mute_named("guard");
    assert!(!ask().await.unwrap());
    drop(muted);
    let disabled = ext.disable_tag("slow");
    assert!(!ask().await.unwrap());
    drop(disabled);
    ext.breaker_of_named::<Ordered>("guard").unwrap().open();
    assert!(!ask().await.unwrap());
    ext.breaker_of_named::<Ordered>("guard").unwrap().close();
    let silent = ext.silence();
    assert_eq!(kind(ask().await), "Silenced");
    drop(silent);
    assert_eq!(kind(ext.silenced(ask()).await), "Silenced");
    assert!(!ext.point(ordered("", "guard")).graceful().allows().await.unwrap());
    assert!(ask().await.unwrap());
    assert_eq!(jobs(&queue).await.len(), 3, "twice consent, and what graceful mode queues");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graceful_mode_does_not_leak_into_another_fire() {
    struct Slow;
    impl AwaitedHandler<Called> for Slow {
        async fn handle(&self, point: &mut Called, _: &Context) -> HandlerResult {
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..200))).await;
            if point.fails { Err("slow".into()) } else { Ok(()) }
        }
    }
    let builder = Extensions::builder().without_circuit_breaker().register_awaited::<Called, _>(Slow, at(1));
    let (ext, _queue) = on_memory(builder).await;
    let fires: Vec<_> = (0..400)
        .map(|n| {
            let ext = ext.clone();
            tokio::spawn(async move {
                let fire = ext.point(Called { fails: true });
                let fire = if n % 2 == 0 { fire.graceful() } else { fire };
                (n, fire.fire().await.is_ok(), ext.fire(Called { fails: true }).await.is_ok())
            })
        })
        .collect();
    for fire in fires {
        let (n, ok, next) = in_time("a fire", fire).await.unwrap();
        assert_eq!((ok, next), (n % 2 == 0, false));
    }
}

#[derive(Default, ExtensionPoint)]
struct Seen(Vec<String>);

fn seen_by(name: String) -> impl Fn(&mut Seen, &Context) -> HandlerResult + Send + Sync {
    move |point, _| {
        point.0.push(name.clone());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tenants_handler_is_seen_by_another_tenant() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let scopes = [0, 1, 2, 3].map(|n| {
        let scope = ext.tenant(format!("t{n}"));
        scope.register_fn::<Seen>("own", seen_by(format!("t{n}")), at(1));
        scope
    });
    let fires: Vec<_> = (0..400)
        .map(|n| {
            let ext = ext.clone();
            tokio::spawn(async move {
                let (outer, inner) =
                    (ext.tenant(format!("t{}", (n + 1) % 4)), ext.tenant(format!("t{}", n % 4)));
                let inside = inner.run(async {
                    tokio::task::yield_now().await;
                    ext.fire(Seen::default()).await.unwrap().into_point().0
                });
                let seen = if n % 2 == 0 { inside.await } else { outer.run(inside).await };
                (n, seen, ext.fire(Seen::default()).await.unwrap().into_point().0)
            })
        })
        .collect();
    for fire in fires {
        let (n, seen, outside) = in_time("a fire", fire).await.unwrap();
        assert_eq!((seen, outside), (vec![format!("t{}", n % 4)], vec![]));
    }
    drop(scopes);
}

#[tokio::test]
async fn tags_and_groups_lose_duplicate_and_reorder_no_handler() {
    let builder = (0..12).fold(Extensions::builder(), |builder, n: i32| {
        let options = at(n / 2).tags([format!("tag{}", n % 3)]).group(format!("group{}", n % 4));
        builder.register_fn::<Seen>(format!("h{n:02}"), seen_by(format!("h{n:02}")), options)
    });
    let (ext, _queue) = on_memory(builder).await;
    let fire = async || ext.fire(Seen::default()).await.unwrap().into_point().0;
    let (all, registry) = (fire().await, ext.registry());
    assert_eq!(all.len(), 12);
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let (tag, group) = (random.i32(0..3), random.i32(0..4));
        let first = ext.disable_tag(format!("tag{tag}"));
        let second = ext.disable_group(format!("group{group}"));
        let again = random.bool().then(|| ext.disable_tag(format!("tag{tag}")));
        let left: Vec<_> =
            (0..12).filter(|n| n % 3 != tag && n % 4 != group).map(|n| format!("h{n:02}")).collect();
        assert_eq!(fire().await, left);
        if random.bool() {
            drop((first, second, again));
        } else {
            ext.enable_group(&format!("group{group}"));
            ext.enable_tag(&format!("tag{tag}"));
        }
        assert_eq!(fire().await, all);
    }
    assert!(Arc::ptr_eq(&registry, &ext.registry()));
}

#[tokio::test]
async fn wildcards_and_conditions_that_are_declared_are_asked() {
    let flags = Arc::new(StaticFlags::new());
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let predicate = move |point: &Seen, _: &Context| {
        counted.fetch_add(1, Ordering::SeqCst);
        point.0.is_empty()
    };
    let any = |_: &AnyPoint<'_>, cx: &Context| {
        cx.resource::<Log>().unwrap().add("wildcard");
        Ok(())
    };
    let (ext, _queue) = on_memory(
        Extensions::builder()
            .environment("staging")
            .features(Arc::clone(&flags))
            .on_any_with("Se*", any, at(9).name("w").when_feature("watch"))
            .register_fn::<Seen>("env", seen_by("env".into()), at(2).when_env(["production"]))
            .register_fn::<Seen>("feature", seen_by("feature".into()), at(3).when_feature("watch"))
            .register_fn::<Seen>("predicate", seen_by("predicate".into()), at(1).when(predicate)),
    )
    .await;
    for watch in [false, true, false] {
        flags.set("watch", watch);
        let seen = ext.fire(Seen::default()).await.unwrap().into_point().0;
        let expected: &[&str] = if watch { &["predicate", "feature"] } else { &["predicate"] };
        assert_eq!(seen, expected);
        assert_eq!(lines(&ext).len(), usize::from(watch));
    }
    let full = ext.fire(Seen(vec!["full".into()])).await.unwrap().into_point().0;
    assert_eq!((full, asked.load(Ordering::SeqCst)), (vec!["full".to_owned()], 4));
}

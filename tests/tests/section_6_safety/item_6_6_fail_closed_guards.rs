//! 6.6: a guard that did not run denies, unless it says `on_unavailable = "allow"`; silence is never consent.

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
        until("the probes", async || !breaker.is_available()).await;
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
    let (ext, _queue) = on_memory(Extensions::builder().register_async::<Delete, _>(Erase, options)).await;
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

//! Product 4.9: a plan says what a fire would do, handler by handler with the reasons, and runs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use extensions::fire::{Fate, Plan, SkipReason};
use extensions::prelude::*;
use extensions::queue::JobFilter;
use extensions::{BreakerStatus, ExtensionsBuilder};
use serde::{Deserialize, Serialize};
use tests::kit::on_memory;

#[derive(Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Placed {
    id: u64,
}

/// How many handlers ran.
#[derive(Default)]
struct Runs(AtomicU32);

fn ran(cx: &Context) {
    cx.resource::<Runs>().unwrap().0.fetch_add(1, Ordering::SeqCst);
}

struct Stock;
impl Handler<Placed> for Stock {
    fn handle(&self, _: &mut Placed, cx: &Context) -> HandlerResult {
        ran(cx);
        Ok(())
    }
}

struct Reserve;
impl AwaitedHandler<Placed> for Reserve {
    async fn handle(&self, _: &mut Placed, cx: &Context) -> HandlerResult {
        ran(cx);
        Ok(())
    }
}

struct Mail;
impl AsyncHandler<Placed> for Mail {
    async fn handle(&self, _: &Placed, _: &Job) -> HandlerResult {
        Ok(())
    }
}

fn shop() -> ExtensionsBuilder {
    let mail = AsyncOptions::new().queue("emails").delay(secs(30)).max_attempts(5).priority(2);
    Extensions::builder()
        .environment("test")
        .resource(Runs::default())
        .register::<Placed, _>(Stock, HandlerOptions::new().priority(20).tags(["stock"]))
        .register_awaited::<Placed, _>(Reserve, HandlerOptions::new().priority(10))
        .register_fn::<Placed>("big", |_, _| Ok(()), HandlerOptions::new().when::<Placed>(|p, _| p.id > 100))
        .register_fn::<Placed>("live", |_, _| Ok(()), HandlerOptions::new().when_env(["production"]))
        .register_async::<Placed, _>(Mail, mail)
}

fn skipped(plan: &Plan, handler: &str) -> Option<SkipReason> {
    plan.fate_of(handler).unwrap_or_else(|| panic!("no `{handler}` in\n{plan}")).skip_reason()
}

#[tokio::test]
async fn a_plan_lists_all_handlers_in_the_order_of_a_fire_and_runs_nothing() {
    let (ext, queue) = on_memory(shop()).await;
    let plan = ext.plan(&Placed { id: 7 });
    let names: Vec<_> = plan.handlers.iter().map(|planned| &*planned.handler.name).collect();
    assert_eq!(names, ["Reserve", "Stock", "big", "live", "Mail"]);
    let running: Vec<_> = plan.running().map(|planned| &*planned.handler.name).collect();
    assert_eq!(running, ["Reserve", "Stock", "Mail"]);
    assert_eq!(skipped(&plan, "live"), Some(SkipReason::Condition));
    assert_eq!(skipped(&plan, "big"), Some(SkipReason::Condition));
    assert!(ext.plan(&Placed { id: 101 }).fate_of("big").unwrap().is_run());
    assert_eq!(ext.resource::<Runs>().unwrap().0.load(Ordering::SeqCst), 0);
    assert!(queue.list(JobFilter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_planned_is_what_the_fire_does() {
    let (ext, _) = on_memory(shop()).await;
    let _muted = ext.mute::<Mail>();
    let _disabled = ext.disable_tag("stock");
    let plan = ext.point(Placed { id: 7 }).except::<Reserve>().plan();
    let fired = ext.point(Placed { id: 7 }).except::<Reserve>().fire().await.unwrap();
    let planned: Vec<_> =
        plan.handlers.iter().filter_map(|one| Some((&*one.handler.name, one.fate.skip_reason()?))).collect();
    let skipped: Vec<_> = fired.skipped().iter().map(|one| (&*one.handler.name, one.reason)).collect();
    assert_eq!(planned, skipped);
    assert_eq!(planned.len(), 5);
}

#[tokio::test]
async fn of_an_async_handler_a_plan_says_queue_delay_priority_and_attempts_as_this_fire_would_have_them() {
    let (ext, _) = on_memory(shop()).await;
    let plan = ext.plan(&Placed { id: 7 });
    let job = plan.handlers.last().unwrap().job.as_ref().unwrap();
    assert_eq!((job.queue.as_str(), job.delay, job.priority, job.max_attempts), ("emails", secs(30), 2, 5));
    let fire =
        ext.point(Placed { id: 7 }).on_queue("bulk").options_for::<Mail>(AsyncOptions::new().priority(9));
    let plan = fire.plan();
    let job = plan.handlers.last().unwrap().job.as_ref().unwrap();
    assert_eq!((job.queue.as_str(), job.priority), ("bulk", 9));
    let wrong = ext.point(Placed { id: 7 }).options_for::<Mail>(AsyncOptions::new().timeout(secs(1)));
    let plan = wrong.plan();
    assert!(plan.fate_of("Mail").unwrap().to_string().contains("cannot be changed for one fire"), "{plan}");
    assert!(wrong.fire().await.is_err());
}

#[tokio::test]
async fn a_plan_names_mutes_choices_and_silence() {
    let (ext, _) = on_memory(shop()).await;
    let plan = ext.point(Placed { id: 7 }).only::<Stock>().plan();
    assert_eq!(skipped(&plan, "Mail"), Some(SkipReason::NotChosen));
    assert!(plan.fate_of("Stock").unwrap().is_run());
    {
        let _muted = ext.mute::<Stock>();
        assert_eq!(skipped(&ext.plan(&Placed { id: 7 }), "Stock"), Some(SkipReason::Muted));
    }
    let plan = ext.silenced(async { ext.plan(&Placed { id: 7 }) }).await;
    assert!(plan.silenced);
    assert!(plan.handlers.iter().all(|one| one.fate.skip_reason() == Some(SkipReason::Silenced)), "{plan}");
}

#[tokio::test]
async fn a_breaker_is_asked_without_taking_a_permit() {
    let probing = BreakerOptions::new().threshold(1).timeout(secs(60)).half_open_max(1);
    let failing = Extensions::builder().register_fn::<Placed>(
        "fails",
        |point, _| if point.id == 0 { Err("no".into()) } else { Ok(()) },
        HandlerOptions::new().circuit_breaker(probing),
    );
    let clock = Arc::new(extensions::time::ManualClock::default());
    let ext = failing.clock(Arc::clone(&clock) as _).build().await.unwrap();
    ext.fire(Placed { id: 0 }).await.unwrap_err();
    assert_eq!(skipped(&ext.plan(&Placed { id: 1 }), "fails"), Some(SkipReason::CircuitOpen));
    let bypassing = ext.point(Placed { id: 1 }).without_circuit_breaker();
    assert!(bypassing.plan().fate_of("fails").unwrap().is_run());
    clock.advance(secs(61));
    for _ in 0..3 {
        assert!(ext.plan(&Placed { id: 1 }).fate_of("fails").unwrap().is_run());
    }
    let breaker = ext.breaker_of_named::<Placed>("fails").unwrap();
    assert_eq!(breaker.status(), BreakerStatus::HalfOpen);
    assert!(ext.fire(Placed { id: 1 }).await.unwrap().skipped().is_empty(), "the only permit is still there");
}

#[tokio::test]
async fn handlers_of_other_scopes_are_listed_as_skipped_and_those_of_entered_ones_run() {
    let (ext, _) = on_memory(shop()).await;
    let import = ext.scope("import-123");
    import.register_fn::<Placed>("import-log", |_, _| Ok(()), HandlerOptions::new().priority(15));
    let acme = ext.tenant("acme");
    acme.register_fn::<Placed>("acme-rules", |_, _| Ok(()), HandlerOptions::new());
    let plan = ext.plan(&Placed { id: 7 });
    assert_eq!(skipped(&plan, "import-log"), Some(SkipReason::Scope));
    assert_eq!(skipped(&plan, "acme-rules"), Some(SkipReason::Scope));
    let names: Vec<_> = plan.handlers.iter().map(|planned| &*planned.handler.name).collect();
    assert_eq!(names[..4], ["Reserve", "import-log", "Stock", "acme-rules"]);
    let scope = |plan: &Plan, at: usize| plan.handlers[at].scope.clone();
    assert_eq!((scope(&plan, 1), scope(&plan, 0)), (Some("import-123".into()), None));
    assert_eq!(scope(&plan, 3).as_deref(), Some("tenant acme"));
    let plan = import.run(async { ext.point(Placed { id: 7 }).for_tenant("acme").plan() }).await;
    assert!(plan.fate_of("import-log").unwrap().is_run(), "{plan}");
    assert!(plan.fate_of("acme-rules").unwrap().is_run(), "{plan}");
    drop(import);
    assert!(ext.plan(&Placed { id: 7 }).fate_of("import-log").is_none());
}

#[tokio::test]
async fn a_panicking_predicate_is_shown_as_such_and_ends_what_is_not_graceful() {
    let options = HandlerOptions::new().priority(15).when::<Placed>(|_, _| panic!("boom"));
    let (ext, _) = on_memory(shop().register_fn::<Placed>("odd", |_, _| Ok(()), options)).await;
    let plan = ext.plan(&Placed { id: 7 });
    assert!(matches!(plan.fate_of("odd"), Some(Fate::Fails { error }) if error.is_panic()), "{plan}");
    assert!(plan.fate_of("Reserve").unwrap().is_run());
    assert!(matches!(plan.fate_of("Stock"), Some(Fate::NotReached)));
    assert!(matches!(plan.fate_of("Mail"), Some(Fate::NotReached)));
    let plan = ext.point(Placed { id: 7 }).graceful().plan();
    assert!(plan.fate_of("Stock").unwrap().is_run());
    assert!(plan.fate_of("Mail").unwrap().is_run());
}

#[derive(ExtensionPoint)]
#[extension_point(interruptible)]
struct Submit;

#[tokio::test]
async fn a_guard_that_cannot_be_asked_ends_the_plan_where_it_would_end_the_fire() {
    let yes = |_: &mut Submit, _: &Context| Ok(Verdict::Continue);
    let at = |priority| HandlerOptions::new().priority(priority);
    let ext = Extensions::builder()
        .register_fn::<Submit>("lenient", yes, at(1).on_unavailable(OnUnavailable::Allow))
        .register_fn::<Submit>("guard", yes, at(2))
        .register_fn::<Submit>("last", yes, at(3))
        .build()
        .await
        .unwrap();
    let (_lenient, _guard) = (ext.mute_named("lenient"), ext.mute_named("guard"));
    let plan = ext.plan(&Submit);
    assert_eq!(skipped(&plan, "lenient"), Some(SkipReason::Muted));
    assert_eq!(skipped(&plan, "guard"), Some(SkipReason::Muted));
    assert!(matches!(plan.fate_of("last"), Some(Fate::NotReached)), "{plan}");
    assert_eq!(ext.fire(Submit).await.unwrap().veto().unwrap().by(), "guard");
}

#[tokio::test]
async fn a_plan_reads_as_a_table_and_serialises() {
    let (ext, _) = on_memory(shop()).await;
    let _muted = ext.mute::<Stock>();
    let import = ext.scope("import-1");
    import.register_fn::<Placed>("import", |_, _| Ok(()), HandlerOptions::new().priority(200));
    let plan = ext.plan(&Placed { id: 7 });
    let table = [
        "Placed",
        "    10  Reserve  awaited   runs",
        "    20  Stock    inline    skipped: muted",
        "   100  big      inline    skipped: a condition does not hold",
        "   100  live     inline    skipped: a condition does not hold",
        "   200  import   inline    skipped: it belongs to another scope (scope import-1)",
        "   100  Mail     async     is queued: queue emails, after 30s, priority 2, at most 5 attempts",
    ];
    assert_eq!(plan.to_string(), table.join("\n"));
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["handlers"][1]["fate"], serde_json::json!({ "is": "skipped", "reason": "muted" }));
    assert_eq!(json["handlers"][5]["job"]["queue"], "emails");
    let nobody = Extensions::builder().build().await.unwrap();
    assert_eq!(nobody.plan(&Placed { id: 7 }).to_string(), "Placed: no handlers");
}

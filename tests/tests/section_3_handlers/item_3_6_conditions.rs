//! 3.6: conditions by the environment's name, by feature flag, by predicate at fire time.

use extensions::features::{FlagFn, StaticFlags};

use super::*;

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Billed {
    cents: u64,
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct ByHand {
    cents: u64,
}

#[extension_handler(Billed)]
#[when(env = "production")]
fn a_production(_: &mut Billed, log: Res<Log>) {
    log.add("production");
}
#[when(env = ["staging", "production"])]
#[extension_handler(Billed)]
fn b_not_testing(_: &mut Billed, log: Res<Log>) {
    log.add("not testing");
}
#[extension_handler(Billed)]
#[when(feature = "new-billing")]
async fn c_new(log: Res<Log>) {
    log.add("new");
}
#[extension_handler(Billed, name = "d_old")]
#[when(not_feature = "new-billing")]
struct Old;
impl Handler<Billed> for Old {
    fn handle(&self, _: &mut Billed, cx: &Context) -> HandlerResult {
        cx.resource::<Log>().unwrap().add("old");
        Ok(())
    }
}
#[extension_handler(Billed)]
#[when(predicate = is_large)]
fn e_large(_: &mut Billed, log: Res<Log>) {
    log.add("large");
}
#[extension_handler(Billed)]
#[async_handler]
#[when(feature = "new-billing", predicate = is_large)]
async fn f_job(log: Res<Log>) {
    log.add("job");
}

fn is_large(billed: &Billed, _: &Context) -> bool {
    billed.cents > 100
}

struct Job7;
impl AsyncHandler<ByHand> for Job7 {
    async fn handle(&self, _: &ByHand, job: &Job) -> HandlerResult {
        job.resource::<Log>().unwrap().add("job");
        Ok(())
    }
}

fn by_registration() -> ExtensionsBuilder {
    let large = |point: &ByHand, _: &Context| point.cents > 100;
    let new = HandlerOptions::new;
    Extensions::builder()
        .register_fn::<ByHand>("a", note("production"), new().when_env(["production"]))
        .register_fn::<ByHand>("b", note("not testing"), new().when_env(["staging", "production"]))
        .register_fn::<ByHand>("c", note("new"), new().when_feature("new-billing"))
        .register_fn::<ByHand>("d", note("old"), new().when_not_feature("new-billing"))
        .register_fn::<ByHand>("e", note("large"), new().when(large))
        .register_async::<ByHand, _>(
            Job7,
            AsyncOptions::new().handler(move |options| options.when_feature("new-billing").when(large)),
        )
}

const CASES: [(&str, bool, u64, &[&str]); 6] = [
    ("production", true, 101, &["production", "not testing", "new", "large", "job"]),
    ("production", false, 101, &["production", "not testing", "old", "large"]),
    ("staging", true, 100, &["not testing", "new"]),
    ("staging", false, 100, &["not testing", "old"]),
    ("testing", true, 100, &["new"]),
    ("testing", false, 101, &["old", "large"]),
];

#[tokio::test]
async fn by_attribute_and_by_hand_they_decide_alike_and_the_report_says_so() {
    for (environment, new, cents, expected) in CASES {
        let flags = || StaticFlags::new().with("new-billing", new);
        let case = format!("{environment}, {new}, {cents}");
        let (ext, _queue) = on_memory(discovered().environment(environment).features(flags())).await;
        let fired = ext.fire(Billed { cents }).await.unwrap();
        work(&ext).await;
        assert_eq!(lines(&ext), expected, "{case}");
        assert_eq!(fired.skipped().len(), 6 - expected.len(), "{case}");
        assert!(fired.skipped().iter().all(|skipped| skipped.reason == SkipReason::Condition), "{case}");

        let (ext, _queue) = on_memory(by_registration().environment(environment).features(flags())).await;
        let fired = ext.fire(ByHand { cents }).await.unwrap();
        work(&ext).await;
        assert_eq!(lines(&ext), expected, "{case}");
        assert!(fired.skipped().iter().all(|skipped| skipped.reason == SkipReason::Condition), "{case}");
    }
}

#[tokio::test]
async fn flags_are_asked_at_every_fire_with_whom_it_is_for() {
    let flags = Arc::new(StaticFlags::new());
    let (ext, _queue) = on_memory(by_registration().environment("none").features(Arc::clone(&flags))).await;
    for (active, expected) in [(false, "old"), (true, "new"), (false, "old")] {
        flags.set("new-billing", active);
        ext.fire(ByHand { cents: 0 }).await.unwrap();
        assert_eq!(lines(&ext), [expected]);
    }
    let for_acme = FlagFn::new(|feature, scope| {
        feature == "new-billing"
            && [scope.tenant(), scope.user(), scope.request(), scope.scope()]
                == ["acme", "7", "r1", "import"].map(Some)
    });
    let (ext, _queue) = on_memory(by_registration().environment("none").features(for_acme)).await;
    let fire = async || {
        ext.fire(ByHand { cents: 0 }).await.unwrap();
        lines(&ext)
    };
    let (acme, user, request, import) =
        (ext.tenant("acme"), ext.user("7"), ext.request("r1"), ext.scope("import"));
    assert_eq!(acme.run(fire()).await, ["old"]);
    assert_eq!(import.run(acme.run(request.run(user.run(fire())))).await, ["new"]);
    assert_eq!(ext.tenant("other").run(import.run(request.run(user.run(fire())))).await, ["old"]);
}

#[tokio::test]
async fn variables_of_the_process_name_the_environment_and_the_flags() {
    const EXPECTED: &str = "SECTION_3_EXPECTS";
    if let Ok(expected) = std::env::var(EXPECTED) {
        let (ext, _queue) = on_memory(by_registration()).await;
        ext.fire(ByHand { cents: 0 }).await.unwrap();
        assert_eq!(lines(&ext).join(","), expected);
        return;
    }
    let name = "item_3_6_conditions::variables_of_the_process_name_the_environment_and_the_flags";
    for (environment, flag, expected) in [
        (None, None, "production,not testing,old"),
        (Some("staging"), Some("on"), "not testing,new"),
        (Some("testing"), Some("off"), "old"),
    ] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args([name, "--exact", "--test-threads=1"]).env(EXPECTED, expected);
        child.env_remove("EXTENSIONS_ENV").env_remove("EXTENSIONS_FEATURE_NEW_BILLING");
        child.envs(environment.map(|name| ("EXTENSIONS_ENV", name)));
        child.envs(flag.map(|flag| ("EXTENSIONS_FEATURE_NEW_BILLING", flag)));
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{expected}: {said}");
    }
}

#[tokio::test]
async fn a_predicate_sees_the_point_as_the_handlers_before_left_it_and_the_context() {
    let raise = |point: &mut ByHand, _: &Context| {
        point.cents += 100;
        Ok(())
    };
    let for_acme = |point: &ByHand, cx: &Context| point.cents == 107 && cx.tenant() == Some("acme");
    let (ext, _queue) =
        on_memory(Extensions::builder().register_fn::<ByHand>("raise", raise, at(1)).register_fn::<ByHand>(
            "asked",
            note("asked"),
            at(2).when(for_acme),
        ))
        .await;
    for (cents, tenant, expected) in [(7, "acme", 1), (7, "other", 0), (8, "acme", 0)] {
        ext.point(ByHand { cents }).for_tenant(tenant).fire().await.unwrap();
        assert_eq!(lines(&ext).len(), expected, "{cents} {tenant}");
    }
}

#[tokio::test]
async fn a_predicate_that_panics_is_an_error_of_its_handler_and_one_for_another_point_stops_start_up() {
    let panics = |_: &ByHand, _: &Context| -> bool { panic!("cannot say") };
    let (ext, queue) = on_memory(by_registration().environment("none").register_fn::<ByHand>(
        "z",
        note("z"),
        at(200).when(panics),
    ))
    .await;
    let error = ext.fire(ByHand { cents: 0 }).await.unwrap_err();
    assert_eq!(error.to_string(), "firing `ByHand` failed: `z`: panicked: cannot say");
    assert!(jobs(&queue).await.is_empty());
    let wrong = Extensions::builder().register_fn::<Billed>(
        "wrong",
        note("wrong"),
        HandlerOptions::new().when(|_: &ByHand, _: &Context| true),
    );
    let said = wrong.build().await.unwrap_err().to_string();
    assert!(said.contains(".when::<Billed>(") && said.contains("`ByHand`"), "{said}");
}

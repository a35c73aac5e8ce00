//! Product 3, item by item: handlers and registration.
//!
//! Every handler that is attached by attribute stands in a module of its item. Tests that take in all of them give a [`Log`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use extensions::ExtensionsBuilder;
use extensions::fire::SkipReason;
use extensions::job::JobState;
use extensions::prelude::*;
use extensions::queue::Memory;
use serde::{Deserialize, Serialize};
use tests::kit::{Log, by_hand, in_time, jobs, lines, names, on_memory, skips, until, until_state, work};

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

/// What handlers of this file want to be given.
struct Wanted(u32);

/// Everything that is linked into this file.
fn discovered() -> ExtensionsBuilder {
    Extensions::builder().discover().resource(Wanted(3))
}

/// Notes who is called.
fn note<P: ExtensionPoint<Output = ()>>(
    what: &'static str,
) -> impl Fn(&mut P, &Context) -> HandlerResult + Send + Sync + 'static {
    move |_, cx| {
        cx.resource::<Log>().unwrap().add(what);
        Ok(())
    }
}

/// 3.1: by attribute on a unit struct, a struct with injected fields, a function, sync or async; on several points.
mod item_3_1_by_attribute {
    use super::*;

    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct First;
    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct Second;

    #[extension_handler(First, priority = 1)]
    struct Unit;
    impl Handler<First> for Unit {
        fn handle(&self, _: &mut First, cx: &Context) -> HandlerResult {
            cx.resource::<Log>().unwrap().add("unit");
            Ok(())
        }
    }

    #[extension_handler(First, priority = 2)]
    #[extension_handler(Second, priority = 2, awaited)]
    struct Injected {
        #[inject]
        log: Arc<Log>,
        calls: AtomicU32,
    }
    impl Handler<First> for Injected {
        fn handle(&self, _: &mut First, _: &Context) -> HandlerResult {
            self.log.add(format!("injected {}", self.calls.fetch_add(1, Ordering::Relaxed)));
            Ok(())
        }
    }
    impl AwaitedHandler<Second> for Injected {
        async fn handle(&self, _: &mut Second, _: &Context) -> HandlerResult {
            tokio::task::yield_now().await;
            self.log.add(format!("awaited {}", self.calls.fetch_add(1, Ordering::Relaxed)));
            Ok(())
        }
    }

    #[extension_handler(First, priority = 3)]
    fn function(_: &mut First, log: Res<Log>) {
        log.add("function");
    }

    #[extension_handler(Second, priority = 3)]
    #[extension_handler(First, priority = 4)]
    async fn on_both(log: Res<Log>) {
        log.add("async function");
    }

    #[extension_handler(First)]
    #[async_handler(queue = "later")]
    async fn queued(_: &First, log: Res<Log>) {
        log.add("queued function");
    }

    #[tokio::test]
    async fn every_form_runs_and_one_value_serves_all_its_points() {
        let (ext, _queue) = on_memory(discovered()).await;
        ext.fire(First).await.unwrap();
        assert_eq!(lines(&ext), ["unit", "injected 0", "function", "async function"]);
        ext.fire(Second).await.unwrap();
        assert_eq!(lines(&ext), ["awaited 1", "async function"]);
        let worker = ext.worker().queues(["later"]).stop_when_empty().run_until(std::future::pending());
        assert_eq!(in_time("the job", worker).await.unwrap().completed, 1);
        assert_eq!(lines(&ext), ["queued function"]);
    }
}

/// 3.2: what is linked is found, and the order of linking never shows.
mod item_3_2_found_at_link_time {
    use super::*;

    #[derive(ExtensionPoint)]
    struct Linked(Vec<&'static str>);

    #[extension_handler(Linked)]
    fn c_is_written_first(point: &mut Linked) {
        point.0.push("c");
    }
    #[extension_handler(Linked)]
    fn a_is_written_second(point: &mut Linked) {
        point.0.push("a");
    }
    #[extension_handler(Linked, priority = 99)]
    fn z_runs_before(point: &mut Linked) {
        point.0.push("z");
    }
    #[extension_handler(Linked)]
    fn b_is_written_last(point: &mut Linked) {
        point.0.push("b");
    }

    #[tokio::test]
    async fn they_run_by_priority_and_name_and_only_where_they_are_discovered() {
        let (ext, _queue) = on_memory(discovered()).await;
        assert_eq!(ext.fire(Linked(vec![])).await.unwrap().point().0, ["z", "a", "b", "c"]);
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        assert!(ext.fire(Linked(vec![])).await.unwrap().point().0.is_empty());
    }
}

/// 3.3: priorities are any `i32`, lower first, 100 where nothing is said.
mod item_3_3_priorities {
    use super::*;

    #[derive(ExtensionPoint)]
    struct Ranked(Vec<i32>);

    #[tokio::test]
    async fn all_of_i32_is_in_order_and_the_default_is_a_hundred() {
        let push = |value| {
            move |point: &mut Ranked, _: &Context| {
                point.0.push(value);
                Ok(())
            }
        };
        let ranks = [200, i32::MAX, 99, -1, i32::MIN, 101, 0, 50];
        let builder = ranks.iter().fold(Extensions::builder(), |builder, &rank| {
            builder.register_fn::<Ranked>(format!("at{rank}"), push(rank), at(rank))
        });
        let builder = builder.register_fn::<Ranked>("default", push(100), HandlerOptions::new());
        let (ext, _queue) = on_memory(builder).await;
        let order = ext.fire(Ranked(vec![])).await.unwrap().into_point().0;
        assert_eq!(order, [i32::MIN, -1, 0, 50, 99, 100, 101, 200, i32::MAX]);
    }
}

/// 3.4: by hand at start-up and on a running instance, where a guard unregisters unless it is kept.
mod item_3_4_by_hand {
    use super::*;

    #[derive(Clone, Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct Done(u32);

    struct Plain;
    impl Handler<Done> for Plain {
        fn handle(&self, _: &mut Done, cx: &Context) -> HandlerResult {
            cx.resource::<Log>().unwrap().add("plain");
            Ok(())
        }
    }
    struct Waits;
    impl AwaitedHandler<Done> for Waits {
        async fn handle(&self, _: &mut Done, cx: &Context) -> HandlerResult {
            cx.resource::<Log>().unwrap().add("waits");
            Ok(())
        }
    }
    struct Works;
    impl AsyncHandler<Done> for Works {
        async fn handle(&self, done: &Done, job: &Job) -> HandlerResult {
            job.resource::<Log>().unwrap().add(format!("works {}", done.0));
            Ok(())
        }
    }

    fn all() -> Registrations {
        Registrations::in_group("all")
            .register::<Done, _>(Plain, at(2))
            .register_awaited::<Done, _>(Waits, at(1))
            .register_fn::<Done>("closure", note("closure"), at(3).group("mine"))
            .register_async::<Done, _>(Works, AsyncOptions::new())
            .on_any("Don?", |any: &AnyPoint<'_>, cx: &Context| {
                cx.resource::<Log>().unwrap().add(any.name());
                Ok(())
            })
    }

    const ALL: [&str; 5] = ["waits", "plain", "closure", "Done", "works 7"];

    async fn fire_and_work(ext: &Extensions) -> Vec<String> {
        ext.fire(Done(7)).await.unwrap();
        work(ext).await;
        lines(ext)
    }

    #[tokio::test]
    async fn at_start_up_one_by_one_and_as_a_list_in_a_group() {
        let (ext, _queue) = on_memory(
            Extensions::builder()
                .register::<Done, _>(Plain, at(2))
                .register_awaited::<Done, _>(Waits, at(1))
                .register_fn::<Done>("closure", note("closure"), at(3))
                .on_any("Don?", |any: &AnyPoint<'_>, cx: &Context| {
                    cx.resource::<Log>().unwrap().add(any.name());
                    Ok(())
                })
                .register_async::<Done, _>(Works, AsyncOptions::new()),
        )
        .await;
        assert_eq!(fire_and_work(&ext).await, ALL);
        let (ext, _queue) = on_memory(Extensions::builder().register_many(all())).await;
        assert_eq!(fire_and_work(&ext).await, ALL);
        let groups: Vec<_> = ext.handlers_of::<Done>().iter().map(|info| info.group.clone()).collect();
        assert_eq!(groups.iter().filter(|group| group.as_deref() == Some("all")).count(), 4, "{groups:?}");
        assert_eq!(groups.iter().filter(|group| group.as_deref() == Some("mine")).count(), 1, "{groups:?}");
    }

    #[tokio::test]
    async fn on_a_running_instance_they_go_with_their_guard_and_leave_nothing() {
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let start = ext.registry();
        let guard = ext.register_many(all()).unwrap();
        assert_eq!(fire_and_work(&ext).await, ALL);
        drop(guard);
        assert!(fire_and_work(&ext).await.is_empty());
        assert!(Arc::ptr_eq(&ext.registry(), &start), "the instance is as it was");
        let one = ext.register::<Done, _>(Plain, at(2)).unwrap();
        let two = ext.register_awaited::<Done, _>(Waits, at(1)).unwrap();
        let three = ext.register_fn::<Done>("closure", note("closure"), at(3)).unwrap();
        assert_eq!(fire_and_work(&ext).await, ["waits", "plain", "closure"]);
        drop(one);
        assert_eq!(fire_and_work(&ext).await, ["waits", "closure"]);
        drop((three, two));
        assert!(Arc::ptr_eq(&ext.registry(), &start));
    }

    #[tokio::test]
    async fn a_kept_one_stays_until_it_is_unregistered_by_type_by_name_or_with_all() {
        let (ext, _queue) = on_memory(Extensions::builder().register::<Done, _>(Plain, at(2))).await;
        ext.register_many(all_but_plain()).unwrap().keep();
        assert_eq!(fire_and_work(&ext).await, ALL);
        assert!(ext.unregister::<Done, Waits>() && !ext.unregister::<Done, Waits>());
        assert!(ext.unregister_named::<Done>("closure") && !ext.unregister_named::<Done>("closure"));
        assert_eq!(fire_and_work(&ext).await, ["plain", "Done", "works 7"]);
        assert_eq!(ext.unregister_all::<Done>(), 3);
        assert!(fire_and_work(&ext).await.is_empty() && !ext.has_handlers::<Done>());
        let again = ext.register::<Done, _>(Plain, at(1)).unwrap();
        assert_eq!(
            fire_and_work(&ext).await,
            ["plain"],
            "what was taken off does not come back with another"
        );
        drop(again);
    }

    fn all_but_plain() -> Registrations {
        Registrations::new()
            .register_awaited::<Done, _>(Waits, at(1))
            .register_fn::<Done>("closure", note("closure"), at(3))
            .register_async::<Done, _>(Works, AsyncOptions::new())
            .on_any("Don?", |any: &AnyPoint<'_>, cx: &Context| {
                cx.resource::<Log>().unwrap().add(any.name());
                Ok(())
            })
    }

    #[tokio::test]
    async fn a_list_of_which_one_cannot_be_registers_nothing() {
        let (ext, _queue) =
            on_memory(Extensions::builder().register_fn::<Done>("taken", note("taken"), at(1))).await;
        let start = ext.registry();
        let list = Registrations::new()
            .register::<Done, _>(Plain, at(2))
            .register_fn::<Done>("taken", note("again"), at(3))
            .register_async::<Done, _>(Works, AsyncOptions::new().retries(0));
        let said = ext.register_many(list).unwrap_err().to_string();
        assert!(said.contains("have the name `taken`") && said.contains("`retries` is 0"), "{said}");
        assert_eq!(fire_and_work(&ext).await, ["taken"]);
        assert!(Arc::ptr_eq(&ext.registry(), &start));
    }

    #[tokio::test]
    async fn an_async_one_without_a_queue_is_refused_on_a_running_instance_too() {
        let ext = Extensions::builder().build().await.unwrap();
        let error = ext.register_async::<Done, _>(Works, AsyncOptions::new()).unwrap_err();
        assert!(error.to_string().contains(".queue_url("), "{error}");
    }

    #[tokio::test]
    async fn a_running_worker_runs_the_jobs_of_an_async_one_that_comes_later() {
        let (ext, queue) = on_memory(Extensions::builder().register::<Done, _>(Plain, at(2))).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let worker = tokio::spawn(ext.worker().run_until(async { drop(stopped.await) }));
        until("the worker", async || (!queue.workers().await.unwrap().is_empty()).then_some(())).await;
        for round in 0..3 {
            let guard = ext.register_async::<Done, _>(Works, AsyncOptions::new()).unwrap();
            let id = ext.fire(Done(round)).await.unwrap().queued()[0].id();
            until_state(&queue, id, JobState::Completed).await;
            drop(guard);
            assert!(ext.fire(Done(9)).await.unwrap().queued().is_empty());
        }
        drop(stop);
        assert_eq!(in_time("the worker's end", worker).await.unwrap().unwrap().completed, 3);
    }

    #[tokio::test]
    async fn the_jobs_of_an_async_one_that_went_wait_for_it() {
        let (ext, queue) = on_memory(Extensions::builder()).await;
        let guard = ext.register_async::<Done, _>(Works, AsyncOptions::new()).unwrap();
        let id = ext.fire(Done(1)).await.unwrap().queued()[0].id();
        drop(guard);
        assert_eq!(work(&ext).await.completed, 0);
        assert_ne!(tests::kit::job(&queue, id).await.state, JobState::Completed);
        let _back = ext.register_async::<Done, _>(Works, AsyncOptions::new()).unwrap();
        assert_eq!(work(&ext).await.completed, 1);
        assert_eq!(lines(&ext), ["works 1"]);
    }

    #[tokio::test]
    async fn a_handler_may_register_and_unregister_others_while_its_fire_goes_on_as_it_began() {
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let changes = |_: &mut Done, cx: &Context| -> HandlerResult {
            let ext = cx.extensions();
            ext.unregister_named::<Done>("gone");
            ext.register_fn::<Done>("new", note("new"), at(4))?.keep();
            Ok(())
        };
        let list = Registrations::new().register_fn::<Done>("changes", changes, at(1)).register_fn::<Done>(
            "gone",
            note("gone"),
            at(2),
        );
        ext.register_many(list).unwrap().keep();
        ext.fire(Done(0)).await.unwrap();
        assert_eq!(lines(&ext), ["gone"]);
        ext.unregister_named::<Done>("changes");
        ext.fire(Done(0)).await.unwrap();
        assert_eq!(lines(&ext), ["new"]);
    }
}

/// 3.5: resources are taken at start-up; all that is missing is one error, before anything runs.
mod item_3_5_resources {
    use super::*;

    #[derive(ExtensionPoint)]
    struct Given;

    struct Absent;

    static MADE: AtomicU32 = AtomicU32::new(0);

    #[extension_handler(Given)]
    struct Takes {
        #[inject]
        wanted: Arc<Wanted>,
        #[inject]
        maybe: Option<Arc<Absent>>,
    }
    impl Handler<Given> for Takes {
        fn handle(&self, _: &mut Given, cx: &Context) -> HandlerResult {
            assert!(self.maybe.is_none());
            cx.resource::<Log>().unwrap().add(format!("wanted {}", self.wanted.0));
            MADE.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    #[extension_handler(Given)]
    fn by_parameter(_: &mut Given, wanted: Res<Wanted>, log: Res<Log>) {
        log.add(format!("parameter {}", wanted.0));
    }

    #[tokio::test]
    async fn fields_and_parameters_are_given_and_all_that_is_missing_is_named_at_once() {
        let (ext, _queue) = on_memory(discovered()).await;
        ext.fire(Given).await.unwrap();
        assert_eq!(lines(&ext), ["wanted 3", "parameter 3"]);
        let before = MADE.load(Ordering::SeqCst);
        let error = Extensions::builder().discover().queue(Memory::new()).build().await.unwrap_err();
        let said = error.to_string();
        for handler in ["item_3_5_resources::Takes`", "item_3_5_resources::by_parameter`"] {
            let line = said.lines().find(|line| line.contains(handler) && line.contains("::Wanted`"));
            assert!(line.is_some_and(|line| line.contains(".resource(…)")), "{handler}: {said}");
        }
        assert!(!said.contains("Absent"), "{said}");
        assert_eq!(MADE.load(Ordering::SeqCst), before);
    }
}

/// 3.6: conditions by the environment's name, by feature flag, by predicate at fire time.
mod item_3_6_conditions {
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
        let (ext, _queue) =
            on_memory(by_registration().environment("none").features(Arc::clone(&flags))).await;
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
        let (ext, _queue) = on_memory(
            Extensions::builder().register_fn::<ByHand>("raise", raise, at(1)).register_fn::<ByHand>(
                "asked",
                note("asked"),
                at(2).when(for_acme),
            ),
        )
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
}

/// 3.7: tags and groups are disabled and enabled while the instance runs; no handler is lost.
mod item_3_7_tags_and_groups {
    use super::*;

    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct Sold;

    struct Mail;
    impl AsyncHandler<Sold> for Mail {
        async fn handle(&self, _: &Sold, job: &Job) -> HandlerResult {
            job.resource::<Log>().unwrap().add("mail");
            Ok(())
        }
    }

    fn tagged() -> ExtensionsBuilder {
        Extensions::builder()
            .register_fn::<Sold>("one", note("one"), at(1).tags(["slow", "stock"]))
            .register_fn::<Sold>("two", note("two"), at(2).group("reports"))
            .register_fn::<Sold>("three", note("three"), at(3).tags(["slow"]).group("reports"))
            .register_fn::<Sold>("four", note("four"), at(4))
            .register_async::<Sold, _>(Mail, AsyncOptions::new().tags(["slow"]))
    }

    async fn run(ext: &Extensions) -> Vec<String> {
        ext.fire(Sold).await.unwrap();
        work(ext).await;
        lines(ext)
    }

    const ALL: [&str; 5] = ["one", "two", "three", "four", "mail"];

    #[tokio::test]
    async fn each_holds_back_its_handlers_and_enabling_brings_them_back_in_their_places() {
        let (ext, _queue) = on_memory(tagged()).await;
        let registry = ext.registry();
        let slow = ext.disable_tag("slow");
        assert_eq!(run(&ext).await, ["two", "four"]);
        let fired = ext.fire(Sold).await.unwrap();
        let held = ["one", "three", "Mail"].map(|name| (name.to_owned(), SkipReason::Disabled));
        assert_eq!(skips(fired.skipped()), held);
        assert!(fired.queued().is_empty() && ext.is_tag_disabled("slow"));
        lines(&ext);
        let reports = ext.disable_group("reports");
        assert_eq!(run(&ext).await, ["four"]);
        drop(slow);
        assert_eq!(run(&ext).await, ["one", "four", "mail"]);
        drop(reports);
        assert_eq!(run(&ext).await, ALL);
        assert!(Arc::ptr_eq(&ext.registry(), &registry) && ext.switched_off() == Default::default());
    }

    #[tokio::test]
    async fn a_disabled_tag_holds_for_those_that_are_registered_later_and_they_come_in_their_places() {
        let (ext, _queue) = on_memory(tagged()).await;
        let (slow, reports) = (ext.disable_tag("slow"), ext.disable_group("reports"));
        let later = Registrations::new()
            .register_fn::<Sold>("zero", note("zero"), at(0).tags(["slow"]))
            .register_fn::<Sold>("three.5", note("three.5"), at(3).group("reports"));
        let guard = ext.register_many(later).unwrap();
        assert_eq!(run(&ext).await, ["four"]);
        drop((slow, reports));
        assert_eq!(run(&ext).await, ["zero", "one", "two", "three", "three.5", "four", "mail"]);
        drop(guard);
        assert_eq!(run(&ext).await, ALL);
    }

    #[tokio::test]
    async fn guards_nest_and_enabling_by_name_ends_them_all() {
        let (ext, _queue) = on_memory(tagged()).await;
        let (first, second) = (ext.disable_tag("slow"), ext.disable_tag("slow"));
        drop(first);
        assert_eq!(run(&ext).await, ["two", "four"]);
        ext.enable_tag("slow");
        assert_eq!(run(&ext).await, ALL);
        let third = ext.disable_tag("slow");
        drop(second);
        assert_eq!(run(&ext).await, ["two", "four"], "a guard ends what it began and nothing else");
        drop(third);
        ext.disable_group("reports").keep();
        assert_eq!(run(&ext).await, ["one", "four", "mail"]);
        ext.enable_group("reports");
        assert_eq!(run(&ext).await, ALL);
    }
}

/// 3.8: scopes; a scope follows the task, and its jobs, and never leaks into another task's fires.
mod item_3_8_scopes {
    use extensions::Scope;
    use tokio::sync::Barrier;

    use super::*;

    #[derive(Default, ExtensionPoint)]
    struct Imported {
        seen: Vec<String>,
    }

    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct Booked {
        tenant: String,
    }

    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct FollowUp {
        tenant: String,
        seen: Vec<String>,
    }

    fn mark(name: impl Into<String>) -> impl Fn(&mut Imported, &Context) -> HandlerResult + Send + Sync {
        let name = name.into();
        move |point, _| {
            point.seen.push(name.clone());
            Ok(())
        }
    }

    async fn seen(ext: &Extensions) -> Vec<String> {
        ext.fire(Imported::default()).await.unwrap().into_point().seen
    }

    #[tokio::test]
    async fn a_scoped_handler_is_seen_only_inside_in_one_order_with_the_others() {
        let base = Extensions::builder()
            .register_fn::<Imported>("first", mark("first"), at(1))
            .register_fn::<Imported>("last", mark("last"), at(200));
        let (ext, _queue) = on_memory(base).await;
        let scopes = [ext.scope("x"), ext.tenant("x"), ext.user("x"), ext.request("x")];
        for (rank, scope) in (10..).zip(&scopes) {
            let name = format!("{:?}", scope.kind());
            scope.register_fn::<Imported>(name.clone(), mark(name), at(rank));
        }
        for scope in &scopes {
            let own = format!("{:?}", scope.kind());
            assert_eq!(scope.run(seen(&ext)).await, ["first", &own, "last"]);
            assert_eq!(seen(&ext).await, ["first", "last"]);
        }
        assert!(ext.tenant("y").run(seen(&ext)).await == ["first", "last"], "another name is another scope");
        let [custom, tenant, user, request] = &scopes;
        let all = user.run(request.run(tenant.run(custom.run(seen(&ext))))).await;
        assert_eq!(all, ["first", "Custom", "Tenant", "User", "Request", "last"]);
        assert_eq!(custom.run(custom.run(seen(&ext))).await, ["first", "Custom", "last"], "once");
    }

    #[tokio::test]
    async fn handlers_of_every_kind_can_be_scoped_but_async_ones_and_names_are_checked() {
        struct Waits;
        impl AwaitedHandler<Imported> for Waits {
            async fn handle(&self, point: &mut Imported, _: &Context) -> HandlerResult {
                tokio::task::yield_now().await;
                point.seen.push("waits".into());
                Ok(())
            }
        }
        struct Queued;
        impl AsyncHandler<Booked> for Queued {
            async fn handle(&self, _: &Booked, _: &Job) -> HandlerResult {
                Ok(())
            }
        }
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let scope = ext.scope("all kinds");
        scope.register_awaited::<Imported, _>(Waits, at(1));
        let list = Registrations::new()
            .register_fn::<Imported>("closure", mark("closure"), at(2))
            .on_any("Impor*", |_: &AnyPoint<'_>, cx: &Context| {
                note::<Imported>("wildcard")(&mut Imported::default(), cx)
            });
        scope.register_many(list).unwrap();
        assert_eq!(scope.run(seen(&ext)).await, ["waits", "closure"]);
        assert_eq!(lines(&ext), ["wildcard"]);
        let error = scope.run(async { ext.fire_sync(Imported::default()) }).await.unwrap_err();
        assert!(error.to_string().contains("awaited handlers (Waits)"), "{error}");
        assert!(ext.fire_sync(Imported::default()).is_ok());
        let taken = Registrations::new().register_fn::<Imported>("closure", mark("again"), at(3));
        assert!(scope.register_many(taken).unwrap_err().to_string().contains("have the name `closure`"));
        let queued = Registrations::new().register_async::<Booked, _>(Queued, AsyncOptions::new());
        assert!(scope.register_many(queued).unwrap_err().to_string().contains("register it in the instance"));
        assert_eq!(scope.run(seen(&ext)).await, ["waits", "closure"]);
    }

    #[tokio::test]
    async fn a_sync_fire_for_a_tenant_with_awaited_handlers_is_refused() {
        struct Waits;
        impl AwaitedHandler<Imported> for Waits {
            async fn handle(&self, _: &mut Imported, _: &Context) -> HandlerResult {
                Ok(())
            }
        }
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let acme = ext.tenant("acme");
        acme.register_awaited::<Imported, _>(Waits, at(1));
        let fired = ext.point(Imported::default()).for_tenant("acme").fire_sync();
        let error = fired.map(Fired::into_report).unwrap_err();
        assert!(error.to_string().contains("awaited handlers (Waits)"), "{error}");
    }

    #[tokio::test]
    async fn a_fire_for_a_tenant_runs_its_handlers_where_the_instance_has_none() {
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let acme = ext.tenant("acme");
        acme.register_fn::<Imported>("own", mark("own"), at(1));
        let fire = || ext.point(Imported::default()).for_tenant("acme");
        assert_eq!(fire().fire().await.unwrap().point().seen, ["own"]);
        assert_eq!(fire().fire_sync().unwrap().point().seen, ["own"]);
        assert!(seen(&ext).await.is_empty());
    }

    #[tokio::test]
    async fn what_is_registered_through_a_scope_goes_with_it_and_the_rest_stays() {
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let (one, other) = (ext.tenant("acme"), ext.tenant("acme"));
        one.register_fn::<Imported>("one", mark("one"), at(1));
        other.register_fn::<Imported>("other", mark("other"), at(2));
        assert_eq!(one.run(seen(&ext)).await, ["one", "other"]);
        drop(one);
        assert_eq!(other.run(seen(&ext)).await, ["other"]);
        drop(other);
        assert!(ext.tenant("acme").run(seen(&ext)).await.is_empty());
    }

    #[tokio::test]
    async fn a_scope_that_is_dropped_while_a_fire_runs_leaves_that_fire_as_it_began() {
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let drops = |slot: Arc<std::sync::Mutex<Option<Scope>>>| {
            move |_: &mut Imported, _: &Context| {
                drop(slot.lock().unwrap().take());
                Ok(())
            }
        };
        let slot = Arc::default();
        let (held, entered) = (ext.scope("import"), ext.scope("import"));
        held.register_fn::<Imported>("drops", drops(Arc::clone(&slot)), at(1));
        held.register_fn::<Imported>("after", mark("after"), at(2));
        *slot.lock().unwrap() = Some(held);
        entered
            .run(async {
                assert_eq!(seen(&ext).await, ["after"]);
                assert!(seen(&ext).await.is_empty());
            })
            .await;
    }

    #[tokio::test]
    async fn the_inmost_tenant_is_the_tenant_and_the_outer_ones_handlers_are_not_seen() {
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let scopes = ["acme", "other"]
            .map(|name| (ext.tenant(name), ext.user(name), ext.request(name), ext.scope(name)));
        for (tenant, user, request, custom) in &scopes {
            for (rank, scope) in (1..).zip([tenant, user, request, custom]) {
                let name = format!("{:?} {}", scope.kind(), scope.name());
                scope.register_fn::<Imported>(name.replace(' ', "-"), mark(name), at(rank));
            }
        }
        let [acme, other] = &scopes;
        for (outer, inner) in [(&acme.0, &other.0), (&acme.1, &other.1), (&acme.2, &other.2)] {
            let kind = inner.kind();
            assert_eq!(outer.run(inner.run(seen(&ext))).await, [format!("{kind:?} other")]);
        }
        assert_eq!(acme.3.run(other.3.run(seen(&ext))).await, ["Custom acme", "Custom other"], "they add up");
        let fired = acme.0.run(async { ext.point(Imported::default()).for_tenant("other").fire().await });
        assert_eq!(fired.await.unwrap().point().seen, ["Tenant other"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn hundreds_of_tasks_on_two_threads_each_see_their_own_tenants_handlers_and_nobody_elses() {
        const TENANTS: usize = 20;
        const TASKS: usize = 400;
        struct Yields;
        impl AwaitedHandler<Imported> for Yields {
            async fn handle(&self, point: &mut Imported, cx: &Context) -> HandlerResult {
                for _ in 0..fastrand::u8(0..4) {
                    tokio::task::yield_now().await;
                }
                point.seen.push(format!("in {}", cx.tenant().unwrap_or("none")));
                Ok(())
            }
        }
        let base = Extensions::builder().register_awaited::<Imported, _>(Yields, at(50));
        let (ext, _queue) = on_memory(base).await;
        let held: Vec<_> = (0..TENANTS)
            .map(|tenant| {
                let scope = ext.tenant(format!("t{tenant}"));
                scope.register_fn::<Imported>("own", mark(format!("own t{tenant}")), at(90));
                scope
            })
            .collect();
        let together = Arc::new(Barrier::new(TASKS));
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (ext, together) = (ext.clone(), Arc::clone(&together));
                tokio::spawn(async move {
                    together.wait().await;
                    let tenant = format!("t{}", task % TENANTS);
                    for round in 0..20 {
                        if (task + round) % 5 == 0 {
                            assert_eq!(seen(&ext).await, ["in none"]);
                        } else if round % 2 == 0 {
                            let fired = ext.point(Imported::default()).for_tenant(&*tenant).fire().await;
                            let point = fired.unwrap().into_point();
                            assert_eq!(point.seen, [format!("in {tenant}"), format!("own {tenant}")]);
                        } else {
                            let scope = ext.tenant(&*tenant);
                            let inside = scope.run(async {
                                tokio::task::yield_now().await;
                                let first = seen(&ext).await;
                                tokio::task::yield_now().await;
                                assert_eq!(seen(&ext).await, first);
                                first
                            });
                            assert_eq!(inside.await, [format!("in {tenant}"), format!("own {tenant}")]);
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            in_time("a task", task).await.unwrap();
        }
        drop(held);
        for tenant in 0..TENANTS {
            let point = ext.point(Imported::default()).for_tenant(format!("t{tenant}")).fire().await.unwrap();
            assert_eq!(point.point().seen, [format!("in t{tenant}")]);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_task_spawns_is_outside_on_tasks_and_threads_and_so_is_what_shares_the_task() {
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let scope = ext.scope("inside");
        scope.register_fn::<Imported>("own", mark("own"), at(1));
        let (inside, beside) = tokio::join!(
            scope.run(async {
                let task = tokio::spawn({
                    let ext = ext.clone();
                    async move { seen(&ext).await }
                });
                let blocking = tokio::task::spawn_blocking({
                    let ext = ext.clone();
                    move || ext.fire_sync(Imported::default()).unwrap().into_point().seen
                });
                assert!(task.await.unwrap().is_empty() && blocking.await.unwrap().is_empty());
                let thread = std::thread::scope(|threads| {
                    let fires = || ext.fire_sync(Imported::default()).unwrap().into_point().seen;
                    threads.spawn(fires).join().unwrap()
                });
                assert!(thread.is_empty());
                let mut seen_inside = Vec::new();
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                    seen_inside.extend(ext.fire_sync(Imported::default()).unwrap().into_point().seen);
                }
                seen_inside
            }),
            async {
                let mut beside = Vec::new();
                for _ in 0..50 {
                    beside.extend(seen(&ext).await);
                    tokio::task::yield_now().await;
                }
                beside
            }
        );
        assert_eq!((inside.len(), beside.len()), (50, 0));
    }

    #[tokio::test]
    async fn one_instances_scope_is_not_anothers() {
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let (other, _queue) = on_memory(Extensions::builder()).await;
        let (own, others) = (ext.tenant("acme"), other.tenant("acme"));
        own.register_fn::<Imported>("own", mark("own"), at(1));
        others.register_fn::<Imported>("others", mark("others"), at(1));
        own.run(async {
            assert_eq!(seen(&ext).await, ["own"]);
            assert!(seen(&other).await.is_empty());
            others
                .run(async {
                    assert_eq!(
                        (seen(&ext).await, seen(&other).await),
                        (vec!["own".into()], vec!["others".into()])
                    )
                })
                .await;
        })
        .await;
    }

    #[tokio::test]
    async fn the_context_and_the_jobs_envelope_name_all_scopes_and_nested_fires_are_inside_too() {
        struct Later;
        impl AsyncHandler<Booked> for Later {
            async fn handle(&self, _: &Booked, _: &Job) -> HandlerResult {
                Ok(())
            }
        }
        let named = |_: &mut Booked, cx: &Context| -> HandlerResult {
            let parts = [cx.tenant(), cx.user(), cx.request(), cx.scope()];
            cx.resource::<Log>().unwrap().add(format!("{} {parts:?}", cx.depth()));
            Ok(())
        };
        let nests = |_: &mut Imported, cx: &Context| -> HandlerResult {
            cx.fire_sync(Booked { tenant: String::new() })?;
            Ok(())
        };
        let (ext, queue) = on_memory(
            Extensions::builder()
                .register_fn::<Booked>("named", named, at(1))
                .register_fn::<Imported>("nests", nests, at(1))
                .register_async::<Booked, _>(Later, AsyncOptions::new()),
        )
        .await;
        let (tenant, user, request) = (ext.tenant("acme"), ext.user("7"), ext.request("r1"));
        let (outer, inner) = (ext.scope("outer"), ext.scope("inner"));
        tenant.run(outer.run(user.run(inner.run(request.run(seen(&ext)))))).await;
        seen(&ext).await;
        let all = r#"1 [Some("acme"), Some("7"), Some("r1"), Some("inner")]"#;
        assert_eq!(lines(&ext), [all, "1 [None, None, None, None]"]);
        let stored = jobs(&queue).await;
        let meta = &stored[0].meta;
        let parts = [&meta.tenant, &meta.user, &meta.request].map(Option::as_deref);
        assert_eq!(
            (parts, &*meta.scopes),
            (["acme", "7", "r1"].map(Some), &["outer".into(), "inner".into()][..])
        );
        let meta = &stored[1].meta;
        assert!(
            meta.tenant.is_none() && meta.user.is_none() && meta.request.is_none() && meta.scopes.is_empty()
        );
    }

    #[tokio::test]
    async fn a_handler_that_enters_another_tenant_for_a_nested_fire_changes_that_fire_only() {
        struct Enters;
        impl AwaitedHandler<Booked> for Enters {
            async fn handle(&self, booked: &mut Booked, cx: &Context) -> HandlerResult {
                let inner = cx.extensions().tenant("inner");
                let point = FollowUp { tenant: "inner".into(), seen: vec![] };
                let fired = inner.run(cx.fire(point)).await?;
                booked.tenant =
                    format!("{} in {}", fired.point().seen.join(","), cx.tenant().unwrap_or("none"));
                Ok(())
            }
        }
        let (ext, queue) = on_memory(
            Extensions::builder()
                .register_awaited::<Booked, _>(Enters, at(1))
                .register_async::<Booked, _>(Follows, AsyncOptions::new())
                .register_async::<FollowUp, _>(Ends, AsyncOptions::new()),
        )
        .await;
        let _scopes = [follow_ups(&ext, "outer"), follow_ups(&ext, "inner")];
        let fire = ext.point(Booked { tenant: String::new() }).for_tenant("outer").fire();
        assert_eq!(fire.await.unwrap().point().tenant, "own inner in outer");
        let tenants: Vec<_> = jobs(&queue).await.into_iter().map(|job| job.meta.tenant.unwrap()).collect();
        assert_eq!(tenants, ["inner", "outer"]);
    }

    struct Tells;
    impl OnFailure<Booked> for Tells {
        async fn on_failure(&self, booked: &Booked, _: &JobError, job: &Job) {
            let point = FollowUp { tenant: booked.tenant.clone(), seen: vec![] };
            let fired = job.extensions().fire(point).await.unwrap();
            job.resource::<Log>().unwrap().add(format!("told {}", fired.point().seen.join(",")));
        }
    }

    #[tokio::test]
    async fn a_callback_is_inside_the_tenant_too() {
        struct Fails;
        impl AsyncHandler<Booked> for Fails {
            async fn handle(&self, _: &Booked, _: &Job) -> HandlerResult {
                Err("always".into())
            }
        }
        let options = AsyncOptions::new().retries(1).on_failure::<Booked, _>(Tells);
        let (ext, _queue) =
            on_memory(Extensions::builder().register_async::<Booked, _>(Fails, options)).await;
        let _scopes = [follow_ups(&ext, "acme"), follow_ups(&ext, "other")];
        for tenant in ["acme", "other"] {
            ext.point(Booked { tenant: tenant.into() }).for_tenant(tenant).fire().await.unwrap();
        }
        assert_eq!(work(&ext).await.dead, 2);
        assert_eq!(lines(&ext), ["told own acme", "told own other"]);
    }

    struct Follows;
    impl AsyncHandler<Booked> for Follows {
        async fn handle(&self, booked: &Booked, job: &Job) -> HandlerResult {
            assert_eq!(job.tenant(), Some(&*booked.tenant));
            tokio::task::yield_now().await;
            let point = FollowUp { tenant: booked.tenant.clone(), seen: vec![] };
            job.resource::<Log>().unwrap().add(job.extensions().fire(point).await?.point().seen.join(","));
            Ok(())
        }
    }

    struct FollowsBlocking;
    impl BlockingHandler<Booked> for FollowsBlocking {
        fn handle(&self, booked: &Booked, job: &Job) -> HandlerResult {
            let point = FollowUp { tenant: booked.tenant.clone(), seen: vec![] };
            job.resource::<Log>().unwrap().add(job.extensions().fire_sync(point)?.point().seen.join(","));
            Ok(())
        }
    }

    #[extension_handler(Booked, name = "blocking")]
    #[async_handler(queue = "blocking")]
    fn follows_blocking(booked: &Booked, job: &Job) -> HandlerResult {
        FollowsBlocking.handle(booked, job)
    }

    struct Ends;
    impl AsyncHandler<FollowUp> for Ends {
        async fn handle(&self, point: &FollowUp, job: &Job) -> HandlerResult {
            assert_eq!(job.tenant(), Some(&*point.tenant));
            Ok(())
        }
    }

    async fn on_file(folder: &tempfile::TempDir, builder: ExtensionsBuilder) -> Extensions {
        let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
        builder.resource(Log::default()).queue_url(url).build().await.unwrap()
    }

    fn follow_ups(ext: &Extensions, tenant: &str) -> Scope {
        let own = tenant.to_owned();
        let scope = ext.tenant(tenant);
        let sees = move |point: &mut FollowUp, cx: &Context| {
            assert_eq!(cx.tenant(), Some(&*own));
            point.seen.push(format!("own {own}"));
            Ok(())
        };
        scope.register_fn::<FollowUp>("sees", sees, at(1));
        scope
    }

    const TENANTS: [&str; 3] = ["acme", "other", "third"];

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_attempt_in_a_worker_and_its_follow_up_fires_are_inside_the_tenant_of_their_fire() {
        let folder = tempfile::tempdir().unwrap();
        let handlers = || {
            Extensions::builder()
                .register_async::<Booked, _>(Follows, AsyncOptions::new().retries(1))
                .register_async::<FollowUp, _>(Ends, AsyncOptions::new().retries(1))
        };
        let (web, works) = (on_file(&folder, handlers()).await, on_file(&folder, handlers()).await);
        let _scopes = TENANTS.map(|tenant| follow_ups(&works, tenant));
        let fires = (0..60).map(|n| {
            let (web, tenant) = (web.clone(), TENANTS[n % 3]);
            tokio::spawn(async move {
                let booked = Booked { tenant: tenant.to_owned() };
                web.tenant(tenant).run(async { web.fire(booked).await }).await.unwrap();
            })
        });
        for fire in fires.collect::<Vec<_>>() {
            fire.await.unwrap();
        }
        let worker = works.worker().concurrency(16).stop_when_drained().run_until(std::future::pending());
        let report = in_time("the worker's end", worker).await.unwrap();
        assert_eq!((report.completed, report.failed), (120, 0));
        let mut seen = lines(&works);
        seen.sort();
        let expected: Vec<_> = TENANTS.iter().flat_map(|name| vec![format!("own {name}"); 20]).collect();
        assert_eq!(seen, expected);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn so_is_an_attempt_of_a_blocking_handler() {
        let folder = tempfile::tempdir().unwrap();
        let ext = on_file(&folder, discovered()).await;
        let _scopes = TENANTS.map(|tenant| follow_ups(&ext, tenant));
        for tenant in TENANTS {
            let booked = Booked { tenant: tenant.to_owned() };
            ext.point(booked).for_tenant(tenant).fire().await.unwrap();
        }
        let worker = ext.worker().queues(["blocking"]).stop_when_drained().run_until(std::future::pending());
        assert_eq!(in_time("the worker's end", worker).await.unwrap().completed, 3);
        let mut seen = lines(&ext);
        seen.sort();
        assert_eq!(seen, TENANTS.map(|name| format!("own {name}")));
    }
}

/// 3.9: wildcards: globs on wire names, or on paths where the pattern has `::`.
mod item_3_9_wildcards {
    use super::*;

    mod shop {
        use super::*;

        #[derive(Serialize, Deserialize, ExtensionPoint)]
        #[extension_point(queued)]
        pub(super) struct UserCreated {
            pub(super) id: u32,
        }
        #[derive(ExtensionPoint)]
        pub(super) struct OrderCreated(pub(super) u32);
    }
    use shop::{OrderCreated, UserCreated};

    #[derive(serde::Serialize, ExtensionPoint)]
    #[extension_point(name = "order.paid")]
    struct Paid {
        cents: u32,
    }
    #[derive(ExtensionPoint)]
    #[extension_point(interruptible)]
    struct BeforeSave;

    fn hears(any: &AnyPoint<'_>, cx: &Context) -> HandlerResult {
        cx.resource::<Log>().unwrap().add(any.name());
        Ok(())
    }

    async fn fire_all(ext: &Extensions) -> Vec<String> {
        ext.fire(UserCreated { id: 1 }).await.unwrap();
        ext.fire(OrderCreated(2)).await.unwrap();
        ext.fire(Paid { cents: 3 }).await.unwrap();
        ext.fire(BeforeSave).await.unwrap();
        lines(ext)
    }

    const CASES: [(&str, &[&str]); 9] = [
        ("*Created", &["UserCreated", "OrderCreated"]),
        ("Before*", &["BeforeSave"]),
        ("order.*", &["order.paid"]),
        ("order.???d", &["order.paid"]),
        ("Paid", &[]),
        ("*", &["UserCreated", "OrderCreated", "order.paid", "BeforeSave"]),
        ("section_3_handlers::item_3_9_wildcards::shop::*", &["UserCreated", "OrderCreated"]),
        ("*::item_3_9_wildcards::Paid", &["order.paid"]),
        ("*::Nothing", &[]),
    ];

    #[tokio::test]
    async fn globs_choose_by_wire_name_or_by_path_at_start_up_and_on_a_running_instance() {
        for (pattern, expected) in CASES {
            let (ext, _queue) = on_memory(Extensions::builder().on_any(pattern, hears)).await;
            assert_eq!(fire_all(&ext).await, expected, "{pattern}");
            let (ext, _queue) = on_memory(Extensions::builder()).await;
            let start = ext.registry();
            assert!(fire_all(&ext).await.is_empty(), "the points were fired before it came");
            let guard = ext.on_any(pattern, hears).unwrap();
            assert_eq!(fire_all(&ext).await, expected, "{pattern}");
            drop(guard);
            assert!(fire_all(&ext).await.is_empty() && Arc::ptr_eq(&start, &ext.registry()), "{pattern}");
        }
    }

    #[tokio::test]
    async fn it_has_its_place_among_the_others_and_sees_the_point_as_they_left_it() {
        struct Watches;
        impl AnyHandler for Watches {
            fn handle(&self, any: &AnyPoint<'_>, cx: &Context) -> HandlerResult {
                let view = any.view().map(Result::unwrap);
                let order = any.downcast::<OrderCreated>().map(|order| order.0);
                cx.resource::<Log>().unwrap().add(format!("{} {view:?} {order:?}", any.name()));
                Ok(())
            }
        }
        let raise = |user: &mut UserCreated, _: &Context| {
            user.id += 10;
            Ok(())
        };
        let (ext, _queue) = on_memory(
            Extensions::builder()
                .on_any_with("*Created", Watches, at(20))
                .register_fn::<UserCreated>("raise", raise, at(10))
                .register_fn::<UserCreated>("raise-again", raise, at(30)),
        )
        .await;
        assert_eq!(names::<UserCreated>(&ext), ["raise", "Watches", "raise-again"]);
        assert_eq!(ext.fire(UserCreated { id: 1 }).await.unwrap().point().id, 21);
        ext.fire(OrderCreated(2)).await.unwrap();
        let view = "UserCreated Some(Object {\"id\": Number(11)}) None";
        assert_eq!(lines(&ext), [view, "OrderCreated None Some(2)"], "a view only where it is `Serialize`");
    }

    #[tokio::test]
    async fn conditions_mutes_tags_and_choice_are_asked_of_it_too() {
        let flags = Arc::new(extensions::features::StaticFlags::new());
        let options = || at(1).name("w").tags(["audit"]).when_feature("audit");
        let builder =
            Extensions::builder().features(Arc::clone(&flags)).on_any_with("*Created", hears, options());
        let (ext, _queue) = on_memory(builder).await;
        let why = async || skips(ext.fire(OrderCreated(1)).await.unwrap().skipped());
        let skipped = |reason| vec![("w".to_owned(), reason)];
        assert_eq!(why().await, skipped(SkipReason::Condition));
        flags.set("audit", true);
        assert!(why().await.is_empty());
        let muted = ext.mute_named("w");
        assert_eq!(why().await, skipped(SkipReason::Muted));
        drop(muted);
        let disabled = ext.disable_tag("audit");
        assert_eq!(why().await, skipped(SkipReason::Disabled));
        drop(disabled);
        let fired = ext.point(OrderCreated(1)).except_named("w").fire().await.unwrap();
        assert_eq!(skips(fired.skipped()), skipped(SkipReason::NotChosen));
        assert_eq!(lines(&ext).len(), 1);
        let (ext, _queue) =
            on_memory(Extensions::builder().on_any_with("*", hears, at(1).name("w").when_env(["staging"])))
                .await;
        assert!(fire_all(&ext).await.is_empty());
    }

    #[tokio::test]
    async fn its_error_ends_a_fire_and_it_is_no_guard() {
        let fails = |_: &AnyPoint<'_>, _: &Context| -> HandlerResult { Err("no".into()) };
        let (ext, _queue) =
            on_memory(Extensions::builder().on_any_with("Before*", fails, at(1).name("w"))).await;
        let error = ext.fire(BeforeSave).await.unwrap_err();
        assert_eq!(error.to_string(), "firing `BeforeSave` failed: `w`: no");
        assert!(ext.point(BeforeSave).graceful().allows().await.unwrap());
        let _muted = ext.mute_named("w");
        assert!(ext.allows(BeforeSave).await.unwrap());
    }

    #[tokio::test]
    async fn a_renamed_point_is_matched_and_told_by_its_name_in_the_instance() {
        let path = format!("{}::OrderCreated", module_path!().to_owned() + "::shop");
        let builder = Extensions::builder().rename_point(path, "order.created").on_any("order.*", hears);
        let (ext, _queue) = on_memory(builder).await;
        assert_eq!(fire_all(&ext).await, ["order.created", "order.paid"]);
    }

    #[tokio::test]
    async fn one_that_was_taken_off_a_point_stays_off_whatever_is_registered_later() {
        let (ext, _queue) =
            on_memory(Extensions::builder().on_any_with("*Created", hears, at(1).name("w"))).await;
        assert!(ext.unregister_named::<OrderCreated>("w"));
        let other = ext.register_fn::<OrderCreated>("other", note("other"), at(2)).unwrap();
        let list = Registrations::new().on_any_with("*", note_any, at(3).name("another"));
        let another = ext.register_many(list).unwrap();
        ext.fire(OrderCreated(1)).await.unwrap();
        ext.fire(UserCreated { id: 1 }).await.unwrap();
        assert_eq!(lines(&ext), ["other", "another", "UserCreated", "another"]);
        drop((other, another));
        assert_eq!(fire_all(&ext).await, ["UserCreated"]);
    }

    fn note_any(_: &AnyPoint<'_>, cx: &Context) -> HandlerResult {
        cx.resource::<Log>().unwrap().add("another");
        Ok(())
    }

    #[tokio::test]
    async fn an_empty_pattern_stops_start_up() {
        let said = Extensions::builder().on_any("", hears).build().await.unwrap_err().to_string();
        assert!(said.contains("write `*` for every point"), "{said}");
    }
}

/// 3.10: what is registered, as data.
mod item_3_10_introspection {
    use super::*;

    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, name = "data.shown", version = 4)]
    struct Shown;
    #[derive(ExtensionPoint)]
    struct Unseen;

    struct Shows;
    impl AsyncHandler<Shown> for Shows {
        async fn handle(&self, _: &Shown, _: &Job) -> HandlerResult {
            Ok(())
        }
    }

    #[tokio::test]
    async fn points_handlers_options_tags_conditions_and_places_are_there_and_serialise() {
        let (_clock, builder) = by_hand();
        let options = at(7).tags(["a", "b"]).group("g").when_env(["staging"]).when_feature("f");
        let (ext, _queue) = on_memory(
            builder
                .register_fn::<Shown>("inline", note("inline"), options.without_circuit_breaker())
                .register_async::<Shown, _>(Shows, AsyncOptions::new().queue("q").retries(9).delay(secs(5)))
                .on_any_with("data.*", |_: &AnyPoint<'_>, _: &Context| Ok(()), at(1).name("w")),
        )
        .await;
        assert!(ext.has_handlers::<Shown>() && !ext.has_handlers::<Unseen>());
        assert_eq!((ext.count_handlers::<Shown>(), ext.count_handlers::<Unseen>()), (3, 0));
        let data = serde_json::to_value(ext.handlers_of::<Shown>()).unwrap();
        let shown = |place: usize, key: &str| data[place][key].clone();
        assert_eq!([0, 1, 2].map(|place| shown(place, "name")), ["w", "inline", "Shows"]);
        assert_eq!([0, 1, 2].map(|place| shown(place, "kind")), ["wildcard", "inline", "async"]);
        assert_eq!([0, 1, 2].map(|place| shown(place, "priority")), [1, 7, 100]);
        assert_eq!(shown(1, "tags"), serde_json::json!(["a", "b"]));
        assert_eq!(shown(1, "group"), "g");
        assert_eq!(shown(1, "conditions"), serde_json::json!(["env = staging", "feature = f"]));
        assert!(shown(1, "breaker").is_null() && shown(0, "breaker")["threshold"] == 5);
        assert_eq!(
            (shown(2, "options")["queue"].clone(), shown(2, "options")["max_attempts"].clone()),
            ("q".into(), 9.into())
        );
        assert_eq!(shown(2, "path"), format!("{}::Shows", module_path!()));
        assert!(shown(2, "location")["file"].as_str().unwrap().ends_with("section_3_handlers.rs"));
        let registry = ext.registry();
        let point = registry.points().iter().find(|point| point.name == "data.shown").unwrap();
        assert_eq!((point.version, point.handlers, point.queued), (4, 3, true));
        assert_eq!(registry.tags().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(registry.groups().into_iter().collect::<Vec<_>>(), ["g"]);
        assert_eq!(registry.tagged("a").count(), 1);
    }
}

/// 3.11: a deprecated handler is named in one warning and flagged in every listing.
mod item_3_11_deprecated {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;

    #[derive(ExtensionPoint)]
    struct Aged;

    #[extension_handler(Aged)]
    #[deprecated(since = "0.3.0", note = "use the new one")]
    fn old_one(_: &mut Aged) {}

    #[extension_handler(Aged)]
    fn new_one(_: &mut Aged) {}

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn it_is_warned_of_once_at_start_up_and_flagged() {
        if !tests::kit::is_alone("item_3_11_deprecated::it_is_warned_of_once_at_start_up_and_flagged") {
            return;
        }
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_writer(move || writer.clone())
            .finish();
        let ext = {
            let _guard = tracing::subscriber::set_default(subscriber);
            let (ext, _queue) = on_memory(discovered()).await;
            ext.fire(Aged).await.unwrap();
            ext.fire(Aged).await.unwrap();
            ext
        };
        let said = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(said.matches("Aged/old_one (use the new one)").count(), 1, "{said}");
        assert!(!said.contains("new_one"), "{said}");
        let flags: Vec<_> = ext
            .handlers_of::<Aged>()
            .iter()
            .map(|info| (info.name.to_string(), info.deprecated.and_then(|deprecated| deprecated.since)))
            .collect();
        assert_eq!(flags, [("new_one".into(), None), ("old_one".into(), Some("0.3.0"))]);
    }
}

/// 3.12: a program that fires but has not the handler's code declares it.
mod item_3_12_declared {
    use extensions::queue::QueueBackend;

    use super::*;

    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct Printed;

    declare_handler!(Printed => "make_pdf", queue = "documents", max_attempts = 5);

    struct Pdf;
    impl AsyncHandler<Printed> for Pdf {
        async fn handle(&self, _: &Printed, job: &Job) -> HandlerResult {
            job.resource::<Log>().unwrap().add(format!("{} {}", job.queue(), job.max_attempts()));
            Ok(())
        }
    }

    fn defined(attempts: u32) -> AsyncOptions {
        AsyncOptions::new().name("make_pdf").queue("documents").max_attempts(attempts)
    }

    #[tokio::test]
    async fn it_queues_what_another_program_runs_and_must_agree_with_the_definition_where_both_are() {
        let (web, queue) = on_memory(discovered()).await;
        let queued = web.fire(Printed).await.unwrap().queued()[0].clone();
        assert_eq!(queued.handler().to_string(), "Printed/make_pdf");
        let worker = web.worker().queues(["documents"]).stop_when_empty().run_until(std::future::pending());
        assert_eq!(in_time("the web's worker", worker).await.unwrap().completed, 0);
        let printer = Extensions::builder().register_async::<Printed, _>(Pdf, defined(5));
        let (printer, _) = tests::kit::on(printer, Arc::clone(&queue) as Arc<dyn QueueBackend>).await;
        let worker =
            printer.worker().queues(["documents"]).stop_when_empty().run_until(std::future::pending());
        assert_eq!(in_time("the printer's worker", worker).await.unwrap().completed, 1);
        assert_eq!(lines(&printer), ["documents 5"]);
        let both = |attempts| {
            let builder = discovered().register_async::<Printed, _>(Pdf, defined(attempts));
            builder.resource(Log::default()).queue(Memory::new()).build()
        };
        assert_eq!(both(5).await.unwrap().count_handlers::<Printed>(), 1);
        let said = both(2).await.unwrap_err().to_string();
        assert!(said.contains("`max_attempts` 5 against 2"), "{said}");
    }
}

//! Product 5, second half: pipelines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use extensions::fire::{SkipReason, StageFate};
use extensions::prelude::*;
use extensions::queue::{JobFilter, Memory, QueueBackend};
use extensions::{BreakerStatus, ExtensionsBuilder, FireErrorKind, Piped};
use serde::{Deserialize, Serialize};

/// What goes through: the stages write down what they do, and one of them can be told to fail.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Order {
    log: Vec<String>,
    fail_in: &'static str,
}

impl Order {
    fn failing(fail_in: &'static str) -> Self {
        Self { fail_in, ..Self::default() }
    }
    fn add(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }
    fn fail(&self, name: &str) -> HandlerResult {
        if self.fail_in == name { Err(format!("{name} fails").into()) } else { Ok(()) }
    }
}

macro_rules! stages {
    ($($name:ident)*) => {$(
        struct $name;
        impl Stage<Order> for $name {
            async fn handle(&self, order: &mut Order, next: Next<'_, Order>) -> HandlerResult {
                let name = stringify!($name);
                order.add(name);
                order.fail(name)?;
                tokio::task::yield_now().await;
                next.run(order).await?;
                order.add(format!("/{name}"));
                order.fail(&format!("/{name}"))
            }
        }
    )*};
}

stages! { A B C }

/// Ends the pipeline early.
struct Stop;
impl Stage<Order> for Stop {
    async fn handle(&self, order: &mut Order, _: Next<'_, Order>) -> HandlerResult {
        order.add("Stop");
        Ok(())
    }
}

async fn plain() -> Extensions {
    Extensions::builder().build().await.unwrap()
}

fn fates(piped: &Piped<Order>) -> Vec<(&str, StageFate)> {
    piped.stages().iter().map(|report| (&*report.stage.name, report.fate.clone())).collect()
}

fn failed(error: &str) -> StageFate {
    StageFate::Failed { error: error.to_owned() }
}

const fn skipped(reason: SkipReason) -> StageFate {
    StageFate::Skipped { reason }
}

#[tokio::test]
async fn a_value_goes_through_stages_by_type_and_by_closure_which_work_before_and_after_the_rest() {
    let ext = plain().await;
    let done = ext
        .pipeline(Order::default())
        .through(A)
        .through_fn(|order, next| {
            Box::pin(async move {
                order.add("closure");
                next.run(order).await?;
                order.add("/closure");
                Ok(())
            })
        })
        .through(B)
        .run()
        .await
        .unwrap();
    assert_eq!(done.log, ["A", "closure", "B", "/B", "/closure", "/A"]);
}

#[tokio::test]
async fn any_sendable_value_can_go_through() {
    let ext = plain().await;
    let doubled = ext.pipeline(21_u32).through_fn(|value, next| {
        Box::pin(async move {
            *value *= 2;
            next.run(value).await
        })
    });
    assert_eq!(doubled.run().await.unwrap(), 42);
    assert_eq!(ext.pipeline("text").run().await.unwrap(), "text");
}

#[tokio::test]
async fn a_stage_that_does_not_call_next_ends_the_pipeline_early_without_failing() {
    let ext = plain().await;
    let piped = ext.pipeline(Order::default()).through(A).through(Stop).through(B).run_report().await;
    assert_eq!(piped.value().unwrap().log, ["A", "Stop", "/A"]);
    assert_eq!(piped.stopped_by(), Some("Stop"));
    assert!(piped.is_success());
    assert_eq!(
        fates(&piped),
        [("A", StageFate::Ran), ("Stop", StageFate::Ran), ("B", StageFate::NotReached)]
    );
    let piped = ext.pipeline(Order::default()).through(A).run_report().await;
    assert_eq!(piped.stopped_by(), None);
}

#[tokio::test]
async fn a_failure_names_the_stage_and_gives_the_value_back() {
    let ext = plain().await;
    let error = ext.pipeline(Order::failing("B")).through(A).through(B).through(C).run().await.unwrap_err();
    assert_eq!(error.stage(), Some("B"));
    assert_eq!(error.error().unwrap().to_string(), "B fails");
    assert_eq!(error.to_string(), "the pipeline failed: the stage `B` failed: B fails");
    assert_eq!(error.value().unwrap().log, ["A", "B"]);
    assert_eq!(
        fates(error.report()),
        [("A", StageFate::Ran), ("B", failed("B fails")), ("C", StageFate::NotReached)]
    );
    let boxed: BoxError = error.into();
    assert!(boxed.to_string().contains("`B`"));
}

#[tokio::test]
async fn a_failure_after_the_rest_is_that_of_the_stage_around() {
    let ext = plain().await;
    let error = ext.pipeline(Order::failing("/A")).through(A).through(B).run().await.unwrap_err();
    assert_eq!(error.stage(), Some("A"));
    assert_eq!(error.into_value().unwrap().log, ["A", "B", "/B", "/A"]);
}

#[tokio::test]
async fn a_stage_may_take_an_error_of_the_rest_back_or_make_it_its_own() {
    let ext = plain().await;
    let forgiving = ext.pipeline(Order::failing("B")).through_fn(|order, next| {
        Box::pin(async move {
            let failed = next.run(order).await.unwrap_err();
            order.add(format!("took back: {failed}"));
            Ok(())
        })
    });
    let piped = forgiving.through(B).run_report().await;
    assert_eq!(piped.value().unwrap().log, ["B", "took back: B fails"]);
    assert!(piped.failure().is_none());
    assert_eq!(piped.fate_of("B"), Some(&failed("B fails")));
    let own = ext.pipeline(Order::failing("B")).through_fn(|order, next| {
        Box::pin(async move { next.run(order).await.map_err(|error| format!("around: {error}").into()) })
    });
    let error = own.named("outer").through(B).run().await.unwrap_err();
    assert_eq!(
        (error.stage(), error.error().unwrap().to_string()),
        (Some("outer"), "around: B fails".into())
    );
}

#[tokio::test]
async fn conditional_stages_ask_the_value_as_it_is_when_it_comes_there() {
    let ext = plain().await;
    let seen = |what: &'static str| move |order: &Order| order.log.iter().any(|line| line == what);
    let piped = ext
        .pipeline(Order::default())
        .through_if(seen("A"), B)
        .through(A)
        .through_if(seen("A"), C)
        .through_fn(|_, _| Box::pin(async { panic!("its condition does not hold") }))
        .when(|order| order.log.is_empty())
        .run_report()
        .await;
    assert_eq!(piped.value().unwrap().log, ["A", "C", "/C", "/A"]);
    assert_eq!(piped.fate_of("B"), Some(&skipped(SkipReason::Condition)));
}

#[tokio::test]
async fn a_condition_that_panics_is_the_failure_of_its_stage() {
    let ext = plain().await;
    let error = ext.pipeline(Order::default()).through_if(|_| panic!("boom"), A).run().await.unwrap_err();
    assert_eq!(error.to_string(), "the pipeline failed: the stage `A` failed: panicked: boom");
}

#[tokio::test]
async fn hooks_run_before_and_after_each_stage_that_runs() {
    let ext = plain().await;
    let done = ext
        .pipeline(Order::default())
        .before_each(|stage, order| order.add(format!("<{}", stage.name)))
        .after_each(|stage, order| order.add(format!("{}>", stage.name)))
        .through(A)
        .through_if(|_| false, B)
        .through(C)
        .run()
        .await
        .unwrap();
    assert_eq!(done.log, ["<A", "A", "<C", "C", "/C", "C>", "/A", "A>"]);
    let hook = ext.pipeline(Order::default()).before_each(|_, _| panic!("hook")).through(A);
    assert_eq!(hook.run().await.unwrap_err().stage(), Some("A"));
}

#[tokio::test]
async fn on_failure_gives_a_fallback_made_of_the_value_and_on_success_sees_the_value() {
    let ext = plain().await;
    let build = |order| {
        ext.pipeline(order)
            .through(A)
            .through(B)
            .on_failure(|error, mut order| {
                order.add(format!("fallback: {error}"));
                order
            })
            .on_success(|order| order.add("success"))
    };
    let piped = build(Order::failing("B")).run_report().await;
    assert!(piped.is_recovered());
    assert!(!piped.is_success());
    assert_eq!(piped.failure().unwrap().stage(), Some("B"));
    assert_eq!(piped.into_result().unwrap().log, ["A", "B", "fallback: the stage `B` failed: B fails"]);
    let done = build(Order::default()).run().await.unwrap();
    assert_eq!(done.log, ["A", "B", "/B", "/A", "success"]);
}

#[tokio::test]
async fn a_pipeline_that_continues_on_failure_goes_on_behind_the_stage_that_failed() {
    let ext = plain().await;
    let piped = ext
        .pipeline(Order::failing("B"))
        .through(A)
        .through(B)
        .through(C)
        .continue_on_failure()
        .run_report()
        .await;
    assert_eq!(piped.value().unwrap().log, ["A", "B", "C", "/C", "/A"]);
    assert!(!piped.is_success());
    assert_eq!(piped.fate_of("B"), Some(&failed("B fails")));
    assert!(piped.into_result().is_ok());
}

#[tokio::test]
async fn a_pipeline_stage_is_never_run_twice_even_if_the_failing_stage_had_called_next() {
    let ext = plain().await;
    for (fail_in, log) in [
        ("/A", &["A", "B", "C", "/C", "/B", "/A"][..]),
        ("/B", &["A", "B", "C", "/C", "/B", "/A"]),
        ("/C", &["A", "B", "C", "/C", "/B", "/A"]),
        ("C", &["A", "B", "C", "/B", "/A"]),
    ] {
        let stages = ext.pipeline(Order::failing(fail_in)).through(A).through(B).through(C);
        let done = stages.continue_on_failure().run().await.unwrap();
        assert_eq!(done.log, log, "{fail_in}");
    }
    let stages = ext.pipeline(Order::failing("/A")).through(A).through(Stop).through(C);
    let done = stages.continue_on_failure().run().await.unwrap();
    assert_eq!(done.log, ["A", "Stop", "/A"], "a stop behind the stage that failed stays one");
}

#[tokio::test]
async fn a_stage_that_gives_up_waiting_for_the_rest_leaves_it_unfinished_and_nothing_runs_again() {
    let ext = plain().await;
    let impatient = ext.pipeline(Order::default()).through_fn(|order, next| {
        Box::pin(async move {
            tokio::select! {
                biased;
                result = next.run(order) => result,
                () = std::future::ready(()) => Err("no patience".into()),
            }
        })
    });
    let endless = impatient.through_fn(|order, _| {
        Box::pin(async move {
            order.add("begun");
            std::future::pending().await
        })
    });
    let piped = endless.named("endless").through(A).continue_on_failure().run_report().await;
    assert_eq!(piped.value().unwrap().log, ["begun"]);
    assert_eq!(piped.fate_of("endless"), Some(&StageFate::Unfinished));
    assert_eq!(piped.fate_of("A"), Some(&StageFate::NotReached));
}

#[tokio::test]
async fn a_panic_is_the_failure_of_its_stage_and_the_next_pipeline_works() {
    let ext = plain().await;
    let panicking = || {
        let stages = ext.pipeline(Order::default()).through(A);
        stages.through_fn(|_, _| Box::pin(async { panic!("boom") })).named("odd").through(B)
    };
    let error = panicking().run().await.unwrap_err();
    assert_eq!(error.stage(), Some("odd"));
    assert!(error.error().unwrap().is_panic());
    let done = panicking().continue_on_failure().run().await.unwrap();
    assert_eq!(done.log, ["A", "B", "/B", "/A"]);
}

#[tokio::test]
async fn a_pipeline_can_be_a_stage_of_another_as_often_as_one_likes() {
    let ext = plain().await;
    let checks = || Pipeline::new().through(B).through(C);
    let done = ext.pipeline(Order::default()).through(A).through(checks()).through(checks()).run().await;
    assert_eq!(done.unwrap().log, ["A", "B", "C", "/C", "/B", "B", "C", "/C", "/B", "/A"]);
    let error = ext
        .pipeline(Order::failing("C"))
        .through(A)
        .through(checks())
        .named("checks")
        .run()
        .await
        .unwrap_err();
    assert_eq!(error.stage(), Some("checks > C"));
    let nested = &error.report().stages()[1].nested;
    assert_eq!(nested[1].fate, failed("C fails"));
}

#[tokio::test]
async fn an_early_stop_in_a_nested_pipeline_ends_only_that_one() {
    let ext = plain().await;
    let nested = Pipeline::new().through(Stop).through(B);
    let done = ext.pipeline(Order::default()).through(nested).through(C).run().await.unwrap();
    assert_eq!(done.log, ["Stop", "C", "/C"]);
}

#[tokio::test]
async fn a_nested_pipeline_may_continue_on_failure_by_itself() {
    let ext = plain().await;
    let nested = Pipeline::new().through(A).through(B).continue_on_failure();
    let done = ext.pipeline(Order::failing("A")).through(nested).through(C).run().await.unwrap();
    assert_eq!(done.log, ["A", "B", "/B", "C", "/C"]);
}

#[tokio::test]
async fn closures_never_share_an_identity() {
    let ext = plain().await;
    let mut stages = ext.pipeline(Order::default());
    for _ in 0..2 {
        stages = stages.through_fn(|order, next| Box::pin(next.run(order)));
    }
    stages = stages.through_fn(|order, next| Box::pin(next.run(order)));
    let piped = stages.run_report().await;
    let names: std::collections::BTreeSet<_> = piped.stages().iter().map(|one| &*one.stage.name).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| name.contains("tests/tests/pipelines.rs:")), "{names:?}");
}

/// Made from what the instance has.
struct Greeter(Arc<String>);
impl Stage<Order> for Greeter {
    async fn handle(&self, order: &mut Order, next: Next<'_, Order>) -> HandlerResult {
        order.add(&**self.0);
        next.run(order).await
    }
}

#[tokio::test]
async fn a_stage_may_be_made_from_the_resources_of_the_instance() {
    let with = || {
        Pipeline::new()
            .through_with(|resources| Ok(Greeter(resources.get::<String>().ok_or("no greeting was given")?)))
    };
    let ext = Extensions::builder().resource("hello".to_owned()).build().await.unwrap();
    assert_eq!(ext.pipeline(Order::default()).through(with()).run().await.unwrap().log, ["hello"]);
    let error = plain().await.pipeline(Order::default()).through(with()).named("x").run().await.unwrap_err();
    assert_eq!(error.stage(), Some("x > Greeter"));
    assert_eq!(error.error().unwrap().to_string(), "no greeting was given");
}

#[tokio::test]
async fn muted_stages_are_passed_over_by_type_and_by_name_and_the_report_names_them() {
    let ext = plain().await;
    let run = async || {
        let stages = ext.pipeline(Order::default()).through(A).through(B);
        stages.through_fn(|_, _| Box::pin(async { Err("ran".into()) })).named("audit").run_report().await
    };
    let _named = ext.mute_named("audit");
    {
        let _muted = ext.mute::<A>();
        let piped = run().await;
        assert_eq!(piped.value().unwrap().log, ["B", "/B"]);
        assert_eq!(piped.fate_of("A"), Some(&skipped(SkipReason::Muted)));
        assert_eq!(piped.fate_of("audit"), Some(&skipped(SkipReason::Muted)));
        let nested = ext.pipeline(Order::default()).through(Pipeline::new().through(A).through(B));
        assert_eq!(nested.run().await.unwrap().log, ["B", "/B"]);
    }
    assert_eq!(run().await.value().unwrap().log, ["A", "B", "/B", "/A"]);
}

#[tokio::test]
async fn a_silenced_pipeline_runs_no_stage_and_says_so() {
    let ext = plain().await;
    let run = async || {
        let stages = ext.pipeline(Order::default()).through(A);
        stages.on_success(|order| order.add("success")).run_report().await
    };
    let task = ext.silenced(async { run().await }).await;
    let silence = ext.silence();
    let instance = run().await;
    for piped in [task, instance] {
        assert!(piped.is_silenced());
        assert!(piped.value().unwrap().log.is_empty());
        assert_eq!(piped.fate_of("A"), Some(&skipped(SkipReason::Silenced)));
    }
    drop(silence);
    assert_eq!(run().await.value().unwrap().log, ["A", "/A", "success"]);
}

#[tokio::test]
async fn all_stages_of_a_type_have_one_circuit_breaker_which_counts_their_own_failures_only() {
    let ext = plain().await;
    for _ in 0..4 {
        ext.pipeline(Order::failing("B")).through(A).through(B).run().await.unwrap_err();
    }
    ext.pipeline(Order::failing("B")).through(B).run().await.unwrap_err();
    assert_eq!(ext.breaker_of_stage::<A>().failure_count(), 0, "the error of the rest is not its own");
    assert_eq!(ext.breaker_of_stage::<B>().status(), BreakerStatus::Open);
    let piped = ext.pipeline(Order::failing("B")).through(A).through(B).through(C).run_report().await;
    assert_eq!(piped.value().unwrap().log, ["A", "C", "/C", "/A"]);
    assert_eq!(piped.fate_of("B"), Some(&skipped(SkipReason::CircuitOpen)));
}

#[tokio::test]
async fn a_closure_has_a_breaker_only_under_a_name() {
    let ext = plain().await;
    let failing = || {
        let stages = ext.pipeline(Order::default());
        stages.through_fn(|_, _| Box::pin(async { Err("no".into()) }))
    };
    for _ in 0..6 {
        assert!(failing().run().await.is_err());
    }
    for _ in 0..5 {
        assert!(failing().named("charge").run().await.is_err());
    }
    assert!(failing().named("charge").run().await.is_ok(), "open: passed over");
    assert_eq!(ext.breaker_of_stage_named("charge").status(), BreakerStatus::Open);
    assert!(failing().run().await.is_err());
}

#[derive(Debug, Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Process {
    log: Vec<String>,
    fail_in: String,
    stop: bool,
}

fn step(name: &'static str) -> impl Fn(&mut Process, &Context) -> HandlerResult {
    move |point, _| {
        point.log.push(name.to_owned());
        if point.fail_in == name { Err(format!("{name} fails").into()) } else { Ok(()) }
    }
}

struct Around;
impl Stage<Process> for Around {
    async fn handle(&self, point: &mut Process, next: Next<'_, Process>) -> HandlerResult {
        point.log.push("around".to_owned());
        if !point.stop {
            next.run(point).await?;
        }
        point.log.push("/around".to_owned());
        if point.fail_in == "around" { Err("around fails".into()) } else { Ok(()) }
    }
}

struct Slow;
impl AwaitedHandler<Process> for Slow {
    async fn handle(&self, point: &mut Process, _: &Context) -> HandlerResult {
        tokio::task::yield_now().await;
        point.log.push("slow".to_owned());
        Ok(())
    }
}

struct Later;
impl AsyncHandler<Process> for Later {
    async fn handle(&self, _: &Process, _: &Job) -> HandlerResult {
        Ok(())
    }
}

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

fn processing() -> ExtensionsBuilder {
    Extensions::builder()
        .register_fn::<Process>("first", step("first"), at(1))
        .register_stage::<Process, _>(Around, at(2).tags(["around"]))
        .register_awaited::<Process, _>(Slow, at(3))
        .register_fn::<Process>("last", step("last"), at(4))
        .register_async::<Process, _>(Later, AsyncOptions::new())
}

async fn with_memory(builder: ExtensionsBuilder) -> (Extensions, Arc<dyn QueueBackend>) {
    let queue: Arc<dyn QueueBackend> = Arc::new(Memory::new());
    (builder.shared_queue(Arc::clone(&queue)).build().await.unwrap(), queue)
}

#[tokio::test]
async fn a_points_pipeline_runs_its_stages_by_priority_with_its_other_inline_handlers_between_them() {
    let (ext, queue) = with_memory(processing()).await;
    let piped = ext.point(Process::default()).as_pipeline().run_report().await;
    assert_eq!(piped.value().unwrap().log, ["first", "around", "slow", "last", "/around"]);
    assert_eq!(piped.queued().len(), 1);
    let jobs = queue.list(JobFilter::default()).await.unwrap();
    let payload: Process = serde_json::from_slice(jobs[0].payload.as_bytes()).unwrap();
    assert_eq!(payload.log.last().unwrap(), "/around", "queued as the stages left it");
}

#[tokio::test]
async fn a_plain_fire_leaves_stages_out_with_a_reason_of_their_own() {
    let (ext, _) = with_memory(processing()).await;
    let fired = ext.fire(Process::default()).await.unwrap();
    assert_eq!(fired.point().log, ["first", "slow", "last"]);
    let reasons: Vec<_> = fired.skipped().iter().map(|one| (&*one.handler.name, one.reason)).collect();
    assert_eq!(reasons, [("Around", SkipReason::Stage)]);
    assert!(fired.is_success());
    let plan = ext.plan(&Process::default());
    assert_eq!(plan.fate_of("Around").unwrap().skip_reason(), Some(SkipReason::Stage));
}

#[tokio::test]
async fn a_failure_in_a_points_pipeline_names_the_stage_gives_the_point_back_and_queues_nothing() {
    let (ext, queue) = with_memory(processing()).await;
    for fail_in in ["last", "around"] {
        let point = Process { fail_in: fail_in.to_owned(), ..Process::default() };
        let error = ext.point(point).as_pipeline().run().await.unwrap_err();
        assert_eq!(error.stage().unwrap().to_lowercase(), fail_in);
        assert_eq!(error.error().unwrap().to_string(), format!("{fail_in} fails"));
        assert!(error.value().unwrap().log.contains(&"slow".to_owned()));
    }
    assert!(queue.list(JobFilter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_graceful_pipeline_of_a_point_goes_on_and_queues() {
    let (ext, queue) = with_memory(processing()).await;
    for graceful in [true, false] {
        let point = Process { fail_in: "first".to_owned(), ..Process::default() };
        let fire = ext.point(point);
        let pipeline =
            if graceful { fire.graceful().as_pipeline() } else { fire.as_pipeline().continue_on_failure() };
        let piped = pipeline.run_report().await;
        assert_eq!(piped.value().unwrap().log, ["first", "around", "slow", "last", "/around"]);
        assert!(!piped.is_success());
        assert_eq!(piped.fire().unwrap().errors[0].error.to_string(), "first fails");
    }
    assert_eq!(queue.list(JobFilter::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn registered_stages_stand_under_mutes_tags_choices_conditions_breakers_and_scopes() {
    let conditional = at(5).when::<Process>(|point, _| point.stop);
    let only_if = |point: &mut Process, _: &Context| {
        point.log.push("conditional".to_owned());
        Ok(())
    };
    let builder = processing().register_fn::<Process>("conditional", only_if, conditional);
    let (ext, _) = with_memory(builder).await;
    let run = async || ext.point(Process::default()).as_pipeline().run_report().await;
    let reason = |piped: &Piped<Process>, name: &str| match piped.fate_of(name) {
        Some(StageFate::Skipped { reason }) => Some(*reason),
        _ => None,
    };
    assert_eq!(reason(&run().await, "conditional"), Some(SkipReason::Condition));
    {
        let _muted = ext.mute::<Around>();
        let piped = run().await;
        assert_eq!(reason(&piped, "Around"), Some(SkipReason::Muted));
        assert_eq!(piped.value().unwrap().log, ["first", "slow", "last"]);
    }
    {
        let _disabled = ext.disable_tag("around");
        assert_eq!(reason(&run().await, "Around"), Some(SkipReason::Disabled));
    }
    ext.breaker_of::<Process, Around>().unwrap().open();
    assert_eq!(reason(&run().await, "Around"), Some(SkipReason::CircuitOpen));
    ext.breaker_of::<Process, Around>().unwrap().close();
    let chosen = ext.point(Process::default()).except::<Around>().as_pipeline().run_report().await;
    assert_eq!(reason(&chosen, "Around"), Some(SkipReason::NotChosen));
    assert!(chosen.queued().len() == 1);
    let import = ext.scope("import");
    import.register_stage::<Process, _>(Around, at(0).name("scoped"));
    let inside = import.run(async { run().await }).await;
    assert_eq!(inside.value().unwrap().log[..3], ["around", "first", "around"]);
    assert_eq!(run().await.fate_of("scoped"), None);
    assert!(ext.silenced(async { run().await }).await.is_silenced());
}

#[tokio::test]
async fn strict_mode_wants_a_handler_that_a_fire_runs_and_a_stage_is_none() {
    let ext = Extensions::builder().register_stage::<Process, _>(Around, at(1)).build().await.unwrap();
    let error = ext.point(Process::default()).strict().fire().await.unwrap_err();
    assert!(matches!(error.kind(), FireErrorKind::NoHandlers), "{error}");
    assert!(error.point::<Process>().is_some());
    let ran = ext.point(Process::default()).strict().as_pipeline().run().await;
    assert!(ran.is_ok(), "{ran:?}");
}

#[tokio::test]
async fn a_stage_that_stops_early_keeps_later_handlers_from_running_and_the_jobs_are_queued() {
    let (ext, _) = with_memory(processing()).await;
    let point = Process { stop: true, ..Process::default() };
    let piped = ext.point(point).as_pipeline().run_report().await;
    assert_eq!(piped.value().unwrap().log, ["first", "around", "/around"]);
    assert_eq!(piped.stopped_by(), Some("Around"));
    assert_eq!(piped.fate_of("last"), Some(&StageFate::NotReached));
    assert_eq!(piped.queued().len(), 1);
}

#[tokio::test]
async fn further_stages_come_behind_those_of_the_point_and_hooks_see_all_of_them() {
    let (ext, _) = with_memory(processing()).await;
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let done = ext
        .point(Process::default())
        .as_pipeline()
        .through_fn(|point, next| {
            Box::pin(async move {
                point.log.push("extra".to_owned());
                next.run(point).await
            })
        })
        .before_each(|_, _| {
            SEEN.fetch_add(1, Ordering::SeqCst);
        })
        .run()
        .await
        .unwrap();
    assert_eq!(done.log, ["first", "around", "slow", "last", "extra", "/around"]);
    assert_eq!(SEEN.load(Ordering::SeqCst), 5);
}

#[derive(Debug, Default, ExtensionPoint)]
#[extension_point(interruptible)]
struct Submit {
    cents: u64,
    reached: bool,
}

struct Reached;
impl Stage<Submit> for Reached {
    async fn handle(&self, point: &mut Submit, next: Next<'_, Submit>) -> HandlerResult {
        point.reached = true;
        next.run(point).await
    }
}

#[tokio::test]
async fn a_veto_stops_a_points_pipeline_and_never_reads_as_success() {
    let limit = |point: &mut Submit, _: &Context| {
        Ok(if point.cents > 100 { Verdict::veto("over the limit") } else { Verdict::Continue })
    };
    let ext = Extensions::builder()
        .register_fn::<Submit>("limit", limit, at(1))
        .register_stage::<Submit, _>(Reached, at(2))
        .build()
        .await
        .unwrap();
    assert!(ext.point(Submit::default()).as_pipeline().run().await.unwrap().reached);
    let run = async |cents| ext.point(Submit { cents, reached: false }).as_pipeline().run().await;
    let vetoed = run(101).await.unwrap_err();
    assert_eq!(vetoed.to_string(), "the pipeline failed: vetoed by `limit`: over the limit");
    assert!(!vetoed.value().unwrap().reached);
    let _muted = ext.mute_named("limit");
    let denied = run(1).await.unwrap_err();
    assert!(denied.failure().unwrap().veto().unwrap().unavailable, "{denied}");
    let silenced = ext.silenced(async { run(1).await }).await.unwrap_err();
    assert!(silenced.to_string().contains("is no consent"), "{silenced}");
}

#[derive(Debug, Default, ExtensionPoint)]
struct Checkout {
    log: Vec<String>,
}

#[extension_handler(Checkout, stage, priority = 10, tags = ["timing"])]
struct Timed {
    #[inject]
    unit: Arc<String>,
}
impl Stage<Checkout> for Timed {
    async fn handle(&self, checkout: &mut Checkout, next: Next<'_, Checkout>) -> HandlerResult {
        next.run(checkout).await?;
        checkout.log.push(format!("{} lines, in {}", checkout.log.len(), self.unit));
        Ok(())
    }
}

#[extension_handler(Checkout, priority = 20)]
fn validate(checkout: &mut Checkout) {
    checkout.log.push("validated".to_owned());
}

#[extension_handler(Checkout, stage)]
#[when(env = "production")]
struct OnlyLive;
impl Stage<Checkout> for OnlyLive {
    async fn handle(&self, _: &mut Checkout, _: Next<'_, Checkout>) -> HandlerResult {
        Err("ran".into())
    }
}

#[tokio::test]
async fn stages_are_registered_by_attribute_with_resources_and_conditions() {
    let builder = Extensions::builder().discover().environment("test").resource("milliseconds".to_owned());
    let ext = builder.build().await.unwrap();
    let piped = ext.point(Checkout::default()).as_pipeline().run_report().await;
    assert_eq!(piped.value().unwrap().log, ["validated", "1 lines, in milliseconds"]);
    assert_eq!(piped.fate_of("OnlyLive"), Some(&skipped(SkipReason::Condition)));
    let kinds: Vec<_> = ext.handlers_of::<Checkout>().iter().map(|info| info.kind.to_string()).collect();
    assert_eq!(kinds, ["stage", "inline", "stage"]);
    let error = Extensions::builder().discover().build().await.unwrap_err();
    assert!(error.to_string().contains("Timed"), "{error}");
}

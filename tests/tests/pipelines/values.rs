//! Any value goes through stages.

use super::*;

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

fn fates(piped: &Piped<Order>) -> Vec<(&str, StageFate)> {
    piped.stages().iter().map(|report| (&*report.stage.name, report.fate.clone())).collect()
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
    assert!(names.iter().all(|name| name.contains("tests/tests/pipelines/values.rs:")), "{names:?}");
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

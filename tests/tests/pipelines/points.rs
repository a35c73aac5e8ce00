//! A point goes through its own stages.

use super::*;

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

#[tokio::test]
async fn a_points_pipeline_runs_its_stages_by_priority_with_its_other_inline_handlers_between_them() {
    let (ext, queue) = on_memory(processing()).await;
    let piped = ext.point(Process::default()).as_pipeline().run_report().await;
    assert_eq!(piped.value().unwrap().log, ["first", "around", "slow", "last", "/around"]);
    assert_eq!(piped.queued().len(), 1);
    let jobs = queue.list(JobFilter::default()).await.unwrap();
    let payload: Process = serde_json::from_slice(jobs[0].payload.as_bytes()).unwrap();
    assert_eq!(payload.log.last().unwrap(), "/around", "queued as the stages left it");
}

#[tokio::test]
async fn a_plain_fire_leaves_stages_out_with_a_reason_of_their_own() {
    let (ext, _) = on_memory(processing()).await;
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
    let (ext, queue) = on_memory(processing()).await;
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
    let (ext, queue) = on_memory(processing()).await;
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
    let (ext, _) = on_memory(builder).await;
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
    let (ext, _) = on_memory(processing()).await;
    let point = Process { stop: true, ..Process::default() };
    let piped = ext.point(point).as_pipeline().run_report().await;
    assert_eq!(piped.value().unwrap().log, ["first", "around", "/around"]);
    assert_eq!(piped.stopped_by(), Some("Around"));
    assert_eq!(piped.fate_of("last"), Some(&StageFate::NotReached));
    assert_eq!(piped.queued().len(), 1);
}

#[tokio::test]
async fn further_stages_come_behind_those_of_the_point_and_hooks_see_all_of_them() {
    let (ext, _) = on_memory(processing()).await;
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

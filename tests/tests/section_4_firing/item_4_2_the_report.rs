//! 4.2: the report says what became of every handler, and a veto is `Ok` and no success.

use super::*;

#[derive(Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, output = u32)]
struct Asked {
    id: u32,
}

struct Answers;
impl Handler<Asked> for Answers {
    fn handle(&self, asked: &mut Asked, _: &Context) -> HandlerResult<u32> {
        asked.id += 1;
        Ok(asked.id)
    }
}
struct Fails;
impl Handler<Asked> for Fails {
    fn handle(&self, _: &mut Asked, _: &Context) -> HandlerResult<u32> {
        Err("cannot".into())
    }
}
struct Once;
impl AsyncHandler<Asked> for Once {
    async fn handle(&self, _: &Asked, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn it_has_outputs_errors_skips_with_reasons_jobs_duplicates_and_times() {
    let nine = |_: &mut Asked, _: &Context| Ok(9);
    let broken = |_: &mut Asked, _: &Context| -> HandlerResult<u32> { Err("always".into()) };
    let (ext, _queue) = on_memory(
        Extensions::builder()
            .register::<Asked, _>(Answers, at(1))
            .register::<Asked, _>(Fails, at(2).without_circuit_breaker())
            .register_fn::<Asked>("muted", nine, at(3))
            .register_fn::<Asked>("disabled", nine, at(4).tags(["off"]))
            .register_fn::<Asked>("elsewhere", nine, at(5).when_env(["elsewhere"]))
            .register_fn::<Asked>("open", broken, at(6).circuit_breaker(BreakerOptions::new().threshold(1)))
            .register_fn::<Asked>("left-out", nine, at(7))
            .register_async::<Asked, _>(Once, AsyncOptions::new().unique(true)),
    )
    .await;
    let fire = || ext.point(Asked { id: 1 }).graceful().except_named("left-out").fire();
    let first = fire().await.unwrap();
    assert_eq!(first.errors().len(), 2, "the broken one fails once, and opens its circuit");
    let (_muted, _disabled) = (ext.mute_named("muted"), ext.disable_tag("off"));
    let fired = fire().await.unwrap();
    assert_eq!((fired.point().id, fired.output_of::<Answers>()), (2, Some(&2)));
    assert_eq!(fired.error_of::<Fails>().unwrap().to_string(), "cannot");
    let why = skips(fired.skipped());
    let expected = [
        ("muted", SkipReason::Muted),
        ("disabled", SkipReason::Disabled),
        ("elsewhere", SkipReason::Condition),
        ("open", SkipReason::CircuitOpen),
        ("left-out", SkipReason::NotChosen),
    ];
    assert_eq!(why, expected.map(|(name, reason)| (name.to_owned(), reason)));
    assert!(fired.queued().is_empty() && !fired.is_success());
    assert_eq!(fired.duplicates()[0].of(), first.queued()[0].id());
    let data = serde_json::to_value(&fired).unwrap();
    assert_eq!((&data["skipped"][3]["reason"], &data["success"]), (&"circuit_open".into(), &false.into()));
    assert!(fired.total_time().is_none());
    assert_eq!(kind(fired.into_result()), "HandlersFailed");
}

#[tokio::test]
async fn who_vetoed_and_why_is_said_in_every_way_of_firing() {
    let (ext, _queue) = on_memory(shop()).await;
    let vetoed = || placed("", "first");
    let mut reports = vec![
        ext.fire(vetoed()).await.unwrap().into_report(),
        ext.fire_sync(vetoed()).unwrap().into_report(),
        ext.point(vetoed()).fire().await.unwrap().into_report(),
        ext.point(vetoed()).graceful().fire_sync().unwrap().into_report(),
        ext.point(vetoed()).for_tenant("acme").fire().await.unwrap().into_report(),
        ext.scope("inside").run(async { ext.fire(vetoed()).await }).await.unwrap().into_report(),
        ext.fire_boxed(Box::new(vetoed())).await.unwrap(),
    ];
    for fired in ext.fire_many([vetoed(), vetoed()]).await {
        reports.push(fired.unwrap().into_report());
    }
    for report in &reports {
        let veto = report.veto.as_ref().expect("a veto");
        assert_eq!((veto.by(), veto.reason(), veto.unavailable), ("first", "first is against it", false));
    }
    let fired = ext.fire(vetoed()).await.unwrap();
    assert!(!fired.is_success());
    assert_eq!(kind(fired.into_result()), "Vetoed");
    assert!(!ext.allows(vetoed()).await.unwrap() && !ext.point(vetoed()).allows_sync().unwrap());
}

#[tokio::test]
async fn times_are_there_while_profiling_is_on() {
    let (ext, _queue) = on_memory(shop().profiling(true)).await;
    for fired in [ext.fire(placed("", "")).await.unwrap(), ext.fire_sync(placed("", "")).unwrap()] {
        let timed: Vec<_> = fired.durations().iter().map(|(name, _)| &**name).collect();
        assert_eq!(timed, ["first", "second"]);
        assert!(fired.total_time().is_some());
    }
}

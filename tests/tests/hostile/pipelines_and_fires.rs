use super::*;

struct Guard;
impl Handler<Asked> for Guard {
    fn handle(&self, _: &mut Asked, _: &Context) -> HandlerResult<Verdict> {
        Ok(Verdict::Continue)
    }
}

#[tokio::test]
async fn a_muted_guard_that_is_no_part_of_the_fire_denies_neither_a_fire_nor_a_pipeline() {
    let options = at(1).when::<Asked>(|_, _| false);
    let ext = built(Extensions::builder().register::<Asked, _>(Guard, options)).await;
    let _muted = ext.mute::<Guard>();
    let fired = ext.fire(Asked).await.unwrap();
    assert!(fired.veto().is_none());
    let piped = ext.point(Asked).as_pipeline().run_report().await;
    assert!(piped.failure().is_none(), "{:?}", piped.failure());
    assert_eq!(piped.stages()[0].fate, StageFate::Skipped { reason: SkipReason::Condition });
}

/// Never answers.
struct Ponders;
impl AwaitedHandler<Asked> for Ponders {
    async fn handle(&self, _: &mut Asked, _: &Context) -> HandlerResult<Verdict> {
        std::future::pending().await
    }
}

/// Does not wait for the rest.
struct Hurries;
impl Stage<Asked> for Hurries {
    async fn handle(&self, asked: &mut Asked, next: Next<'_, Asked>) -> HandlerResult {
        let _ = tokio::time::timeout(Duration::from_millis(1), next.run(asked)).await;
        Ok(())
    }
}

#[tokio::test]
async fn a_guard_that_a_stage_around_it_did_not_let_answer_is_no_consent() {
    let builder = Extensions::builder()
        .register_stage::<Asked, _>(Hurries, at(1))
        .register_awaited::<Asked, _>(Ponders, at(2));
    let ext = built(builder).await;
    let piped = ext.point(Asked).as_pipeline().run_report().await;
    assert_eq!(piped.stages()[1].fate, StageFate::Unfinished);
    assert!(piped.failure().is_some());
}

//! What hostile code and hostile timing must not break: handlers that drop what they hold at the worst moment, futures that are dropped
//! at every await, panics where none is expected, and counters that have to come back to zero.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use extensions::fire::{
    FireInfo, FireLayer, FireOutcome, NextFire, NextPush, PushLayer, SkipReason, StageFate,
};

use extensions::job::NewJob;
use extensions::prelude::*;
use extensions::queue::{Pushed, QueueError};
use extensions::{BreakerStatus, ExtensionsBuilder, Fired, Registration, SwitchGuard};
use serde::{Deserialize, Serialize};
use tests::kit::{by_hand, in_time, on_memory, work};

#[derive(Debug, Default, Clone, ExtensionPoint)]
struct Tick {
    seen: Vec<String>,
}

#[derive(Debug, Default, Clone, ExtensionPoint)]
struct Beat;

#[derive(Debug, Default, Clone, ExtensionPoint)]
#[extension_point(interruptible)]
struct Asked;

#[derive(Debug, Default, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Sent {
    id: u64,
}

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

async fn built(builder: ExtensionsBuilder) -> Extensions {
    builder.build().await.unwrap()
}

/// Does a thing that must not block for ever, on a thread of its own.
fn ends<T: Send + 'static>(what: &str, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(call()));
    ended.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{what} never ends"))
}

/// Whether a fire of a plain point is as cheap as on the day of the start-up.
fn is_quiet(ext: &Extensions) -> bool {
    ext.fire_sync(Beat).unwrap();
    allocation_counter::measure(|| drop(ext.fire_sync(Beat))).count_total == 0
}

fn with_beat(builder: ExtensionsBuilder) -> ExtensionsBuilder {
    builder.register_fn::<Beat>("beat", |_, _| Ok(()), HandlerOptions::new())
}

mod what_is_dropped_under_a_change {
    use super::*;

    /// Holds a guard, and so changes the instance when it goes.
    struct Holds {
        _registration: Registration,
        _mute: SwitchGuard,
    }
    impl Handler<Tick> for Holds {
        fn handle(&self, _: &mut Tick, _: &Context) -> HandlerResult {
            Ok(())
        }
    }

    fn holds(ext: &Extensions) -> Holds {
        let _registration = ext.register_fn::<Beat>("beat", |_, _| Ok(()), HandlerOptions::new()).unwrap();
        Holds { _registration, _mute: ext.mute_named("beat") }
    }

    #[tokio::test]
    async fn a_handler_that_is_refused_may_change_the_instance_when_it_is_dropped() {
        let taken = |_: &mut Tick, _: &Context| Ok(());
        let ext = built(Extensions::builder().register_fn::<Tick>("taken", taken, at(1))).await;
        let again = ext.clone();
        ends("the refusal", move || {
            again.register::<Tick, _>(holds(&again), at(1).name("taken")).unwrap_err();
        });
        assert!(!ext.has_handlers::<Beat>());
        assert!(ext.switched_off().muted.is_empty());
    }

    #[tokio::test]
    async fn a_handler_that_a_scope_refuses_may_change_the_scope_when_it_is_dropped() {
        struct Leaves(Option<extensions::Scope>);
        impl Handler<Tick> for Leaves {
            fn handle(&self, _: &mut Tick, _: &Context) -> HandlerResult {
                Ok(())
            }
        }
        impl Drop for Leaves {
            fn drop(&mut self) {
                if let Some(scope) = self.0.take() {
                    scope.register_fn::<Beat>("last", |_, _| Ok(()), HandlerOptions::new());
                }
            }
        }
        let ext = built(Extensions::builder()).await;
        ends("the refusal", move || {
            let scope = ext.scope("import");
            scope.register_fn::<Tick>("taken", |_, _| Ok(()), at(1));
            let leaves = Leaves(Some(ext.scope("import")));
            let refused = Registrations::new().register::<Tick, _>(leaves, at(1).name("taken"));
            scope.register_many(refused).unwrap_err();
        });
    }

    #[tokio::test]
    async fn a_handler_without_a_queue_may_change_the_instance_when_it_is_dropped() {
        struct Later(#[allow(dead_code)] SwitchGuard);
        impl AsyncHandler<Sent> for Later {
            async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
                Ok(())
            }
        }
        let ext = built(Extensions::builder()).await;
        ends("the refusal", move || {
            let later = Later(ext.mute_named("nobody"));
            ext.register_async::<Sent, _>(later, AsyncOptions::new()).unwrap_err();
            let later = Later(ext.mute_named("nobody"));
            ext.register_async::<Sent, _>(later, AsyncOptions::new().priority(77)).unwrap_err();
        });
    }
}

mod panics {
    use super::*;

    /// Panics when it is shown.
    #[derive(Debug)]
    struct Unspeakable;
    impl std::fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("unspeakable")
        }
    }
    impl std::error::Error for Unspeakable {}

    /// Panics when it is dropped.
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped")
        }
    }

    /// A future that is done at once, and panics when it is dropped.
    struct Trap(#[allow(dead_code)] Bomb);
    impl Future for Trap {
        type Output = HandlerResult;
        fn poll(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<HandlerResult> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_stage_whose_error_panics_when_it_is_shown_has_failed_and_no_other() {
        let ext = built(Extensions::builder()).await;
        let pipeline = |keep_going: bool| {
            let pipeline = ext
                .pipeline(0)
                .through_fn(|value, next| Box::pin(async move { next.run(value).await }))
                .named("outer")
                .through_fn(|_, _| Box::pin(async { Err(Unspeakable.into()) }))
                .named("inner");
            if keep_going { pipeline.continue_on_failure() } else { pipeline }
        };
        let piped = pipeline(false).run_report().await;
        assert_eq!(piped.failure().unwrap().stage(), Some("inner"));
        let piped = pipeline(true).run_report().await;
        assert!(piped.failure().is_none());
        assert_eq!(piped.stages()[0].fate, StageFate::Ran);
        let alone =
            ext.pipeline(0).through_fn(|_, _| Box::pin(async { Err(Unspeakable.into()) })).named("alone");
        assert_eq!(alone.run_report().await.failure().unwrap().stage(), Some("alone"));
    }

    struct Refuses;
    impl FireLayer for Refuses {
        async fn fire(&self, _: &FireInfo, _: NextFire<'_>) -> HandlerResult<FireOutcome> {
            Err(Unspeakable.into())
        }
    }

    #[tokio::test]
    async fn a_layer_whose_error_panics_when_it_is_shown_refuses_the_fire() {
        let ext = built(with_beat(Extensions::builder()).fire_layer(Refuses)).await;
        let error = ext.fire(Beat).await.unwrap_err();
        assert!(error.point::<Beat>().is_some(), "{error}");
    }

    #[tokio::test]
    async fn a_fake_records_a_fire_whose_error_panics_when_it_is_shown() {
        let fails = |_: &mut Beat, _: &Context| Err(Unspeakable.into());
        let ext = built(Extensions::fake().register_fn::<Beat>("fails", fails, at(1))).await;
        ext.fire(Beat).await.unwrap_err();
        ext.point(Beat).graceful().fire().await.unwrap();
        ext.assert_fired_times::<Beat>(2);
    }

    #[tokio::test]
    async fn what_a_handler_panics_with_may_panic_when_it_is_dropped() {
        let explodes = |_: &mut Beat, _: &Context| std::panic::panic_any(Bomb);
        let ext = built(Extensions::builder().register_fn::<Beat>("explodes", explodes, at(1))).await;
        let error = ext.fire_sync(Beat).unwrap_err();
        assert!(error.report().errors[0].error.is_panic());
        let error = ext.point(Beat).strict().fire().await.unwrap_err();
        assert!(error.report().errors[0].error.is_panic());
    }

    #[tokio::test]
    async fn an_awaited_handler_whose_future_panics_when_it_is_dropped_has_panicked() {
        struct Traps;
        impl AwaitedHandler<Beat> for Traps {
            fn handle(&self, _: &mut Beat, _: &Context) -> impl Future<Output = HandlerResult> + Send {
                Trap(Bomb)
            }
        }
        let ext = built(Extensions::builder().register_awaited::<Beat, _>(Traps, at(1))).await;
        let error = ext.fire(Beat).await.unwrap_err();
        assert!(error.report().errors[0].error.is_panic());
        let fired = ext.point(Beat).graceful().fire().await.unwrap();
        assert!(fired.errors()[0].error.is_panic());
    }

    #[tokio::test]
    async fn a_job_whose_future_panics_when_it_is_dropped_has_failed() {
        struct Traps;
        impl AsyncHandler<Sent> for Traps {
            fn handle(&self, _: &Sent, _: &Job) -> impl Future<Output = HandlerResult> + Send {
                Trap(Bomb)
            }
        }
        let options = AsyncOptions::new().max_attempts(1);
        let (ext, _queue) = on_memory(Extensions::builder().register_async::<Sent, _>(Traps, options)).await;
        ext.fire(Sent { id: 1 }).await.unwrap();
        let report = in_time("the work", work(&ext)).await;
        assert_eq!((report.dead, report.completed), (1, 0));
    }

    #[tokio::test]
    async fn after_each_is_told_of_a_stage_that_panicked() {
        let ext = built(Extensions::builder()).await;
        let log = Arc::new(Mutex::new(Vec::new()));
        let (before, after) = (Arc::clone(&log), Arc::clone(&log));
        let piped = ext
            .pipeline(0)
            .before_each(move |stage, _| before.lock().unwrap().push(format!("<{}", stage.name)))
            .after_each(move |stage, _| after.lock().unwrap().push(format!("{}>", stage.name)))
            .through_fn(|_, _| Box::pin(async { panic!("boom") }))
            .named("odd")
            .continue_on_failure()
            .run_report()
            .await;
        assert!(piped.failure().is_none());
        assert_eq!(*log.lock().unwrap(), ["<odd", "odd>"]);
    }
}

mod pipelines_and_fires {
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
}

mod layers {
    use super::*;

    /// Answers for fewer jobs than it was given.
    struct Forgets;
    impl PushLayer for Forgets {
        async fn push(&self, jobs: Arc<[NewJob]>, next: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
            let mut pushed = next.run(jobs).await?;
            pushed.pop();
            Ok(pushed)
        }
    }

    struct Mail;
    impl AsyncHandler<Sent> for Mail {
        async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_layer_that_answers_for_too_few_jobs_is_an_error_of_the_push() {
        let builder = Extensions::builder().push_layer(Forgets);
        let builder = builder.register_async::<Sent, _>(Mail, AsyncOptions::new());
        let (ext, _queue) = on_memory(builder).await;
        let error = ext.fire(Sent { id: 1 }).await.unwrap_err();
        assert_eq!(error.unqueued().len(), 1);
        let fired = ext.fire_many([Sent { id: 1 }, Sent { id: 2 }]).await;
        assert!(fired.iter().all(Result::is_err));
    }
}

mod names {
    use super::*;

    #[tokio::test]
    async fn a_name_is_muted_also_before_anyone_has_it_and_where_only_a_scope_or_a_stage_does() {
        let ext = built(Extensions::builder()).await;
        let muted = ext.mute_named("later");
        assert!(ext.is_muted_named("later"));
        let scope = ext.scope("import");
        scope.register_fn::<Tick>("later", |_, _| Err("it is muted".into()), at(1));
        scope.run(ext.fire(Tick::default())).await.unwrap();
        assert!(ext.is_muted_named("later"));
        drop(muted);
        assert!(!ext.is_muted_named("later"));
    }
}

/// An await that a future can be dropped at.
async fn pause() {
    tokio::task::yield_now().await;
}

/// Polls a future so often, and drops it. Answers whether it ended before.
async fn drop_after<F: Future>(polls: u32, future: F) -> bool {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if std::future::poll_fn(|task| Poll::Ready(future.as_mut().poll(task).is_ready())).await {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

mod counters_come_back_to_zero {
    use super::*;

    struct Waits;
    impl AwaitedHandler<Tick> for Waits {
        async fn handle(&self, tick: &mut Tick, cx: &Context) -> HandlerResult {
            pause().await;
            if tick.seen.len() < 2 {
                let mut seen = tick.seen.clone();
                seen.push("outer".to_owned());
                let ext = cx.extensions();
                ext.user("7").run(cx.fire(Tick { seen })).await?;
            }
            pause().await;
            Ok(())
        }
    }

    struct Slowly;
    impl Stage<Tick> for Slowly {
        async fn handle(&self, tick: &mut Tick, next: Next<'_, Tick>) -> HandlerResult {
            pause().await;
            next.run(tick).await?;
            pause().await;
            Ok(())
        }
    }

    struct Around;
    impl FireLayer for Around {
        async fn fire(&self, _: &FireInfo, next: NextFire<'_>) -> HandlerResult<FireOutcome> {
            pause().await;
            let outcome = next.run().await;
            pause().await;
            outcome
        }
    }

    fn waiting(builder: ExtensionsBuilder) -> ExtensionsBuilder {
        with_beat(builder)
            .circuit_breaker(
                BreakerOptions::new()
                    .threshold(1)
                    .timeout(Duration::from_millis(1))
                    .half_open_max(1)
                    .successes(1),
            )
            .register_awaited::<Tick, _>(Waits, at(1))
            .register_stage::<Tick, _>(Slowly, at(2))
    }

    #[tokio::test]
    async fn a_fire_that_is_dropped_at_any_await_leaves_nothing_behind() {
        let (clock, builder) = by_hand();
        let ext = built(waiting(builder)).await;
        let breaker = ext.breaker_of::<Tick, Waits>().unwrap();
        let call = ext.circuit_breaker("call");
        for probing in [false, true] {
            for polls in 0..40 {
                if probing {
                    call.call(async { Err::<(), _>("no") }).await.ok();
                    clock.advance(Duration::from_millis(1));
                }
                let fire = || ext.fire(Tick::default());
                drop_after(polls, fire()).await;
                drop_after(polls, ext.tenant("acme").run(fire())).await;
                drop_after(
                    polls,
                    ext.silenced(async {
                        pause().await;
                        fire().await
                    }),
                )
                .await;
                drop_after(polls, ext.as_global(extensions::fire(Tick::default()))).await;
                drop_after(polls, ext.point(Tick::default()).for_tenant("acme").fire()).await;
                drop_after(polls, ext.point(Tick::default()).as_pipeline().run_report()).await;
                drop_after(polls, ext.fire_many([Tick::default(), Tick::default()])).await;
                drop_after(
                    polls.min(3),
                    call.call(async {
                        pause().await;
                        pause().await;
                        pause().await;
                        Ok::<_, ()>(())
                    }),
                )
                .await;
                assert!(is_quiet(&ext), "after {polls} polls");
            }
        }
        // Each probe that was dropped gave its place back.
        call.call(async { Ok::<_, ()>(()) }).await.unwrap();
        assert_eq!(call.status(), BreakerStatus::Closed);
        assert_eq!(breaker.failure_count(), 0);
        in_time("a fire", ext.fire(Tick::default())).await.unwrap();
    }

    #[tokio::test]
    async fn a_layered_fire_that_is_dropped_at_any_await_leaves_the_breaker_as_it_was() {
        let ext = built(waiting(Extensions::builder()).fire_layer(Around)).await;
        let breaker = ext.breaker_of::<Tick, Waits>().unwrap();
        for polls in 0..30 {
            drop_after(polls, ext.fire(Tick::default())).await;
            drop_after(polls, ext.point(Tick::default()).for_tenant("acme").fire()).await;
        }
        assert_eq!(breaker.status(), BreakerStatus::Closed);
        in_time("a fire", ext.fire(Tick::default())).await.unwrap();
    }

    #[tokio::test]
    async fn ten_thousand_scopes_and_instances_leave_nothing_behind() {
        let ext = built(with_beat(Extensions::builder())).await;
        for n in 0..10_000 {
            let scope = ext.scope(format!("import-{n}"));
            if n % 100 == 0 {
                scope.register_fn::<Beat>("scoped", |_, _| Ok(()), at(1));
            }
            drop_after(n % 2, scope.run(std::future::pending::<()>())).await;
        }
        assert!(is_quiet(&ext));
        let shared = Arc::new(());
        for _ in 0..200 {
            let held = Arc::clone(&shared);
            let handler = move |_: &mut Beat, _: &Context| {
                let _ = &held;
                Ok(())
            };
            let ext = built(Extensions::builder().register_fn::<Beat>("holds", handler, at(1))).await;
            let mute = ext.mute_named("holds");
            let breaker = ext.breaker_of_named::<Beat>("holds").unwrap();
            breaker.open();
            drop(ext);
            breaker.close();
            drop(mute);
        }
        assert_eq!(Arc::strong_count(&shared), 1);
    }

    #[test]
    fn changes_from_many_threads_while_others_fire_end_where_they_began() {
        let ext = tokio::runtime::Runtime::new().unwrap().block_on(built(with_beat(Extensions::builder())));
        let over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let changing: Vec<_> = (0..4)
                .map(|thread| {
                    let ext = ext.clone();
                    threads.spawn(move || {
                        for n in 0..200 {
                            let name = format!("{thread}-{n}");
                            let mine = ext.register_fn::<Beat>(name.clone(), |_, _| Ok(()), at(n)).unwrap();
                            let breaker = ext.breaker_of_named::<Beat>(&name).unwrap();
                            breaker.open();
                            let mute = ext.mute_named("beat");
                            let fired = ext.fire_sync(Beat).unwrap();
                            let skipped: Vec<_> =
                                fired.skipped().iter().map(|one| one.handler.name.to_string()).collect();
                            assert!(skipped.contains(&name) && skipped.contains(&"beat".to_owned()));
                            if n % 2 == 0 {
                                drop(mine)
                            } else {
                                breaker.reset();
                                drop(mine)
                            }
                            drop(mute);
                        }
                    })
                })
                .collect();
            for _ in 0..2 {
                threads.spawn(|| {
                    while !over.load(SeqCst) {
                        ext.fire_sync(Beat).unwrap();
                    }
                });
            }
            let results: Vec<_> = changing.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            over.store(true, SeqCst);
            assert!(results.iter().all(Result::is_ok));
        });
        assert!(is_quiet(&ext));
        assert_eq!(ext.count_handlers::<Beat>(), 1);
    }
}

mod the_quick_way_and_the_long_one {
    use super::*;

    #[derive(Debug, Default, Clone, Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, interruptible)]
    struct Judged {
        seen: Vec<String>,
        depth: u32,
    }

    #[derive(Clone, Copy, Debug)]
    enum Does {
        Nothing,
        Errs,
        Panics,
        Vetoes,
        Fires,
        IgnoresNested,
    }
    const ALL: [Does; 9] = [
        Does::Nothing,
        Does::Nothing,
        Does::Nothing,
        Does::Nothing,
        Does::Errs,
        Does::Panics,
        Does::Vetoes,
        Does::Fires,
        Does::IgnoresNested,
    ];

    fn begins(does: Does, name: &str, judged: &mut Judged) -> HandlerResult<Verdict> {
        judged.seen.push(name.to_owned());
        match does {
            Does::Errs => Err(format!("{name} errs").into()),
            Does::Panics => panic!("{name} panics"),
            Does::Vetoes => Ok(Verdict::veto(name)),
            _ => Ok(Verdict::Continue),
        }
    }

    fn deeper(judged: &Judged) -> Judged {
        Judged { seen: Vec::new(), depth: judged.depth + 1 }
    }

    fn say<P>(
        nested: Result<Fired<P>, FireError>,
        judged: &mut Judged,
        ignores: bool,
    ) -> HandlerResult<Verdict>
    where
        P: ExtensionPoint,
    {
        judged.seen.push(match &nested {
            Ok(fired) => format!("nested {:?}", fired.veto().map(|veto| veto.reason().to_owned())),
            Err(error) => format!("nested {error}"),
        });
        if !ignores {
            nested?;
        }
        Ok(Verdict::Continue)
    }

    struct Plain(Does, String);
    impl Handler<Judged> for Plain {
        fn handle(&self, judged: &mut Judged, cx: &Context) -> HandlerResult<Verdict> {
            let verdict = begins(self.0, &self.1, judged)?;
            if matches!(self.0, Does::Fires | Does::IgnoresNested) && judged.depth < 2 {
                return say(cx.fire_sync(deeper(judged)), judged, matches!(self.0, Does::IgnoresNested));
            }
            Ok(verdict)
        }
    }

    struct Awaits(Does, String);
    impl AwaitedHandler<Judged> for Awaits {
        async fn handle(&self, judged: &mut Judged, cx: &Context) -> HandlerResult<Verdict> {
            tokio::task::yield_now().await;
            let verdict = begins(self.0, &self.1, judged)?;
            if matches!(self.0, Does::Fires | Does::IgnoresNested) && judged.depth < 2 {
                return say(cx.fire(deeper(judged)).await, judged, matches!(self.0, Does::IgnoresNested));
            }
            Ok(verdict)
        }
    }

    struct Later;
    impl AsyncHandler<Judged> for Later {
        async fn handle(&self, _: &Judged, _: &Job) -> HandlerResult {
            Ok(())
        }
    }

    fn instance(rng: &mut fastrand::Rng, builder: ExtensionsBuilder) -> ExtensionsBuilder {
        let mut builder = builder.graceful(rng.bool());
        let builder_awaits = rng.bool();
        for n in 0..rng.usize(1..6) {
            let (does, name) = (ALL[rng.usize(..ALL.len())], format!("h{n}"));
            let options = at(rng.i32(0..4)).name(name.clone());
            builder = if builder_awaits && rng.bool() {
                builder.register_awaited::<Judged, _>(Awaits(does, name), options)
            } else {
                builder.register::<Judged, _>(Plain(does, name), options)
            };
        }
        if rng.bool() { builder.register_async::<Judged, _>(Later, AsyncOptions::new()) } else { builder }
    }

    /// All that a fire says.
    async fn told(ext: &Extensions, sync: bool) -> String {
        let fired = if sync { ext.fire_sync(Judged::default()) } else { ext.fire(Judged::default()).await };
        let failures = |errors: &[extensions::fire::HandlerFailure]| {
            errors.iter().map(|one| format!("{}: {}", one.handler.name, one.error)).collect::<Vec<_>>()
        };
        match fired {
            Ok(fired) => format!(
                "{:?} {:?} {:?} {:?} {:?} {} jobs",
                fired.point(),
                fired
                    .outputs_by_handler()
                    .map(|(info, output)| (info.name.to_string(), output.clone()))
                    .collect::<Vec<_>>(),
                failures(fired.errors()),
                fired.veto().map(|veto| (veto.by().to_owned(), veto.reason().to_owned())),
                fired.skipped().len(),
                fired.queued().len(),
            ),
            Err(error) => {
                format!("{error} {:?} {:?}", error.point::<Judged>(), failures(&error.report().errors))
            }
        }
    }

    #[tokio::test]
    async fn an_unrelated_mute_changes_nothing_of_what_a_fire_does() {
        for seed in 0..400 {
            let mut all = Vec::new();
            for muted in [false, true] {
                let (clock, builder) = by_hand();
                let (ext, queue) = on_memory(instance(&mut fastrand::Rng::with_seed(seed), builder)).await;
                let _mute = muted.then(|| ext.mute_named("somebody-else"));
                let mut told_of = Vec::new();
                // Often enough to open circuits on the way.
                for n in 0..21 {
                    told_of.push(told(&ext, n % 2 == 0).await);
                    told_of.push(format!("{:?}", ext.breakers()));
                    if n % 7 == 6 {
                        clock.advance(Duration::from_secs(60));
                    }
                }
                told_of.push(format!(
                    "{:?}",
                    queue
                        .stats()
                        .await
                        .unwrap()
                        .iter()
                        .map(extensions::queue::QueueStats::unfinished)
                        .collect::<Vec<_>>()
                ));
                all.push(told_of);
            }
            for (n, (quick, long)) in all[0].iter().zip(&all[1]).enumerate() {
                assert_eq!(quick, long, "seed {seed}, line {n}");
            }
        }
    }
}

mod what_calls_itself {
    use super::*;

    #[tokio::test]
    async fn a_handler_may_unregister_mute_and_open_itself_while_it_runs_and_is_dropped_after_the_fire() {
        let ext = built(with_beat(Extensions::builder())).await;
        let (own, kept) = (Arc::new(Mutex::new(None::<Registration>)), Arc::new(Mutex::new(Vec::new())));
        let (mine, mutes, dropped) = (Arc::clone(&own), Arc::clone(&kept), Arc::new(()));
        let held = Arc::clone(&dropped);
        let registration = ext
            .register_fn::<Tick>(
                "own",
                move |tick, cx| {
                    let ext = cx.extensions();
                    tick.seen.push(held_by(&held));
                    mutes.lock().unwrap().push(ext.mute_named("own"));
                    ext.breaker_of_named::<Tick>("own").unwrap().open();
                    drop(mine.lock().unwrap().take());
                    let nested = cx.fire_sync(Tick::default()).map_err(extensions::BoxError::from)?;
                    assert!(nested.point().seen.is_empty());
                    tick.seen.push(held_by(&held));
                    Ok(())
                },
                at(1),
            )
            .unwrap();
        *own.lock().unwrap() = Some(registration);
        let fired = ext.fire_sync(Tick::default()).unwrap();
        assert_eq!(fired.point().seen, ["2", "2"]);
        assert_eq!(Arc::strong_count(&dropped), 1);
        assert!(!ext.has_handlers::<Tick>());
        kept.lock().unwrap().clear();
        assert!(is_quiet(&ext));
    }

    fn held_by(held: &Arc<()>) -> String {
        Arc::strong_count(held).to_string()
    }

    #[tokio::test]
    async fn a_handler_may_register_another_when_it_is_dropped() {
        struct Heir(Extensions);
        impl Handler<Tick> for Heir {
            fn handle(&self, _: &mut Tick, _: &Context) -> HandlerResult {
                Ok(())
            }
        }
        impl Drop for Heir {
            fn drop(&mut self) {
                self.0.register_fn::<Tick>("heir", |_, _| Ok(()), at(1)).unwrap().keep();
            }
        }
        let ext = built(Extensions::builder()).await;
        let again = ext.clone();
        let names = ends("the unregistering", move || {
            let registration = again.register::<Tick, _>(Heir(again.clone()), at(1).name("first")).unwrap();
            drop(registration);
            let second = Heir(again.clone());
            again.unregister_all::<Tick>();
            again.register::<Tick, _>(second, at(1).name("second")).unwrap().keep();
            again.unregister_all::<Tick>();
            tests::kit::names::<Tick>(&again)
        });
        assert_eq!(names, ["heir"]);
        ext.unregister_all::<Tick>();
    }

    #[tokio::test]
    async fn hooks_and_observers_may_fire_the_point_that_they_are_told_of() {
        let (told, hooked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None::<Extensions>)));
        let (observed, hook) = (Arc::clone(&told), Arc::clone(&hooked));
        let hook_told = Arc::clone(&told);
        let ext = built(
            Extensions::builder()
                .circuit_breaker(BreakerOptions::new().threshold(1))
                .register_fn::<Tick>("fails", |_, _| Err("no".into()), at(1))
                .on_breaker_change(move |change| {
                    let ext = hook.lock().unwrap().clone().unwrap();
                    let fired = ext.point(Tick::default()).unobserved().fire_sync().unwrap();
                    hook_told.lock().unwrap().push(format!("{} {:?}", change.to, fired.skipped()[0].reason));
                })
                .observer(move |fire: &extensions::fire::Observed<'_>| {
                    observed.lock().unwrap().push(format!("fired, error: {}", fire.error().is_some()));
                }),
        )
        .await;
        *hooked.lock().unwrap() = Some(ext.clone());
        ext.fire(Tick::default()).await.unwrap_err();
        hooked.lock().unwrap().take();
        assert_eq!(*told.lock().unwrap(), ["open CircuitOpen", "fired, error: true"]);
    }

    #[tokio::test]
    async fn fires_nest_down_to_the_limit_on_the_stack_of_a_thread() {
        let deeper = |tick: &mut Tick, cx: &Context| {
            let error = cx.fire_sync(Tick::default()).err();
            tick.seen.extend(error.map(|error| error.to_string()));
            Ok(())
        };
        let ext = built(Extensions::builder().register_fn::<Tick>("deeper", deeper, at(1))).await;
        for muted in [false, true] {
            let _mute = muted.then(|| ext.mute_named("nobody"));
            let again = ext.clone();
            ends("the deepest fire", move || again.fire_sync(Tick::default()).unwrap());
        }
        struct Deeper;
        impl AwaitedHandler<Tick> for Deeper {
            async fn handle(&self, tick: &mut Tick, cx: &Context) -> HandlerResult {
                let ext = cx.extensions();
                let nested = ext.tenant("acme").run(ext.silenced(async { pause().await })).await;
                let () = nested;
                if let Err(error) = ext.user("7").run(cx.fire(Tick::default())).await {
                    tick.seen.push(error.to_string());
                }
                Ok(())
            }
        }
        let ext = built(with_beat(Extensions::builder().register_awaited::<Tick, _>(Deeper, at(1)))).await;
        in_time("the deepest fire", ext.fire(Tick::default())).await.unwrap();
        assert!(is_quiet(&ext));
    }
}

mod huge {
    use super::*;

    #[tokio::test]
    async fn ten_thousand_handlers_come_and_go() {
        let ext = built(with_beat(Extensions::builder())).await;
        let list = (0..10_000).fold(Registrations::new(), |list, n| {
            list.register_fn::<Tick>(format!("h{n}"), |_, _| Ok(()), at(n % 7))
        });
        let registration = ext.register_many(list).unwrap();
        assert_eq!(ext.count_handlers::<Tick>(), 10_000);
        ext.fire(Tick::default()).await.unwrap();
        ext.fire_many((0..100).map(|_| Tick::default())).await;
        drop(registration);
        assert!(is_quiet(&ext));
        let some: Vec<_> = (0..300)
            .map(|n| ext.register_fn::<Tick>(format!("h{n}"), |_, _| Ok(()), at(1)).unwrap())
            .collect();
        drop(some);
        let many = ext.fire_many((0..100_000).map(|_| Beat)).await;
        assert!(many.iter().all(Result::is_ok));
        let guards: Vec<_> = (0..2_000).map(|n| ext.mute_named(format!("m{n}"))).collect();
        drop(guards);
        assert!(is_quiet(&ext));
    }
}

mod in_place {
    use super::*;

    #[tokio::test]
    async fn a_sync_push_that_is_dropped_frees_its_unique_key_when_its_jobs_have_ended() {
        struct Waits(Arc<tokio::sync::Semaphore>);
        impl AsyncHandler<Sent> for Waits {
            async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
                self.0.acquire().await.unwrap().forget();
                Ok(())
            }
        }
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let ext = built(
            Extensions::builder()
                .queue_url("sync:")
                .register_async::<Sent, _>(Waits(Arc::clone(&gate)), AsyncOptions::new().unique(true)),
        )
        .await;
        assert!(!drop_after(20, ext.fire(Sent { id: 1 })).await);
        assert_eq!(ext.fire(Sent { id: 1 }).await.unwrap().duplicates().len(), 1);
        gate.add_permits(10);
        tests::kit::until("the key to be free", async || {
            ext.fire(Sent { id: 1 }).await.unwrap().duplicates().is_empty().then_some(())
        })
        .await;
    }

    #[tokio::test]
    async fn run_queued_that_is_dropped_is_run_again() {
        struct Waits(AtomicU32);
        impl AsyncHandler<Sent> for Waits {
            async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
                if self.0.fetch_add(1, SeqCst) == 0 { std::future::pending().await } else { Ok(()) }
            }
        }
        let waits = Waits(AtomicU32::new(0));
        let ext = built(Extensions::fake().register_async::<Sent, _>(waits, AsyncOptions::new())).await;
        ext.fire(Sent { id: 1 }).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(200), ext.run_queued()).await.is_err());
        ext.advance(Duration::from_secs(3600));
        let report = in_time("the second run", ext.run_queued_until_idle()).await;
        assert_eq!(report.completed, 1, "{report:?}");
    }
}

mod open_circuits {
    use super::*;

    struct Works;
    impl AsyncHandler<Sent> for Works {
        async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
            Ok(())
        }
    }

    #[tokio::test]
    async fn two_workers_drain_a_queue_past_a_circuit_that_opens_and_closes() {
        struct Flaky(Arc<AtomicU32>);
        impl AsyncHandler<Sent> for Flaky {
            async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
                pause().await;
                let runs = self.0.fetch_add(1, SeqCst);
                if runs < 2 { Err("not yet".into()) } else { Ok(()) }
            }
        }
        let runs = Arc::default();
        let breaker = BreakerOptions::new()
            .threshold(1)
            .timeout(Duration::from_millis(150))
            .half_open_max(1)
            .successes(1);
        let options = AsyncOptions::new().backoff(Backoff::fixed(Duration::ZERO)).max_attempts(5);
        let builder = with_beat(Extensions::builder())
            .circuit_breaker(breaker)
            .register_async::<Sent, _>(Flaky(Arc::clone(&runs)), options)
            .register_async::<Sent, _>(Works, AsyncOptions::new());
        let (ext, _queue) = on_memory(builder).await;
        ext.fire_many((0..20).map(|id| Sent { id })).await;
        let drained = || ext.worker().stop_when_drained().run_until(std::future::pending());
        let (one, two) = in_time("both workers", async { tokio::join!(drained(), drained()) }).await;
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.completed + two.completed, 40);
        assert_eq!(one.dead + two.dead, 0);
        assert_eq!(runs.load(SeqCst), 22);
    }

    /// A handler registered while its predecessor's circuit was open starts with a closed one.
    #[tokio::test]
    async fn a_handler_that_takes_the_place_of_one_with_an_open_circuit_has_a_closed_one() {
        let (ext, _queue) = on_memory(with_beat(Extensions::builder())).await;
        for round in 0..20 {
            let mine = ext.register_async::<Sent, _>(Works, AsyncOptions::new().name("works")).unwrap();
            let breaker = ext.breaker_of_named::<Sent>("works").unwrap();
            assert_eq!(breaker.status(), BreakerStatus::Closed);
            ext.fire(Sent { id: round }).await.unwrap();
            assert_eq!(in_time("the work", work(&ext)).await.completed, 1);
            breaker.open();
            ext.fire(Sent { id: round }).await.unwrap();
            assert_eq!(in_time("the work", work(&ext)).await.completed, 0);
            drop(mine);
            drop(breaker);
            let mine = ext.register_async::<Sent, _>(Works, AsyncOptions::new().name("works")).unwrap();
            assert_eq!(in_time("the work", work(&ext)).await.completed, 1);
            drop(mine);
        }
        assert!(is_quiet(&ext));
    }
}

mod fakes {
    use super::*;

    /// Fires when a copy of it is dropped.
    #[derive(Clone, ExtensionPoint)]
    struct Last(Option<Extensions>);
    impl Drop for Last {
        fn drop(&mut self) {
            if let Some(ext) = self.0.take() {
                ext.fire_sync(Beat).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_recorded_point_may_fire_when_it_is_forgotten() {
        let ext = built(Extensions::fake()).await;
        ext.fire(Last(Some(ext.clone()))).await.unwrap();
        let again = ext.clone();
        ends("the forgetting", move || again.forget_recorded());
        ext.assert_fired_times::<Last>(0);
        ext.forget_recorded();
    }
}

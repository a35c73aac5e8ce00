//! Product 4, item by item: firing. What comes later: 4.6, 4.9, 4.11, 4.13, and the layers of attempts (4.12).

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use extensions::fire::{
    FireInfo, FireLayer, FireOutcome, NextFire, NextPush, Observed, PushLayer, SkipReason,
};
use extensions::job::{JobState, NewJob};
use extensions::prelude::*;
use extensions::queue::{Memory, Pushed, QueueError, QueueErrorKind};
use extensions::testing::FaultyQueue;
use extensions::{ExtensionsBuilder, FireErrorKind};
use serde::{Deserialize, Serialize};
use tests::kit::{Log, in_time, jobs, kind, lines, on, on_memory, skips};

fn at(priority: i32) -> HandlerOptions {
    HandlerOptions::new().priority(priority)
}

/// What the tests fire: it notes who had it, and says who is to err or to veto.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Placed {
    seen: Vec<String>,
    errs: String,
    vetoes: String,
}

fn placed(errs: &str, vetoes: &str) -> Placed {
    Placed { seen: vec![], errs: errs.to_owned(), vetoes: vetoes.to_owned() }
}

fn step(name: &'static str) -> impl Fn(&mut Placed, &Context) -> HandlerResult<Verdict> + Send + Sync {
    move |point, _| {
        point.seen.push(name.to_owned());
        if point.errs == name {
            return Err(format!("{name} errs").into());
        }
        Ok(if point.vetoes == name {
            Verdict::veto(format!("{name} is against it"))
        } else {
            Verdict::Continue
        })
    }
}

struct Mail;
impl AsyncHandler<Placed> for Mail {
    async fn handle(&self, point: &Placed, job: &Job) -> HandlerResult {
        job.resource::<Log>().unwrap().add(format!("mail {}", point.seen.join("+")));
        Ok(())
    }
}
struct Book;
impl AsyncHandler<Placed> for Book {
    async fn handle(&self, point: &Placed, job: &Job) -> HandlerResult {
        job.resource::<Log>().unwrap().add(format!("book {}", point.seen.join("+")));
        Ok(())
    }
}

/// Two inline handlers, and two async ones whose places are before and between them.
fn shop() -> ExtensionsBuilder {
    Extensions::builder()
        .register_async::<Placed, _>(Mail, AsyncOptions::new().order(-5))
        .register_fn::<Placed>("second", step("second"), at(20))
        .register_fn::<Placed>("first", step("first"), at(10))
        .register_async::<Placed, _>(Book, AsyncOptions::new().order(15).queue("books"))
}

/// Counts pushes, with their sizes.
#[derive(Clone, Default)]
struct Pushes(Arc<Mutex<Vec<usize>>>);
impl PushLayer for Pushes {
    async fn push(&self, jobs: Arc<[NewJob]>, next: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
        self.0.lock().unwrap().push(jobs.len());
        next.run(jobs).await
    }
}

/// 4.1: inline handlers by priority, then all jobs in one push; an error or a veto queues nothing.
mod item_4_1_order {
    use super::*;

    #[tokio::test]
    async fn all_jobs_are_pushed_at_once_after_the_last_inline_handler_with_the_point_as_it_left_it() {
        let pushes = Pushes::default();
        let (ext, queue) = on_memory(shop().push_layer(pushes.clone())).await;
        let fired = ext.fire(placed("", "")).await.unwrap();
        assert_eq!(fired.point().seen, ["first", "second"]);
        assert_eq!(*pushes.0.lock().unwrap(), [2]);
        let stored = jobs(&queue).await;
        assert_eq!(stored[0].payload, stored[1].payload);
        assert_eq!(stored.iter().map(|job| job.handler.handler()).collect::<Vec<_>>(), ["Mail", "Book"]);
        let worker = ext.worker().queues(["default", "books"]).stop_when_empty().run_until(pending());
        in_time("the jobs", worker).await.unwrap();
        let mut seen = lines(&ext);
        seen.sort();
        assert_eq!(seen, ["book first+second", "mail first+second"]);
    }

    #[tokio::test]
    async fn an_error_or_a_veto_of_any_inline_handler_queues_nothing() {
        let pushes = Pushes::default();
        let (ext, queue) = on_memory(shop().push_layer(pushes.clone())).await;
        for name in ["first", "second"] {
            assert_eq!(kind(ext.fire(placed(name, "")).await), "HandlerFailed");
            assert!(ext.fire(placed("", name)).await.unwrap().veto().is_some());
            assert!(ext.point(placed("", name)).graceful().fire().await.unwrap().veto().is_some());
        }
        assert!(jobs(&queue).await.is_empty() && pushes.0.lock().unwrap().is_empty());
    }
}

/// 4.2: the report says what became of every handler, and a veto is `Ok` and no success.
mod item_4_2_the_report {
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
                .register_fn::<Asked>(
                    "open",
                    broken,
                    at(6).circuit_breaker(BreakerOptions::new().threshold(1)),
                )
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
        assert_eq!(
            (&data["skipped"][3]["reason"], &data["success"]),
            (&"circuit_open".into(), &false.into())
        );
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
}

/// 4.3: a push that fails gives back the report and the jobs, and can be repeated.
mod item_4_3_a_failed_push {
    use super::*;

    #[tokio::test]
    async fn the_jobs_are_pushed_again_without_the_inline_handlers_and_are_there_once() {
        let queue = FaultyQueue::new(Memory::new());
        let (ext, stored) = on(shop(), Arc::new(queue.clone())).await;
        for lost in [false, true] {
            let before = jobs(&stored).await.len();
            if lost {
                queue.lose_next_push_answers(1);
            } else {
                queue.fail_next_pushes(1, QueueErrorKind::Unavailable);
            }
            let error = ext.fire(placed("", "")).await.unwrap_err();
            assert!(matches!(error.kind(), FireErrorKind::PushFailed(_)), "{error:?}");
            assert_eq!(error.point::<Placed>().unwrap().seen, ["first", "second"]);
            assert_eq!(error.unqueued().len(), 2);
            for _ in 0..2 {
                assert_eq!(ext.push(error.unqueued().clone()).await.unwrap(), [Pushed::Queued; 2]);
            }
            assert_eq!(jobs(&stored).await.len(), before + 2, "lost answer: {lost}");
        }
    }

    #[tokio::test]
    async fn a_fire_that_is_dropped_has_pushed_all_its_jobs_or_none() {
        struct Waits;
        impl AwaitedHandler<Placed> for Waits {
            async fn handle(&self, _: &mut Placed, _: &Context) -> HandlerResult<Verdict> {
                pending().await
            }
        }
        let (ext, queue) = on_memory(shop().register_awaited::<Placed, _>(Waits, at(30))).await;
        let mut fire = Box::pin(ext.fire(placed("", "")));
        assert!(poll_once(fire.as_mut()).is_none());
        drop(fire);
        assert!(jobs(&queue).await.is_empty());
        for polls in 0..6 {
            let (ext, queue) = on_memory(shop()).await;
            let mut fire = Box::pin(ext.fire(placed("", "")));
            for _ in 0..polls {
                if poll_once(fire.as_mut()).is_some() {
                    break;
                }
            }
            drop(fire);
            assert!([0, 2].contains(&jobs(&queue).await.len()), "after {polls} polls");
        }
    }

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}

/// 4.4: a panic is an error of its handler, and the next fire works.
mod item_4_4_panics {
    use super::*;

    #[derive(Clone, Default, ExtensionPoint)]
    struct Called {
        panics: bool,
        seen: Vec<&'static str>,
    }

    struct Late;
    impl AwaitedHandler<Called> for Late {
        async fn handle(&self, point: &mut Called, _: &Context) -> HandlerResult {
            tokio::task::yield_now().await;
            assert!(!point.panics, "late");
            point.seen.push("late");
            Ok(())
        }
    }

    fn early(point: &mut Called, _: &Context) -> HandlerResult {
        assert!(!point.panics, "early");
        point.seen.push("early");
        Ok(())
    }

    #[tokio::test]
    async fn in_plain_and_awaited_handlers_and_wildcards_and_the_next_fire_works() {
        let any = |any: &AnyPoint<'_>, _: &Context| -> HandlerResult {
            assert!(any.downcast::<Called>().is_none_or(|called| !called.panics), "any");
            Ok(())
        };
        let builders = [
            ("early", Extensions::builder().register_fn::<Called>("h", early, at(1))),
            ("late", Extensions::builder().register_awaited::<Called, _>(Late, at(1).name("h"))),
            ("any", Extensions::builder().on_any_with("Called", any, at(1).name("h"))),
        ];
        for (says, builder) in builders {
            let (ext, _queue) = on_memory(builder).await;
            let panics = || Called { panics: true, ..Called::default() };
            let error = ext.fire(panics()).await.unwrap_err();
            assert_eq!(error.to_string(), format!("firing `Called` failed: `h`: panicked: {says}"));
            let fired = ext.point(panics()).graceful().fire().await.unwrap();
            assert!(fired.errors()[0].error.is_panic());
            assert!(ext.fire(Called::default()).await.unwrap().is_success());
        }
    }
}

/// 4.5: an inline handler fires points through its context; their jobs join the outer push.
mod item_4_5_nested_fires {
    use super::*;

    #[derive(Default, Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued, interruptible)]
    struct Outer {
        vetoes: bool,
        fails: bool,
        ignores: bool,
        inner: String,
    }

    struct OuterJob;
    impl AsyncHandler<Outer> for OuterJob {
        async fn handle(&self, _: &Outer, _: &Job) -> HandlerResult {
            Ok(())
        }
    }

    fn nests(outer: &mut Outer, cx: &Context) -> HandlerResult<Verdict> {
        let inner = match &*outer.inner {
            "veto" => placed("", "second"),
            "error" => placed("second", ""),
            _ => placed("", ""),
        };
        let nested = cx.fire_sync(inner);
        if let Ok(fired) = &nested {
            assert_eq!(fired.point().seen, ["first", "second"], "the nested inline handlers run at once");
        }
        if !outer.ignores {
            nested?;
        }
        Ok(Verdict::Continue)
    }

    fn ends(outer: &mut Outer, _: &Context) -> HandlerResult<Verdict> {
        if outer.fails {
            return Err("the outer errs".into());
        }
        Ok(if outer.vetoes { Verdict::veto("no") } else { Verdict::Continue })
    }

    async fn queued_by(outer: Outer, graceful: bool, awaited: bool) -> Vec<String> {
        struct Nests;
        impl AwaitedHandler<Outer> for Nests {
            async fn handle(&self, outer: &mut Outer, cx: &Context) -> HandlerResult<Verdict> {
                tokio::task::yield_now().await;
                let inner = match &*outer.inner {
                    "veto" => placed("", "second"),
                    "error" => placed("second", ""),
                    _ => placed("", ""),
                };
                let nested = cx.fire(inner).await;
                if !outer.ignores {
                    nested?;
                }
                Ok(Verdict::Continue)
            }
        }
        let pushes = Pushes::default();
        let builder = shop()
            .without_circuit_breaker()
            .push_layer(pushes.clone())
            .register_fn::<Outer>("ends", ends, at(200))
            .register_async::<Outer, _>(OuterJob, AsyncOptions::new());
        let builder = if awaited {
            builder.register_awaited::<Outer, _>(Nests, at(1))
        } else {
            builder.register_fn::<Outer>("nests", nests, at(1))
        };
        let (ext, queue) = on_memory(builder).await;
        let fire = ext.point(outer);
        let fire = if graceful { fire.graceful() } else { fire };
        let _ = fire.fire().await;
        let stored = jobs(&queue).await;
        assert_eq!(pushes.0.lock().unwrap().len(), usize::from(!stored.is_empty()), "one push");
        assert!(stored.windows(2).all(|two| two[0].meta.root == two[1].meta.root));
        stored.iter().map(|job| job.handler.handler().to_owned()).collect()
    }

    #[tokio::test]
    async fn each_end_keeps_back_what_it_should() {
        let of = |inner: &str| Outer { inner: inner.to_owned(), ..Outer::default() };
        let all = ["Mail", "Book", "OuterJob"];
        for awaited in [false, true] {
            let cases: [(Outer, bool, &[&str]); 8] = [
                (of(""), false, &all),
                (Outer { vetoes: true, ..of("") }, false, &[]),
                (Outer { fails: true, ..of("") }, false, &[]),
                (of("veto"), false, &["OuterJob"]),
                (of("error"), false, &[]),
                (Outer { ignores: true, ..of("error") }, false, &["OuterJob"]),
                (Outer { fails: true, ..of("") }, true, &all),
                (Outer { vetoes: true, ..of("") }, true, &[]),
            ];
            for (n, (outer, graceful, expected)) in cases.into_iter().enumerate() {
                assert_eq!(
                    queued_by(outer, graceful, awaited).await,
                    expected,
                    "case {n}, awaited: {awaited}"
                );
            }
        }
    }

    #[derive(ExtensionPoint)]
    struct Deeper(u32);

    #[tokio::test]
    async fn sixty_four_deep_is_the_limit_and_the_error_shows_the_chain() {
        let until = |last: u32| {
            move |point: &mut Deeper, cx: &Context| -> HandlerResult {
                if point.0 < last {
                    cx.fire_sync(Deeper(point.0 + 1))?;
                }
                Ok(())
            }
        };
        let (ext, _queue) =
            on_memory(Extensions::builder().register_fn::<Deeper>("h", until(64), at(1))).await;
        ext.fire(Deeper(0)).await.unwrap();
        let (ext, _queue) =
            on_memory(Extensions::builder().register_fn::<Deeper>("h", until(65), at(1))).await;
        let said = ext.fire(Deeper(0)).await.unwrap_err().to_string();
        assert!(said.contains("deeper than 64") && said.matches("Deeper").count() >= 66, "{said}");
    }
}

/// 4.7: `fire_sync` needs no runtime, and refuses a point with awaited handlers.
mod item_4_7_fire_sync {
    use super::*;

    struct Waits;
    impl AwaitedHandler<Placed> for Waits {
        async fn handle(&self, _: &mut Placed, _: &Context) -> HandlerResult<Verdict> {
            Ok(Verdict::Continue)
        }
    }

    #[test]
    fn it_queues_without_a_runtime_and_inside_of_one_and_on_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ext = runtime.block_on(shop().queue_url(url).build()).unwrap();
        assert_eq!(ext.fire_sync(placed("", "")).unwrap().queued().len(), 2);
        let beside = runtime.block_on(async { ext.fire_sync(placed("", "")).unwrap().queued().len() });
        assert_eq!(beside, 2);
        drop(runtime);
        assert_eq!(ext.fire_sync(placed("", "")).unwrap().queued().len(), 2);
        assert_eq!(
            ext.point(placed("", "")).on_queue("other").fire_sync().unwrap().queued()[0].queue(),
            &"other"
        );
    }

    #[tokio::test]
    async fn awaited_handlers_are_named_however_they_came_and_nothing_ran() {
        let (ext, queue) = on_memory(shop().register_awaited::<Placed, _>(Waits, at(1))).await;
        let error = ext.fire_sync(placed("", "")).unwrap_err();
        assert!(error.to_string().contains("(Waits), which `fire_sync` cannot run"), "{error}");
        assert!(error.point::<Placed>().unwrap().seen.is_empty() && jobs(&queue).await.is_empty());
        let (ext, _queue) = on_memory(shop()).await;
        let guard = ext.register_awaited::<Placed, _>(Waits, at(1)).unwrap();
        assert!(kind(ext.fire_sync(placed("", ""))).starts_with("Awaited"));
        drop(guard);
        ext.fire_sync(placed("", "")).unwrap();
    }
}

/// 4.8: one fire changes the options of its jobs, of all or of one, and chooses handlers.
mod item_4_8_options_of_one_fire {
    use super::*;

    #[tokio::test]
    async fn delay_queue_priority_uniqueness_and_tags_for_all_and_for_one_and_the_next_fire_has_none() {
        let (ext, queue) = on_memory(shop()).await;
        let fire = || {
            ext.point(placed("", ""))
                .on_queue("bulk")
                .delay(secs(60))
                .priority(1)
                .unique(true)
                .tags(["fast"])
                .options_for::<Book>(AsyncOptions::new().queue("special").priority(9).tags(["more"]))
                .fire()
        };
        assert_eq!(fire().await.unwrap().queued().len(), 2);
        assert_eq!(fire().await.unwrap().duplicates().len(), 2);
        let stored = jobs(&queue).await;
        let shown: Vec<_> = stored
            .iter()
            .map(|job| (job.queue.as_str(), job.priority, job.state, job.meta.tags.join("+")))
            .collect();
        let scheduled = JobState::Scheduled;
        assert_eq!(
            shown,
            [("bulk", 1, scheduled, "fast".into()), ("special", 9, scheduled, "fast+more".into())]
        );
        ext.fire(placed("", "")).await.unwrap();
        let stored = jobs(&queue).await;
        let next: Vec<_> = stored[2..].iter().map(|job| (job.queue.as_str(), job.state)).collect();
        assert_eq!(next, [("default", JobState::Available), ("books", JobState::Available)]);
    }

    #[tokio::test]
    async fn only_and_except_choose_inline_and_async_handlers() {
        let (ext, _queue) = on_memory(shop()).await;
        let fired = ext.point(placed("", "")).only::<Mail>().only_named("second").fire().await.unwrap();
        assert_eq!(fired.point().seen, ["second"]);
        assert_eq!(fired.queued()[0].handler().handler(), "Mail");
        let left = ["first", "Book"].map(|name| (name.to_owned(), SkipReason::NotChosen));
        assert_eq!(skips(fired.skipped()), left);
        let fired = ext.point(placed("", "")).except::<Mail>().except_named("second").fire().await.unwrap();
        assert_eq!((&*fired.point().seen, fired.queued().len()), (&["first".to_owned()][..], 1));
    }
}

/// 4.10: many points, one push; one point's veto or error keeps back only its own jobs.
mod item_4_10_fire_many {
    use super::*;

    #[tokio::test]
    async fn the_results_stand_in_the_points_order_and_one_push_takes_the_jobs_of_those_that_passed() {
        let pushes = Pushes::default();
        let (ext, queue) = on_memory(shop().push_layer(pushes.clone())).await;
        let points = [placed("", ""), placed("second", ""), placed("", "second"), placed("", "")];
        let fired = ext.fire_many(points).await;
        let queued: Vec<_> =
            fired.iter().map(|one| one.as_ref().map_or(99, |fired| fired.queued().len())).collect();
        assert_eq!(queued, [2, 99, 0, 2]);
        assert!(fired[2].as_ref().unwrap().veto().is_some());
        assert_eq!(*pushes.0.lock().unwrap(), [4]);
        assert_eq!(jobs(&queue).await.len(), 4);
    }
}

/// 4.12: observers are told of every fire; layers wrap fires and pushes in a stated order.
mod item_4_12_observers_and_layers {
    use super::*;

    struct Around(&'static str, Arc<Mutex<Vec<String>>>);
    impl Around {
        fn add(&self, what: impl std::fmt::Display) {
            self.1.lock().unwrap().push(format!("{} {what}", self.0));
        }
    }
    impl FireLayer for Around {
        async fn fire(&self, fire: &FireInfo, next: NextFire<'_>) -> HandlerResult<FireOutcome> {
            self.add(format_args!("before {}", fire.point.name));
            let outcome = next.run().await?;
            self.add(format_args!("after {outcome:?}"));
            Ok(outcome)
        }
    }
    impl PushLayer for Around {
        async fn push(&self, jobs: Arc<[NewJob]>, next: NextPush<'_>) -> Result<Vec<Pushed>, QueueError> {
            self.add("push");
            next.run(jobs).await
        }
    }

    #[tokio::test]
    async fn the_first_layer_is_the_outermost_and_observers_come_after_the_push_inside_the_fires_layers() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let around = |name| Around(name, Arc::clone(&seen));
        let observed = Arc::clone(&seen);
        let (ext, _queue) = on_memory(
            shop()
                .fire_layer(around("outer"))
                .fire_layer(around("inner"))
                .push_layer(around("outer"))
                .push_layer(around("inner"))
                .observer(move |fire: &Observed<'_>| {
                    let queued = fire.report().queued.len();
                    observed.lock().unwrap().push(format!("observed {queued}"));
                }),
        )
        .await;
        ext.fire(placed("", "")).await.unwrap();
        let expected = [
            "outer before Placed",
            "inner before Placed",
            "outer push",
            "inner push",
            "observed 2",
            "inner after Succeeded",
            "outer after Succeeded",
        ];
        assert_eq!(*seen.lock().unwrap(), expected);
        seen.lock().unwrap().clear();
        ext.fire_sync(placed("", "first")).unwrap();
        ext.fire(placed("first", "")).await.unwrap_err();
        let _quiet = ext.silence();
        ext.fire(placed("", "")).await.unwrap();
        let said = seen.lock().unwrap().clone();
        let outcomes: Vec<_> = said.iter().filter(|line| line.starts_with("outer after")).collect();
        assert_eq!(outcomes, ["outer after Vetoed", "outer after Failed", "outer after Silenced"]);
        assert_eq!(said.iter().filter(|line| line.starts_with("observed")).count(), 3);
    }

    #[tokio::test]
    async fn observers_see_the_point_the_report_and_the_error_of_every_fire_but_the_unobserved() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let observed = Arc::clone(&seen);
        let observer = move |fire: &Observed<'_>| {
            let point = fire.point().and_then(|point| Some(point.downcast::<Placed>()?.seen.len()));
            let veto = fire.report().veto.as_ref().map(|veto| veto.by().to_owned());
            observed.lock().unwrap().push((point, veto, fire.error().is_some()));
        };
        let panics = |_: &Observed<'_>| panic!("an observer's own affair");
        let nests = |point: &mut Placed, cx: &Context| -> HandlerResult<Verdict> {
            if point.errs == "nested" {
                cx.fire_sync(placed("", "first"))?;
            }
            Ok(Verdict::Continue)
        };
        let builder = shop().register_fn::<Placed>("nests", nests, at(1)).observer(panics).observer(observer);
        let (ext, _queue) = on_memory(builder).await;
        let take = || std::mem::take(&mut *seen.lock().unwrap());
        ext.fire(placed("", "")).await.unwrap();
        assert_eq!(take(), [(Some(2), None, false)]);
        ext.fire(placed("", "second")).await.unwrap();
        assert_eq!(take(), [(Some(2), Some("second".into()), false)]);
        ext.fire_sync(placed("first", "")).unwrap_err();
        assert_eq!(take(), [(Some(1), None, true)]);
        drop(ext.fire_many([placed("", ""), placed("", "first")]).await);
        assert_eq!(take().len(), 2);
        ext.fire(placed("nested", "")).await.unwrap();
        assert_eq!(take(), [(Some(1), Some("first".into()), false), (Some(2), None, false)]);
        ext.point(placed("", "first")).unobserved().fire().await.unwrap();
        ext.point(placed("first", "")).unobserved().fire_sync().unwrap_err();
        assert!(take().is_empty());
    }

    #[tokio::test]
    async fn an_observer_is_told_a_renamed_points_name_in_the_instance() {
        let seen = Arc::new(Mutex::new(String::new()));
        let observed = Arc::clone(&seen);
        let builder = shop().rename_point("section_4_firing::Placed", "order.placed").observer(
            move |fire: &Observed<'_>| fire.point().unwrap().name().clone_into(&mut observed.lock().unwrap()),
        );
        let (ext, _queue) = on_memory(builder).await;
        ext.fire(placed("", "")).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), "order.placed");
    }

    static RAN: AtomicU32 = AtomicU32::new(0);

    #[tokio::test]
    async fn a_layer_that_refuses_keeps_everything_from_running_and_gives_the_point_back() {
        struct Refuses;
        impl FireLayer for Refuses {
            async fn fire(&self, _: &FireInfo, _: NextFire<'_>) -> HandlerResult<FireOutcome> {
                Err("not today".into())
            }
        }
        let runs = |_: &mut Placed, _: &Context| {
            RAN.fetch_add(1, Ordering::SeqCst);
            Ok(Verdict::Continue)
        };
        let builder = shop().fire_layer(Refuses).register_fn::<Placed>("runs", runs, at(1));
        let (ext, queue) = on_memory(builder).await;
        for error in [ext.fire(placed("", "")).await.unwrap_err(), ext.fire_sync(placed("", "")).unwrap_err()]
        {
            assert!(matches!(error.kind(), FireErrorKind::Layer(why) if why == "not today"), "{error:?}");
            assert!(error.point::<Placed>().is_some());
        }
        assert!(ext.allows(placed("", "")).await.is_err(), "no answer is no consent");
        assert_eq!((RAN.load(Ordering::SeqCst), jobs(&queue).await.len()), (0, 0));
    }
}

//! The testing kit (product 13): fakes that record, assert, run queued jobs in place and move time; no fake sees another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use extensions::job::JobState;
use extensions::prelude::*;
use extensions::queue::{Memory, QueueErrorKind};
use extensions::testing::FaultyQueue;
use extensions::time::ManualClock;
use extensions::{BreakerStatus, Fired};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct OrderPlaced {
    order_id: u64,
}

#[extension_handler(OrderPlaced, priority = 1)]
fn stamp(order: &mut OrderPlaced) {
    order.order_id += 1_000_000 * u64::from(order.order_id == 13);
}

#[derive(Default)]
#[extension_handler(OrderPlaced)]
#[async_handler(queue = "emails", delay = 60)]
struct SendConfirmation;
impl AsyncHandler<OrderPlaced> for SendConfirmation {
    async fn handle(&self, _: &OrderPlaced, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[extension_handler(OrderPlaced)]
#[async_handler(queue = "documents")]
async fn generate_invoice(_: &OrderPlaced) {}

/// Neither `Clone` nor queued.
#[derive(ExtensionPoint)]
struct PageShown;

#[derive(Clone, ExtensionPoint)]
#[extension_point(interruptible)]
struct BeforeRefund {
    cents: u64,
}

#[extension_handler(BeforeRefund)]
fn refund_limit(refund: &mut BeforeRefund) -> Verdict {
    if refund.cents > 100 { Verdict::veto("over the limit") } else { Verdict::Continue }
}

fn order(order_id: u64) -> OrderPlaced {
    OrderPlaced { order_id }
}

async fn fake() -> Extensions {
    Extensions::fake().discover().build().await.unwrap()
}

/// What an assertion says when it fails, and that it says so at its caller's line.
#[track_caller]
fn refused(assertion: impl FnOnce()) -> String {
    let line = std::panic::Location::caller().line();
    static HOOKED: Mutex<()> = Mutex::new(());
    let _one_at_a_time = HOOKED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let at = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&at);
    let thread = std::thread::current().id();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == thread {
            *seen.lock().unwrap() = info.location().map(|at| (at.file().to_owned(), at.line()));
        }
    }));
    let panicked = catch_unwind(AssertUnwindSafe(assertion)).expect_err("the assertion holds");
    std::panic::set_hook(before);
    let (file, at) = at.lock().unwrap().take().expect("a place");
    assert!(file.ends_with("testing_kit.rs") && at.abs_diff(line) <= 3, "{file}:{at}, not line {line}");
    let text = panicked.downcast_ref::<String>().cloned();
    text.or_else(|| panicked.downcast_ref::<&str>().map(ToString::to_string)).expect("a text")
}

#[tokio::test]
async fn the_documented_block_works() -> Result<(), BoxError> {
    let order = order(7);

    let ext = Extensions::fake().discover().build().await?;
    ext.fire(order).await?;
    ext.assert_fired::<OrderPlaced>(|o| o.order_id == 7);
    ext.assert_queued::<SendConfirmation>(1);
    ext.assert_queued_named("generate_invoice", 1); // functions have no type
    ext.advance(secs(60));
    let tally = ext.run_queued().await;

    assert_eq!((tally.completed, tally.failed), (2, 0));
    Ok(())
}

#[tokio::test]
async fn all_ways_to_fire_are_recorded_with_the_points_as_their_handlers_left_them() {
    #[derive(ExtensionPoint)]
    struct Outer;
    let ext = Extensions::fake()
        .discover()
        .register_fn::<Outer>(
            "fires_within",
            |_, cx| cx.fire_sync(order(4)).map(drop).map_err(Into::into),
            HandlerOptions::new(),
        )
        .build()
        .await
        .unwrap();
    ext.fire(order(1)).await.unwrap();
    ext.fire_sync(order(2)).unwrap();
    ext.point(order(3)).unobserved().fire().await.unwrap();
    ext.fire(Outer).await.unwrap();
    ext.fire_many([order(5), order(6)]).await;
    ext.fire_boxed(Box::new(order(13))).await.unwrap();
    let ids: Vec<_> = ext.fired::<OrderPlaced>().iter().map(|fire| fire.point().order_id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6, 1_000_013]);
    ext.assert_fired_times::<OrderPlaced>(7);
    ext.assert_fired_times::<Outer>(1);
    ext.assert_queued_named("generate_invoice", 7);
}

#[tokio::test]
async fn a_fake_says_what_was_recorded_instead() {
    let ext = fake().await;
    let said = refused(|| ext.assert_fired::<OrderPlaced>(|_| true));
    assert_eq!(said, "`OrderPlaced` was not fired; fired were: nothing");
    ext.assert_nothing_fired();
    ext.assert_nothing_queued();

    ext.fire(order(7)).await.unwrap();
    ext.fire(PageShown).await.unwrap();
    ext.fire(BeforeRefund { cents: 500 }).await.unwrap();

    let fires = "fired were: \n  OrderPlaced {\"order_id\":7}\n  PageShown\n  BeforeRefund (vetoed by refund_limit: over the limit)";
    let said = refused(|| ext.assert_fired::<OrderPlaced>(|o| o.order_id == 8));
    assert_eq!(said, format!("`OrderPlaced` was fired once, and does not satisfy the predicate; {fires}"));
    let said = refused(|| ext.assert_fired_times::<OrderPlaced>(2));
    assert_eq!(said, format!("`OrderPlaced` was fired 1 times, not 2; {fires}"));
    let said = refused(|| ext.assert_not_fired::<PageShown>());
    assert_eq!(said, format!("`PageShown` was fired 1 times, not 0; {fires}"));
    let said = refused(|| ext.assert_nothing_fired());
    assert_eq!(said, format!("something was fired: {}", &fires["fired were: ".len()..]));
    let said = refused(|| ext.assert_vetoed::<OrderPlaced>());
    assert_eq!(said, format!("no fire of `OrderPlaced` was vetoed; {fires}"));

    let queued = "queued were: \n  OrderPlaced/SendConfirmation on emails {\"order_id\":7}\n  OrderPlaced/generate_invoice on documents {\"order_id\":7}";
    let said = refused(|| ext.assert_queued::<SendConfirmation>(2));
    assert!(said.ends_with(&format!("::SendConfirmation`, not 2; {queued}")), "{said}");
    let said = refused(|| ext.assert_queued_named("generate_invoice", 0));
    assert_eq!(said, format!("1 jobs were queued for `generate_invoice`, not 0; {queued}"));
    let said = refused(|| ext.assert_not_queued::<SendConfirmation>());
    assert!(said.starts_with("1 jobs were queued for `"), "{said}");
    let said = refused(|| ext.assert_nothing_queued());
    assert!(said.starts_with("something was queued: \n  OrderPlaced/SendConfirmation"), "{said}");
    let said = refused(|| ext.assert_queued_with::<OrderPlaced, SendConfirmation>(|o| o.order_id == 8));
    assert!(
        said.contains("with a `OrderPlaced` that satisfies the predicate was queued; queued were: \n"),
        "{said}"
    );
}

#[tokio::test]
async fn an_assertion_that_there_is_no_job_fails_for_a_handler_that_there_is_not() {
    let ext = fake().await;
    let said = refused(|| ext.assert_queued_named("generate_invoise", 0));
    assert!(
        said.starts_with("no async handler `generate_invoise` is registered; registered are: "),
        "{said}"
    );
    assert!(said.contains("\n  OrderPlaced/generate_invoice"), "{said}");
    let said = refused(|| ext.assert_not_queued::<PageShown>());
    assert!(said.contains("PageShown` is registered"), "{said}");
    ext.assert_not_queued::<SendConfirmation>();
}

#[tokio::test]
async fn payloads_and_options_of_queued_jobs_can_be_asked_for() {
    let ext = fake().await;
    ext.point(order(7)).delay(secs(5)).fire().await.unwrap();
    ext.fire(order(8)).await.unwrap();
    ext.assert_queued_with::<OrderPlaced, SendConfirmation>(|o| o.order_id == 8);
    ext.assert_queued_named_with::<OrderPlaced>("generate_invoice", |o| o.order_id == 7);
    let delays: Vec<_> = ext.queued::<SendConfirmation>().iter().map(|job| job.delay).collect();
    assert_eq!(delays, [secs(5), secs(60)]);
    assert_eq!(ext.queued_named("generate_invoice")[0].queue, "documents");
}

#[tokio::test]
async fn a_job_counts_as_queued_after_it_has_run_and_until_the_records_are_forgotten() {
    let ext = fake().await;
    ext.fire(order(7)).await.unwrap();
    assert_eq!(ext.run_queued_until_idle().await.completed, 2);
    ext.assert_queued::<SendConfirmation>(1);
    ext.forget_recorded();
    ext.assert_nothing_fired();
    ext.assert_nothing_queued();
    ext.fire(order(8)).await.unwrap();
    ext.assert_fired_times::<OrderPlaced>(1);
}

#[tokio::test]
async fn vetoed_failed_and_silenced_fires_are_recorded_as_such() {
    #[derive(Clone, ExtensionPoint)]
    struct Fails;
    let ext = Extensions::fake()
        .discover()
        .register_fn::<Fails>("failing", |_, _| Err("out of paper".into()), HandlerOptions::new())
        .build()
        .await
        .unwrap();
    ext.fire(BeforeRefund { cents: 101 }).await.unwrap();
    ext.assert_vetoed::<BeforeRefund>();
    assert_eq!(ext.fired::<BeforeRefund>()[0].veto().unwrap().reason(), "over the limit");
    ext.fire(Fails).await.unwrap_err();
    ext.point(Fails).graceful().fire().await.unwrap();
    let quiet = ext.silence();
    ext.fire(Fails).await.unwrap();
    drop(quiet);
    let fired = ext.fired::<Fails>();
    assert!(fired[0].error().unwrap().contains("out of paper"));
    assert_eq!((fired[1].error(), fired[1].errors()), (None, &["failing: out of paper".to_owned()][..]));
    assert!(fired[2].is_silenced() && fired.iter().all(|fire| !fire.is_success()));
    let said = refused(|| ext.assert_not_fired::<Fails>());
    assert!(said.contains("Fails (with the error of failing: out of paper)\n  Fails (silenced)"), "{said}");
}

#[tokio::test]
async fn a_point_is_kept_by_clone_or_by_its_payload_and_else_the_message_says_what_to_derive() {
    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct NotClone {
        n: u32,
    }
    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct Unit;
    let ext = fake().await;
    ext.fire(NotClone { n: 3 }).await.unwrap();
    ext.fire(Unit).await.unwrap();
    ext.fire(PageShown).await.unwrap();
    ext.assert_fired::<NotClone>(|point| point.n == 3);
    ext.assert_fired::<Unit>(|_| true);
    ext.assert_fired_times::<PageShown>(1);
    let said = refused(|| ext.assert_fired::<PageShown>(|_| true));
    assert!(said.contains("add `#[derive(Clone)]` to `PageShown`"), "{said}");
}

#[tokio::test]
async fn a_real_instance_says_that_it_is_no_fake() {
    let ext = Extensions::builder().discover().queue(Memory::new()).build().await.unwrap();
    ext.fire(order(1)).await.unwrap();
    for said in [
        refused(|| ext.assert_fired::<OrderPlaced>(|_| true)),
        refused(|| ext.assert_nothing_queued()),
        refused(|| ext.assert_queued_named("generate_invoice", 1)),
        refused(|| ext.advance(secs(1))),
        refused(|| drop(ext.run_queued())),
        refused(|| drop(ext.failed_jobs())),
    ] {
        assert!(said.starts_with("this instance is no fake"), "{said}");
        assert!(said.contains("`Extensions::fake()`"), "{said}");
    }
}

/// A handler that fails until it is told not to.
#[derive(Clone, Default)]
struct Flaky(Arc<AtomicU32>);
impl Flaky {
    fn fails(&self, times: u32) {
        self.0.store(times, Ordering::SeqCst);
    }
}
impl AsyncHandler<OrderPlaced> for Flaky {
    async fn handle(&self, _: &OrderPlaced, _: &Job) -> HandlerResult {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.map_or(Ok(()), |_| Err("the printer is off".into()))
    }
}

fn every_minute(attempts: u32) -> AsyncOptions {
    AsyncOptions::new().max_attempts(attempts).backoff(Backoff::fixed(secs(60)))
}

#[tokio::test]
async fn what_is_due_only_later_stays_until_the_clock_is_moved() {
    let flaky = Flaky::default();
    flaky.fails(1);
    let ext = Extensions::fake()
        .register_async::<OrderPlaced, _>(flaky, every_minute(3).delay(secs(10)))
        .build()
        .await
        .unwrap();
    ext.fire(order(1)).await.unwrap();
    assert_eq!(ext.run_queued().await.completed, 0);
    ext.advance(secs(10));
    let tally = ext.run_queued().await;
    assert_eq!((tally.failed, tally.retried), (1, 1));
    ext.advance(secs(59));
    assert_eq!(ext.run_queued().await.completed, 0);
    ext.advance(secs(1));
    assert_eq!(ext.run_queued().await.completed, 1);
}

#[tokio::test]
async fn everything_is_run_over_delays_and_back_offs_and_dead_jobs_show_their_errors() {
    let flaky = Flaky::default();
    flaky.fails(u32::MAX);
    let ext = Extensions::fake()
        .discover()
        .register_async::<OrderPlaced, _>(flaky, every_minute(3))
        .build()
        .await
        .unwrap();
    ext.fire(order(1)).await.unwrap();
    let tally = ext.run_queued_until_idle().await;
    assert_eq!((tally.completed, tally.failed, tally.dead), (2, 3, 1));
    let failed = ext.failed_jobs().await;
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].state, failed[0].errors.len()), (JobState::Dead, 3));
    assert!(failed[0].errors[2].message.contains("the printer is off"));
    assert_eq!(ext.run_queued_until_idle().await.failed, 0);
}

#[tokio::test]
async fn jobs_that_jobs_queue_run_too_even_in_queues_that_no_handler_names() {
    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    struct Chain {
        left: u32,
    }
    struct Next;
    impl AsyncHandler<Chain> for Next {
        async fn handle(&self, chain: &Chain, job: &Job) -> HandlerResult {
            if chain.left > 0 {
                let next = Chain { left: chain.left - 1 };
                job.extensions().point(next).on_queue(format!("lane-{}", chain.left)).fire().await?;
            }
            Ok(())
        }
    }
    let ext = Extensions::fake().register_async::<Chain, _>(Next, AsyncOptions::new()).build().await.unwrap();
    ext.fire(Chain { left: 3 }).await.unwrap();
    assert_eq!(ext.run_queued().await.completed, 4);
    ext.assert_queued::<Next>(4);
}

#[tokio::test]
async fn jobs_run_one_after_the_other_queue_by_queue_in_the_order_of_their_names() {
    #[derive(Clone, Default)]
    struct Noting(Arc<Mutex<Vec<(String, u64)>>>, Arc<AtomicU32>);
    impl AsyncHandler<OrderPlaced> for Noting {
        async fn handle(&self, order: &OrderPlaced, job: &Job) -> HandlerResult {
            assert_eq!(self.1.fetch_add(1, Ordering::SeqCst), 0, "two jobs at once");
            tokio::task::yield_now().await;
            self.0.lock().unwrap().push((job.queue().to_string(), order.order_id));
            self.1.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    }
    let noting = Noting::default();
    let ext = Extensions::fake()
        .register_async::<OrderPlaced, _>(noting.clone(), AsyncOptions::new())
        .build()
        .await
        .unwrap();
    for id in 0..30 {
        let queue = ["cherries", "apples", "bananas"][id as usize % 3];
        ext.point(order(id)).on_queue(queue).fire().await.unwrap();
    }
    assert_eq!(ext.run_queued().await.completed, 30);
    let ran = noting.0.lock().unwrap().clone();
    assert!(ran.is_sorted(), "{ran:?}");
}

#[tokio::test]
async fn an_open_circuit_holds_jobs_back_on_the_fakes_clock_and_hangs_nothing() {
    let flaky = Flaky::default();
    flaky.fails(5);
    let ext = Extensions::fake()
        .register_async::<OrderPlaced, _>(flaky, AsyncOptions::new().max_attempts(1))
        .build()
        .await
        .unwrap();
    for id in 0..8 {
        ext.fire(order(id)).await.unwrap();
    }
    assert_eq!((ext.run_queued().await.dead, ext.run_queued().await.dead), (5, 0));
    assert_eq!(ext.breaker_of::<OrderPlaced, Flaky>().unwrap().status(), BreakerStatus::Open);
    ext.advance(secs(59));
    assert_eq!(ext.run_queued().await.completed, 0);
    ext.advance(secs(1));
    assert_eq!(ext.run_queued().await.completed, 3);
    assert_eq!(ext.breaker_of::<OrderPlaced, Flaky>().unwrap().status(), BreakerStatus::Closed);
}

#[tokio::test]
async fn running_until_idle_waits_for_circuits_but_not_for_those_that_were_opened_by_hand() {
    let flaky = Flaky::default();
    flaky.fails(5);
    let ext = Extensions::fake()
        .register_async::<OrderPlaced, _>(flaky, AsyncOptions::new().max_attempts(1))
        .build()
        .await
        .unwrap();
    for id in 0..8 {
        ext.fire(order(id)).await.unwrap();
    }
    let tally = ext.run_queued_until_idle().await;
    assert_eq!((tally.dead, tally.completed), (5, 3));
    ext.breaker_of::<OrderPlaced, Flaky>().unwrap().open();
    ext.fire(order(9)).await.unwrap();
    assert_eq!(ext.run_queued_until_idle().await.completed, 0);
}

#[tokio::test]
async fn jobs_that_put_themselves_off_for_ever_end_in_a_panic_and_not_in_a_hang() {
    struct Never;
    impl AsyncHandler<OrderPlaced> for Never {
        async fn handle(&self, _: &OrderPlaced, _: &Job) -> HandlerResult {
            Err(HandlerError::snooze(secs(3600)))
        }
    }
    let ext = Extensions::fake()
        .register_async::<OrderPlaced, _>(Never, AsyncOptions::new())
        .build()
        .await
        .unwrap();
    ext.fire(order(1)).await.unwrap();
    let running = ext.clone();
    let ended = tokio::spawn(async move { running.run_queued_until_idle().await }).await;
    let panic = ended.unwrap_err().into_panic();
    let said = panic.downcast_ref::<String>().unwrap();
    assert!(said.contains("given up after 1000 waits"), "{said}");
}

#[tokio::test]
async fn fakes_see_nothing_of_each_other() {
    let (one, other) = (fake().await, fake().await);
    one.fire(order(7)).await.unwrap();
    one.advance(secs(60));
    other.assert_nothing_fired();
    other.assert_nothing_queued();
    assert_eq!(other.run_queued().await.completed, 0);
    assert_eq!(one.run_queued().await.completed, 2);
}

#[tokio::test]
async fn a_fake_connects_to_nothing_whatever_url_its_builder_was_given() {
    let ext = Extensions::fake().queue_url("sqlite:///nowhere/at/all.db").discover().build().await.unwrap();
    ext.fire(order(7)).await.unwrap();
    assert_eq!(ext.run_queued_until_idle().await.completed, 2);
}

#[tokio::test]
async fn a_fake_can_have_a_queue_that_fails_on_its_clock() {
    let clock = Arc::new(ManualClock::default());
    let queue = FaultyQueue::new(Memory::with_clock(clock.clone()));
    let ext = Extensions::fake_at(clock).queue(queue.clone()).discover().build().await.unwrap();
    queue.fail_next_pushes(1, QueueErrorKind::Unavailable);
    let error = ext.fire(order(7)).await.unwrap_err();
    ext.assert_fired_times::<OrderPlaced>(1);
    ext.assert_nothing_queued();
    queue.lose_next_push_answers(1);
    ext.push(error.unqueued().clone()).await.unwrap_err();
    ext.push(error.unqueued().clone()).await.unwrap();
    ext.push(error.unqueued().clone()).await.unwrap();
    ext.assert_queued::<SendConfirmation>(1);
    ext.advance(secs(60));
    assert_eq!(ext.run_queued().await.completed, 2);
}

#[tokio::test]
async fn a_job_whose_end_was_lost_runs_again_with_the_next_run() {
    let clock = Arc::new(ManualClock::default());
    let queue = FaultyQueue::new(Memory::with_clock(clock.clone()));
    let ext = Extensions::fake_at(clock)
        .queue(queue.clone())
        .register_async::<OrderPlaced, _>(Flaky::default(), AsyncOptions::new())
        .build()
        .await
        .unwrap();
    ext.fire(order(7)).await.unwrap();
    queue.lose_next_settlements(1);
    let runs = (ext.run_queued().await.completed, ext.run_queued().await.completed);
    assert_eq!((runs, ext.run_queued().await.completed), ((1, 1), 0));
    assert_eq!(queue.injected().lost_settlements, 1);
}

/// Code of an application that fires through whatever is installed.
async fn checkout(id: u64) -> Result<Fired<OrderPlaced>, FireError> {
    extensions::fire(order(id)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_have_a_global_instance_each_and_never_anothers() {
    let tasks = (0..200).map(|id| {
        tokio::spawn(async move {
            let ext = fake().await;
            ext.as_global(async {
                checkout(id).await.unwrap();
                tokio::task::yield_now().await;
                extensions::fire_sync(order(1_000 + id)).unwrap();
                assert!(Extensions::global().is_some());
                let inherits = tokio::spawn(async { Extensions::global().is_some() });
                assert!(!inherits.await.unwrap(), "a spawned task inherits");
            })
            .await;
            let ids: Vec<_> = ext.fired::<OrderPlaced>().iter().map(|fire| fire.point().order_id).collect();
            let as_left = |id| if id == 13 { 1_000_013 } else { id };
            assert_eq!(ids, [as_left(id), 1_000 + id]);
            assert!(Extensions::global().is_none());
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn the_inmost_global_instance_is_the_one() {
    let (outer, inner) = (fake().await, fake().await);
    outer
        .as_global(async {
            inner.as_global(async { checkout(1).await.unwrap() }).await;
            checkout(2).await.unwrap();
        })
        .await;
    inner.assert_fired::<OrderPlaced>(|o| o.order_id == 1);
    inner.assert_fired_times::<OrderPlaced>(1);
    outer.assert_fired::<OrderPlaced>(|o| o.order_id == 2);
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct BeforeShip;

#[extension_handler(BeforeShip)]
#[async_handler]
async fn checks_out(_: &BeforeShip) -> HandlerResult {
    checkout(1).await?;
    Ok(())
}

#[extension_handler(BeforeShip)]
#[async_handler(blocking)]
fn checks_out_on_a_thread(_: &BeforeShip) -> HandlerResult {
    extensions::fire_sync(order(2))?;
    Ok(())
}

#[tokio::test]
async fn what_a_blocking_handler_fires_is_inside_of_its_jobs_scopes() {
    let tenants = Arc::<Mutex<Vec<Option<String>>>>::default();
    let seen = Arc::clone(&tenants);
    let ext = Extensions::fake()
        .discover()
        .register_fn::<OrderPlaced>(
            "sees",
            move |_, cx| {
                seen.lock().unwrap().push(cx.tenant().map(str::to_owned));
                Ok(())
            },
            HandlerOptions::new(),
        )
        .build()
        .await
        .unwrap();
    ext.point(BeforeShip).for_tenant("acme").fire().await.unwrap();
    ext.as_global(ext.run_queued()).await;
    assert_eq!(*tenants.lock().unwrap(), [Some("acme".to_owned()), Some("acme".to_owned())]);
}

#[tokio::test]
async fn jobs_that_are_run_inside_fire_through_the_same_global_instance() {
    let ext = fake().await;
    ext.fire(BeforeShip).await.unwrap();
    let tally = ext.as_global(ext.run_queued()).await;
    assert_eq!((tally.completed, tally.failed), (4, 0));
    ext.assert_fired_times::<OrderPlaced>(2);
}

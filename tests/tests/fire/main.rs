//! Product 4: what a fire does, in which order, and what it reports.

mod nested;

use std::sync::atomic::{AtomicU32, Ordering};

use extensions::job::{JobState, QueueName};
use extensions::prelude::*;
use extensions::queue::Memory;
use extensions::{FireErrorKind, Verdict};
use serde::{Deserialize, Serialize};
use tests::kit::{Log, jobs, lines, on_memory};

#[derive(Debug, Clone, Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Ordered {
    id: u64,
    fail_in: String,
}

fn step(name: &'static str) -> impl Fn(&mut Ordered, &Context) -> HandlerResult {
    move |point, cx| {
        cx.resource::<Log>().unwrap().add(name);
        point.id += 1;
        if point.fail_in == name { Err(format!("{name} fails").into()) } else { Ok(()) }
    }
}

struct Later;
impl AsyncHandler<Ordered> for Later {
    async fn handle(&self, _: &Ordered, _: &Job) -> HandlerResult {
        Ok(())
    }
}
struct Other;
impl AsyncHandler<Ordered> for Other {
    async fn handle(&self, _: &Ordered, _: &Job) -> HandlerResult {
        Ok(())
    }
}

fn ordered() -> extensions::ExtensionsBuilder {
    let at = |priority| HandlerOptions::new().priority(priority);
    Extensions::builder()
        .register_fn::<Ordered>("c", step("c"), at(10))
        .register_fn::<Ordered>("z", step("z"), at(-5))
        .register_fn::<Ordered>("b", step("b"), at(10))
        .register_fn::<Ordered>("a", step("a"), HandlerOptions::new())
        .register_async::<Ordered, _>(Later, AsyncOptions::new().queue("later").order(2))
        .register_async::<Ordered, _>(Other, AsyncOptions::new().order(1))
}

#[tokio::test]
async fn inline_handlers_run_by_priority_then_name_and_async_ones_are_queued_after_them() {
    let (ext, queue) = on_memory(ordered()).await;
    let fired = ext.fire(Ordered::default()).await.unwrap();
    assert_eq!(lines(&ext), ["z", "b", "c", "a"]);
    assert_eq!(fired.point().id, 4);
    let handlers: Vec<_> = fired.queued().iter().map(|job| job.handler().to_string()).collect();
    assert_eq!(handlers, ["Ordered/Other", "Ordered/Later"]);
    let stored = jobs(&queue).await;
    assert_eq!(stored.len(), 2);
    for job in &stored {
        let payload: Ordered = serde_json::from_slice(job.payload.as_bytes()).unwrap();
        assert_eq!(payload.id, 4, "the payload is the point as the inline handlers left it");
    }
}

#[tokio::test]
async fn an_inline_error_ends_the_fire_and_queues_nothing() {
    let (ext, queue) = on_memory(ordered()).await;
    let error = ext.fire(Ordered { id: 0, fail_in: "b".into() }).await.unwrap_err();
    assert!(matches!(error.kind(), FireErrorKind::HandlerFailed), "{error:?}");
    assert_eq!(error.to_string(), "firing `Ordered` failed: `b`: b fails");
    assert_eq!(lines(&ext), ["z", "b"]);
    assert_eq!(error.point::<Ordered>().unwrap().id, 2);
    assert!(jobs(&queue).await.is_empty());
}

#[tokio::test]
async fn graceful_mode_runs_every_handler_collects_errors_and_queues() {
    let (ext, queue) = on_memory(ordered()).await;
    let fired = ext.point(Ordered { id: 0, fail_in: "b".into() }).graceful().fire().await.unwrap();
    assert_eq!(lines(&ext), ["z", "b", "c", "a"]);
    assert!(!fired.is_success());
    assert_eq!(fired.errors().len(), 1);
    assert_eq!(fired.errors()[0].handler.name, "b");
    assert_eq!(jobs(&queue).await.len(), 2);
    let error = fired.into_result().unwrap_err();
    assert!(matches!(error.kind(), FireErrorKind::HandlersFailed));
    ext.fire(Ordered { id: 0, fail_in: "b".into() }).await.unwrap_err();
}

#[derive(Debug, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Submit {
    cents: u64,
}

struct Receipt;
impl AsyncHandler<Submit> for Receipt {
    async fn handle(&self, _: &Submit, _: &Job) -> HandlerResult {
        Ok(())
    }
}

fn limit(point: &mut Submit, _: &Context) -> HandlerResult<Verdict> {
    Ok(if point.cents > 100 { Verdict::veto("over the limit") } else { Verdict::Continue })
}

#[tokio::test]
async fn a_veto_is_ok_never_a_success_and_queues_nothing() {
    let (ext, queue) = on_memory(
        Extensions::builder()
            .register_fn::<Submit>("limit", limit, HandlerOptions::new())
            .register_fn::<Submit>(
                "unreached",
                |point, _| {
                    if point.cents > 100 { panic!("ran after the veto") } else { Ok(Verdict::Continue) }
                },
                HandlerOptions::new().priority(200),
            )
            .register_async::<Submit, _>(Receipt, AsyncOptions::new()),
    )
    .await;
    let fired = ext.fire(Submit { cents: 101 }).await.unwrap();
    assert!(!fired.is_success());
    let veto = fired.veto().unwrap();
    assert_eq!((veto.by(), veto.reason()), ("limit", "over the limit"));
    assert!(fired.queued().is_empty() && jobs(&queue).await.is_empty());
    let error = fired.into_result().unwrap_err();
    assert_eq!(error.to_string(), "`Submit` was vetoed by `limit`: over the limit");
    assert!(ext.fire(Submit { cents: 100 }).await.unwrap().is_success());
    assert_eq!(jobs(&queue).await.len(), 1);
}

#[derive(ExtensionPoint)]
#[extension_point(output = Option<u64>)]
struct Quote {
    product: u64,
}

#[extension_handler(Quote, priority = 1)]
struct ListPrice;
impl Handler<Quote> for ListPrice {
    fn handle(&self, quote: &mut Quote, _: &Context) -> HandlerResult<Option<u64>> {
        Ok(Some(quote.product * 10))
    }
}

#[extension_handler(Quote, priority = 2)]
fn no_price(_: &mut Quote) -> Result<Option<u64>, std::fmt::Error> {
    Ok(None)
}

#[tokio::test]
async fn outputs_are_reported_by_handler() {
    let ext =
        Extensions::builder().discover().resource(Log::default()).queue(Memory::new()).build().await.unwrap();
    let fired = ext.fire(Quote { product: 7 }).await.unwrap();
    assert_eq!(fired.outputs().copied().collect::<Vec<_>>(), [Some(70), None]);
    assert_eq!(fired.output_of::<ListPrice>(), Some(&Some(70)));
    let names: Vec<_> = fired.outputs_by_handler().map(|(info, _)| info.name.to_string()).collect();
    assert_eq!(names, ["ListPrice", "no_price"]);
}

#[tokio::test]
async fn the_report_is_data() {
    let (ext, _queue) = on_memory(ordered()).await;
    let fired = ext.point(Ordered { id: 0, fail_in: "a".into() }).graceful().fire().await.unwrap();
    let data = serde_json::to_value(&fired).unwrap();
    assert_eq!(data["point"], "Ordered");
    assert_eq!(data["success"], false);
    assert_eq!(data["errors"][0]["error"], "a fails");
    assert_eq!(data["queued"][1]["queue"], "later");
}

#[tokio::test]
async fn durations_are_reported_only_while_profiling_is_on() {
    let (ext, _queue) = on_memory(ordered()).await;
    let fired = ext.fire(Ordered::default()).await.unwrap();
    assert!(fired.total_time().is_none() && fired.durations().is_empty());
    let (ext, _queue) = on_memory(ordered().profiling(true)).await;
    let fired = ext.fire(Ordered::default()).await.unwrap();
    let names: Vec<_> = fired.durations().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["z", "b", "c", "a"]);
    assert!(fired.total_time().unwrap() >= fired.durations().iter().map(|(_, took)| *took).sum());
}

#[derive(Debug, Clone, Default, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Counted {
    #[serde(default)]
    id: u64,
}

static WRITTEN: AtomicU32 = AtomicU32::new(0);

impl Serialize for Counted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        WRITTEN.fetch_add(1, Ordering::SeqCst);
        let mut out = serializer.serialize_struct("Counted", 1)?;
        out.serialize_field("id", &self.id)?;
        out.end()
    }
}

struct Nth<const N: usize>;
impl<const N: usize> AsyncHandler<Counted> for Nth<N> {
    async fn handle(&self, _: &Counted, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn the_payload_is_written_once_however_many_async_handlers_there_are() {
    let named = |name: &str| AsyncOptions::new().name(name).unique(true);
    let (ext, queue) = on_memory(
        Extensions::builder()
            .register_async::<Counted, _>(Nth::<1>, named("one"))
            .register_async::<Counted, _>(Nth::<2>, named("two"))
            .register_async::<Counted, _>(Nth::<3>, named("three")),
    )
    .await;
    ext.fire(Counted { id: 1 }).await.unwrap();
    assert_eq!(WRITTEN.load(Ordering::SeqCst), 1);
    assert_eq!(jobs(&queue).await.len(), 3);
}

#[tokio::test]
async fn uniqueness_drops_the_second_job_and_names_the_first() {
    let (ext, queue) = on_memory(
        Extensions::builder()
            .register_async::<Counted, _>(Nth::<1>, AsyncOptions::new().name("one").unique(true)),
    )
    .await;
    let first = ext.fire(Counted { id: 1 }).await.unwrap();
    let second = ext.fire(Counted { id: 1 }).await.unwrap();
    assert!(second.queued().is_empty());
    assert_eq!(second.duplicates()[0].of(), first.queued()[0].id());
    assert_eq!(ext.fire(Counted { id: 2 }).await.unwrap().queued().len(), 1);
    assert_eq!(ext.point(Counted { id: 1 }).unique(false).fire().await.unwrap().queued().len(), 1);
    assert_eq!(jobs(&queue).await.len(), 3);
    let wrong = AsyncOptions::new().unique_by(["nothing"]);
    let error = ext.point(Counted { id: 9 }).options_for_named("one", wrong).fire().await.unwrap_err();
    assert!(error.to_string().contains("`unique_by` of `one` names the field `nothing`"), "{error}");
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, unique_by = coupon)]
struct Redeemed {
    id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coupon: Option<String>,
}

struct Redeem;
impl AsyncHandler<Redeemed> for Redeem {
    async fn handle(&self, _: &Redeemed, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn a_field_that_is_left_out_of_the_payload_counts_as_null_in_the_key() {
    let options = AsyncOptions::new().unique(true);
    let (ext, _queue) = on_memory(Extensions::builder().register_async::<Redeemed, _>(Redeem, options)).await;
    let redeemed = |id, coupon: Option<&str>| Redeemed { id, coupon: coupon.map(str::to_owned) };
    let first = ext.fire(redeemed(1, None)).await.unwrap();
    assert_eq!(ext.fire(redeemed(2, None)).await.unwrap().duplicates()[0].of(), first.queued()[0].id());
    assert_eq!(ext.fire(redeemed(3, Some("X"))).await.unwrap().queued().len(), 1);
}

#[tokio::test]
async fn a_panic_is_that_handlers_error_and_the_next_fire_works() {
    let (ext, queue) = on_memory(ordered().register_fn::<Ordered>(
        "moody",
        |point, _| if point.id == 104 { panic!("boom {}", point.id) } else { Ok(()) },
        HandlerOptions::new().priority(101),
    ))
    .await;
    let error = ext.fire(Ordered { id: 100, ..Ordered::default() }).await.unwrap_err();
    assert_eq!(error.to_string(), "firing `Ordered` failed: `moody`: panicked: boom 104");
    assert!(error.report().errors[0].error.is_panic());
    assert!(jobs(&queue).await.is_empty());
    assert!(ext.fire(Ordered::default()).await.unwrap().is_success());
}

struct Awaits;
impl AwaitedHandler<Ordered> for Awaits {
    async fn handle(&self, point: &mut Ordered, cx: &Context) -> HandlerResult {
        tokio::task::yield_now().await;
        point.id += 1_000;
        if point.fail_in == "nested" {
            cx.fire(Quote { product: 1 }).await?;
        }
        if point.fail_in == "panic" {
            tokio::task::yield_now().await;
            panic!("late");
        }
        Ok(())
    }
}

#[tokio::test]
async fn awaited_handlers_run_in_line_with_the_plain_ones() {
    let options = HandlerOptions::new().priority(5);
    let (ext, _queue) = on_memory(ordered().register_awaited::<Ordered, _>(Awaits, options)).await;
    assert_eq!(ext.fire(Ordered::default()).await.unwrap().point().id, 1_004);
    ext.fire(Ordered { id: 0, fail_in: "nested".into() }).await.unwrap();
    let error = ext.fire(Ordered { id: 0, fail_in: "panic".into() }).await.unwrap_err();
    assert!(error.to_string().contains("`Awaits`: panicked: late"), "{error}");
    let error = ext.fire_sync(Ordered::default()).unwrap_err();
    assert!(
        matches!(error.kind(), FireErrorKind::Awaited { handlers } if handlers == &["Awaits"]),
        "{error:?}"
    );
}

#[test]
fn fire_sync_needs_no_runtime_and_does_not_block_on_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ext, queue) = runtime.block_on(on_memory(ordered()));
    assert_eq!(ext.fire_sync(Ordered::default()).unwrap().queued().len(), 2);
    runtime.block_on(async {
        assert_eq!(ext.fire_sync(Ordered::default()).unwrap().queued().len(), 2);
        assert_eq!(jobs(&queue).await.len(), 4);
    });
}

#[tokio::test]
async fn two_instances_see_nothing_of_each_other() {
    let (one, first) = on_memory(ordered()).await;
    let (two, second) = on_memory(Extensions::builder()).await;
    assert!(one.has_handlers::<Ordered>() && !two.has_handlers::<Ordered>());
    two.fire(Ordered::default()).await.unwrap();
    assert!(lines(&one).is_empty());
    one.fire(Ordered::default()).await.unwrap();
    assert_eq!((jobs(&first).await.len(), jobs(&second).await.len()), (2, 0));
}

#[tokio::test]
async fn strict_mode_refuses_a_point_without_handlers() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    ext.fire(Ordered::default()).await.unwrap();
    let error = ext.point(Ordered { id: 3, ..Ordered::default() }).strict().fire().await.unwrap_err();
    assert!(matches!(error.kind(), FireErrorKind::NoHandlers));
    assert_eq!(error.point::<Ordered>().unwrap().id, 3);
    let (ext, _queue) = on_memory(Extensions::builder().strict(true)).await;
    ext.fire(Ordered::default()).await.unwrap_err();
}

#[tokio::test]
async fn one_fire_can_change_the_options_of_all_its_jobs_or_of_one() {
    let (ext, queue) = on_memory(ordered()).await;
    let fired = ext
        .point(Ordered::default())
        .on_queue("bulk")
        .delay(secs(60))
        .priority(1)
        .tags(["fast"])
        .for_tenant("acme")
        .options_for::<Later>(AsyncOptions::new().queue("special").priority(9))
        .fire()
        .await
        .unwrap();
    let stored = jobs(&queue).await;
    let of = |name: &str| stored.iter().find(|job| job.handler.handler() == name).unwrap();
    assert_eq!((of("Other").queue.clone(), of("Other").priority), (QueueName::from("bulk"), 1));
    assert_eq!((of("Later").queue.clone(), of("Later").priority), (QueueName::from("special"), 9));
    for job in &stored {
        assert_eq!(job.state, JobState::Scheduled);
        assert_eq!(job.meta.tenant.as_deref(), Some("acme"));
        assert_eq!(job.meta.tags, ["fast"]);
    }
    assert_eq!(fired.queued().len(), 2);
    let error = ext.point(Ordered::default()).priority(10).fire().await.unwrap_err();
    assert!(error.to_string().contains("from 0 (first) to 9 (last)"), "{error}");
    assert_eq!(error.report().point, "Ordered");
    for (options, named) in [
        (
            AsyncOptions::new().timeout(secs(1)).backoff(Backoff::default()),
            "`backoff`, `timeout` cannot be changed",
        ),
        (AsyncOptions::new().retries(0), "`retries` is 0"),
    ] {
        let error = ext.point(Ordered::default()).options_for::<Later>(options).fire().await.unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
    ext.fire(Ordered::default()).await.unwrap();
    assert_eq!(jobs(&queue).await[3].queue, "later", "nothing stays on the instance");
}

#[tokio::test]
async fn only_and_except_choose_handlers() {
    let (ext, queue) = on_memory(ordered()).await;
    let fired = ext.point(Ordered::default()).only::<Later>().only_named("a").fire().await.unwrap();
    assert_eq!(lines(&ext), ["a"]);
    assert_eq!(fired.skipped().len(), 4);
    assert_eq!(jobs(&queue).await.len(), 1);
    let fired = ext.point(Ordered::default()).except::<Later>().except_named("a").fire().await.unwrap();
    assert_eq!(lines(&ext), ["z", "b", "c"]);
    assert_eq!(fired.queued()[0].handler().handler(), "Other");
}

#[tokio::test]
async fn fire_many_keeps_back_only_what_failed_or_was_vetoed() {
    let (ext, queue) = on_memory(
        Extensions::builder()
            .register_fn::<Submit>(
                "limit",
                |point, cx| if point.cents == 13 { Err("unlucky".into()) } else { limit(point, cx) },
                HandlerOptions::new(),
            )
            .register_async::<Submit, _>(Receipt, AsyncOptions::new()),
    )
    .await;
    let points = [5, 101, 13, 6].map(|cents| Submit { cents });
    let fired = ext.fire_many(points).await;
    assert_eq!(fired.len(), 4);
    assert_eq!(fired[0].as_ref().unwrap().queued().len(), 1);
    assert!(fired[1].as_ref().unwrap().veto().is_some());
    assert!(matches!(fired[2].as_ref().unwrap_err().kind(), FireErrorKind::HandlerFailed));
    assert_eq!(fired[3].as_ref().unwrap().point().cents, 6);
    let stored = jobs(&queue).await;
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[1].id, fired[3].as_ref().unwrap().queued()[0].id());
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Big {
    text: String,
}
struct Store;
impl AsyncHandler<Big> for Store {
    async fn handle(&self, _: &Big, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn a_payload_over_one_mebibyte_is_refused_before_the_push() {
    let (ext, queue) =
        on_memory(Extensions::builder().register_async::<Big, _>(Store, AsyncOptions::new())).await;
    let frame = r#"{"text":""}"#.len();
    ext.fire(Big { text: "x".repeat(1024 * 1024 - frame) }).await.unwrap();
    let error = ext.fire(Big { text: "x".repeat(1024 * 1024 - frame + 1) }).await.unwrap_err();
    assert!(matches!(error.kind(), FireErrorKind::TooLarge { size: 1_048_577, limit: 1_048_576 }));
    assert!(error.to_string().contains("`Big` has 1048577 bytes"), "{error}");
    assert_eq!(jobs(&queue).await.len(), 1);
}

#[tokio::test]
async fn a_boxed_point_travels_with_its_type_and_is_fired() {
    let (ext, queue) = on_memory(ordered()).await;
    let boxed: Box<dyn QueuedPoint> = Box::new(Ordered { id: 1, ..Ordered::default() });
    let text = serde_json::to_string(&boxed).unwrap();
    assert_eq!(text, r#"{"type":"Ordered","id":1,"fail_in":""}"#);
    let back: Box<dyn QueuedPoint> = serde_json::from_str(&text).unwrap();
    assert_eq!(back.point_info().name, "Ordered");
    let report = ext.fire_boxed(back).await.unwrap();
    assert_eq!(report.queued.len(), 2);
    assert_eq!(jobs(&queue).await.len(), 2);
}

#[derive(ExtensionPoint)]
#[extension_point(output = Done)]
struct Task;
#[derive(Debug, PartialEq, Eq)]
struct Done;

#[tokio::test]
async fn an_output_without_a_size_is_an_output() {
    let done = |_: &mut Task, _: &Context| Ok(Done);
    let ext =
        Extensions::builder().register_fn::<Task>("done", done, HandlerOptions::new()).build().await.unwrap();
    assert_eq!(ext.fire(Task).await.unwrap().outputs().collect::<Vec<_>>(), [&Done]);
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Wide {
    id: u128,
}
struct Widely;
impl AsyncHandler<Wide> for Widely {
    async fn handle(&self, _: &Wide, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn every_digit_of_a_number_counts_in_a_unique_key() {
    let unique = AsyncOptions::new().unique(true);
    let (ext, queue) = on_memory(Extensions::builder().register_async::<Wide, _>(Widely, unique)).await;
    for id in [1, 2, 2] {
        ext.fire(Wide { id: (1 << 100) + id }).await.unwrap();
    }
    assert_eq!(jobs(&queue).await.len(), 2);
}

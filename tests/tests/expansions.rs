//! What attributes say reaches the registry, under the strictest lints (product 7; `api.md`, *Handlers*).
#![deny(warnings, clippy::pedantic)]
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use extensions::__private::inventory;
use extensions::handler::{HandlerKind, JobOptions};
use extensions::prelude::*;
use extensions::queue::Memory;
use extensions::registry::{BreakerDecl, ConditionDecl, HandlerDecl, LinkedHandler};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Placed {
    id: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible, name = "order.changed")]
struct Changed;

macro_rules! handlers {
    ($($name:ident($($options:tt)*);)*) => {
        $(
            #[extension_handler(Placed)]
            #[async_handler($($options)*)]
            async fn $name() {}
        )*
    };
}

handlers! {
    bare();
    queue(queue = "emails", priority = 9, tags = ["a", "b"], delay = "1h 30m", timeout = "500ms", retry_until = "1d", expires_in = "2d");
    never(timeout = "none", retries = 1, delay = 30);
    attempts(max_attempts = 10);
    fixed(backoff = "fixed");
    linear(backoff = "linear", backoff_seconds = 5);
    seconds(backoff_seconds = "1m");
    list(backoff_seconds = [10, "30s", 60]);
    call(backoff = exponential("10s", max = "1h", jitter = 0.1));
    jitter(backoff = linear(10, jitter = "full"));
    no_base(backoff = fixed(max = "5s"));
    unique(unique, unique_for = "1h", unique_by = [id], unique_until = "start");
    not_unique(unique = false);
    discarding(missing = "discard");
    failing(missing = "fail");
}

#[extension_handler(Placed, priority = -5, name = "stock", aliases = ["Stock", "OldStock"], tags = ["t"], group = "g")]
#[extension_handler(Changed, on_unavailable = "allow")]
#[deprecated(since = "1.2", note = "use the warehouse")]
#[derive(Debug, Default)]
struct Inventory {
    #[inject]
    limit: Option<Arc<u8>>,
    seen: AtomicU64,
}

impl Handler<Placed> for Inventory {
    fn handle(&self, order: &mut Placed, _cx: &Context) -> HandlerResult {
        self.seen.fetch_add(order.id, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

impl Handler<Changed> for Inventory {
    fn handle(&self, _order: &mut Changed, _cx: &Context) -> HandlerResult<Verdict> {
        Ok(self.limit.as_ref().map_or(Verdict::Continue, |_| Verdict::veto("there is a limit")))
    }
}

#[extension_handler(Changed)]
async fn awaited(_change: &Changed, cx: &Context, names: Res<Vec<String>>) -> anyhow::Result<Verdict> {
    anyhow::ensure!(!names.is_empty() || cx.depth() > 0, "no names");
    Ok(Verdict::Continue)
}

#[extension_handler(Changed)]
#[async_handler]
fn blocking(_change: &Changed, _job: &Job, _names: Res<Vec<String>>) -> HandlerResult {
    Ok(())
}

#[extension_handler(Changed)]
#[async_handler(blocking)]
struct Render;

impl BlockingHandler<Changed> for Render {
    fn handle(&self, _change: &Changed, _job: &Job) -> HandlerResult {
        Ok(())
    }
}

/// A point that is nothing else.
#[derive(ExtensionPoint)]
struct Bare;

#[when(env = ["staging", "production"], feature = "new-billing")]
#[extension_handler(Bare)]
#[extension_handler(Placed, name = "on_placed")]
#[when(not_feature = "old-billing", predicate = outermost)]
#[circuit_breaker(threshold = 3, timeout = "30s", half_open_max = 1)]
fn conditional() {}

fn outermost<P>(_point: &P, cx: &Context) -> bool {
    cx.depth() == 0
}

#[circuit_breaker(off)]
#[extension_handler(Bare)]
#[when(predicate = outermost)]
async fn without_breaker() {}

declare_handler!(Changed => "elsewhere", queue = "documents", max_attempts = 5, backoff_seconds = [1, 2]);

fn decl(name: &str) -> &'static HandlerDecl {
    let mut linked = inventory::iter::<LinkedHandler>.into_iter();
    linked.find(|linked| linked.decl.name == name).unwrap_or_else(|| panic!("no `{name}`")).decl
}

async fn instance() -> Extensions {
    let names = vec!["a".to_owned()];
    Extensions::builder().discover().resource(names).queue(Memory::new()).build().await.unwrap()
}

async fn options(name: &str) -> JobOptions {
    let handlers = instance().await.handlers_of::<Placed>();
    let info = handlers.iter().find(|info| info.name == name).unwrap_or_else(|| panic!("no `{name}`"));
    info.options.clone().unwrap()
}

async fn waits(name: &str) -> Vec<u64> {
    let backoff = options(name).await.backoff;
    (1..=4).map(|attempt| backoff.delay(attempt, 0.5).as_secs()).collect()
}

#[tokio::test]
async fn nothing_written_leaves_the_defaults() {
    let options = options("bare").await;
    assert_eq!((options.queue.as_str(), options.max_attempts, options.delay), ("default", 3, Duration::ZERO));
    assert_eq!((options.timeout, options.unique, options.retry_until), (Some(secs(60)), None, None));
    assert!(!options.discard_missing);
    assert_eq!(waits("bare").await, [10, 20, 40, 80]);
}

#[tokio::test]
async fn plain_options_arrive() {
    let queue = options("queue").await;
    assert_eq!((queue.queue.as_str(), queue.priority), ("emails", 9));
    assert_eq!(queue.tags, ["a", "b"]);
    assert_eq!(queue.delay, secs(5_400));
    assert_eq!(queue.timeout, Some(Duration::from_millis(500)));
    assert_eq!((queue.retry_until, queue.expires_in), (Some(secs(86_400)), Some(secs(172_800))));
    let never = options("never").await;
    assert_eq!((never.timeout, never.max_attempts, never.delay), (None, 1, secs(30)));
    assert_eq!(options("attempts").await.max_attempts, 10);
    assert!(options("discarding").await.discard_missing);
    assert!(!options("failing").await.discard_missing);
}

#[tokio::test]
async fn each_form_of_back_off_has_its_sequence() {
    assert_eq!(waits("fixed").await, [10, 10, 10, 10]);
    assert_eq!(waits("linear").await, [5, 10, 15, 20]);
    assert_eq!(waits("seconds").await, [60, 120, 240, 480]);
    assert_eq!(waits("list").await, [10, 30, 60, 60]);
    assert_eq!(waits("call").await, [10, 20, 40, 80]);
    assert_eq!(waits("jitter").await, [5, 10, 15, 20]);
    assert_eq!(waits("no_base").await, [5, 5, 5, 5]);
    let call = options("call").await.backoff;
    assert_eq!(call.delay(30, 0.5), secs(3_600));
    assert_eq!(call.delay(1, 0.0), secs(9));
}

#[tokio::test]
async fn uniqueness_arrives() {
    let unique = options("unique").await.unique.unwrap();
    assert_eq!(unique.ttl, Some(secs(3_600)));
    assert_eq!(unique.by, ["id"]);
    assert_eq!(format!("{:?}", unique.until), "Start");
    assert_eq!(options("not_unique").await.unique, None);
}

#[tokio::test]
async fn the_attachment_arrives_and_each_has_its_own() {
    let ext = instance().await;
    let on_placed = ext.handlers_of::<Placed>();
    let stock = &on_placed[0];
    assert_eq!((&*stock.name, stock.priority, stock.kind), ("stock", -5, HandlerKind::Inline));
    assert_eq!(stock.aliases, ["Stock", "OldStock"]);
    assert_eq!((&stock.tags[..], stock.group.as_deref()), (&["t".to_owned()][..], Some("g")));
    let deprecated = stock.deprecated.unwrap();
    assert_eq!((deprecated.since, deprecated.note), (Some("1.2"), Some("use the warehouse")));
    assert_eq!(stock.path, format!("{}::Inventory", module_path!()));
    assert!(stock.location.file.ends_with("expansions.rs"), "{}", stock.location);
    let on_changed = ext.handlers_of::<Changed>();
    let kinds: Vec<(&str, HandlerKind)> = on_changed.iter().map(|info| (&*info.name, info.kind)).collect();
    let expected = [
        ("Inventory", HandlerKind::Inline),
        ("awaited", HandlerKind::Awaited),
        ("Render", HandlerKind::Blocking),
        ("blocking", HandlerKind::Blocking),
        ("elsewhere", HandlerKind::Declared),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn conditions_arrive_on_each_point() {
    for name in ["conditional", "on_placed"] {
        let expected = [
            ConditionDecl::Environment(&["staging", "production"]),
            ConditionDecl::Feature("new-billing"),
            ConditionDecl::NotFeature("old-billing"),
        ];
        assert_eq!(decl(name).conditions, expected, "{name}");
    }
    assert!(decl("without_breaker").conditions.is_empty());
    assert!(decl("bare").conditions.is_empty());
}

#[test]
fn breakers_arrive_and_what_is_left_out_stays_open() {
    let expected =
        BreakerDecl { off: false, threshold: Some(3), timeout: Some(secs(30)), half_open_max: Some(1) };
    assert_eq!(decl("conditional").breaker, expected);
    assert_eq!(decl("on_placed").breaker, expected);
    assert_eq!(decl("without_breaker").breaker, BreakerDecl { off: true, ..BreakerDecl::DEFAULT });
    assert_eq!(decl("bare").breaker, BreakerDecl::DEFAULT);
}

#[tokio::test]
async fn a_missing_resource_may_be_missing_where_it_says_so() {
    let ext = instance().await;
    let fired = ext.fire(Changed).await.unwrap();
    assert!(fired.veto().is_none() && fired.is_success());
    assert_eq!(fired.queued().len(), 3);
}

#[tokio::test]
async fn a_boxed_point_keeps_its_name_and_fires() {
    let point: Box<dyn QueuedPoint> = serde_json::from_str(r#"{"type": "Placed", "id": 7}"#).unwrap();
    assert_eq!(point.point_info().name, "Placed");
    assert_eq!(serde_json::to_string(&point).unwrap(), r#"{"type":"Placed","id":7}"#);
}

//! Product 5, first half: strategies over the outputs of one fire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use extensions::ExtensionsBuilder;
use extensions::fire::{Observed, SkipReason};
use extensions::prelude::*;
use extensions::queue::{JobFilter, Memory, QueueBackend};
use serde::{Deserialize, Serialize};

macro_rules! points {
    ($($name:ident: $output:ty;)*) => {$(
        #[derive(Default, ExtensionPoint)]
        #[extension_point(output = $output)]
        struct $name;
    )*};
}

points! {
    QuotePrice: Option<u64>;
    Lines: i64;
    Hours: std::option::Option<f64>;
    Names: Vec<&'static str>;
    Settings: BTreeMap<&'static str, u8>;
    Grid: Option<Vec<Vec<u8>>>;
    Greeting: &'static str;
    Sure: bool;
    MaybeSure: Option<bool>;
    Quoted: Quote;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Quote {
    cents: u64,
    from: &'static str,
}

impl Emptiable for Quote {
    fn is_empty(&self) -> bool {
        self.cents == 0
    }
}

/// An instance whose handlers give these outputs, in this order, and are named `0`, `1` and so on.
async fn giving<P: ExtensionPoint>(outputs: impl IntoIterator<Item = P::Output>) -> Extensions
where
    P::Output: Clone,
{
    with::<P>(Extensions::builder(), outputs).build().await.unwrap()
}

fn with<P: ExtensionPoint>(
    builder: ExtensionsBuilder,
    outputs: impl IntoIterator<Item = P::Output>,
) -> ExtensionsBuilder
where
    P::Output: Clone,
{
    outputs.into_iter().enumerate().fold(builder, |builder, (i, output)| {
        let options = HandlerOptions::new().priority(i32::try_from(i).unwrap());
        builder.register_fn::<P>(i.to_string(), move |_, _| Ok(output.clone()), options)
    })
}

/// What observers saw of the last fire: the handlers that were skipped, and why.
type Reports = Arc<Mutex<Vec<Vec<(String, SkipReason)>>>>;

fn watched(builder: ExtensionsBuilder) -> (ExtensionsBuilder, Reports) {
    let reports = Reports::default();
    let seen = Arc::clone(&reports);
    let observer = move |fire: &Observed<'_>| {
        let skipped = fire.report().skipped.iter();
        let skipped = skipped.map(|one| (one.handler.name.to_string(), one.reason)).collect();
        seen.lock().unwrap().push(skipped);
    };
    (builder.observer(observer), reports)
}

#[tokio::test]
async fn first_answers_the_first_output_that_is_not_empty() {
    let ext = giving::<QuotePrice>([None, Some(7), Some(9)]).await;
    let price: Option<u64> = ext.point(QuotePrice).first().await.unwrap();
    assert_eq!(price, Some(7));
    assert_eq!(ext.point(QuotePrice).first_sync().unwrap(), Some(7));
    let ext = giving::<Names>([vec![], vec!["b"], vec!["c"]]).await;
    assert_eq!(ext.point(Names).first().await.unwrap(), Some(vec!["b"]));
    let ext = giving::<Greeting>(["", "hello"]).await;
    assert_eq!(ext.point(Greeting).first().await.unwrap(), Some("hello"));
    let ext = giving::<Settings>([BTreeMap::new()]).await;
    assert_eq!(ext.point(Settings).first().await.unwrap(), None);
}

#[tokio::test]
async fn first_takes_the_applications_own_word_for_what_is_empty() {
    let quote = |cents, from| Quote { cents, from };
    let ext = giving::<Quoted>([quote(0, "nobody"), quote(5, "ann"), quote(3, "bob")]).await;
    assert_eq!(ext.point(Quoted).first().await.unwrap(), Some(quote(5, "ann")));
}

#[tokio::test]
async fn handlers_behind_an_early_stop_do_not_run_and_are_reported_as_stopped_early() {
    let (builder, reports) = watched(Extensions::builder());
    let builder = with::<QuotePrice>(builder, [None, Some(7)]);
    let unreached = HandlerOptions::new().priority(50);
    let ext = builder
        .register_fn::<QuotePrice>("unreached", |_, _| panic!("ran after the stop"), unreached)
        .build()
        .await
        .unwrap();
    assert_eq!(ext.point(QuotePrice).first().await.unwrap(), Some(7));
    assert_eq!(*reports.lock().unwrap(), [[("unreached".to_owned(), SkipReason::StoppedEarly)]]);
}

#[tokio::test]
async fn merge_puts_collections_together_and_flattens_where_it_is_asked_to() {
    let ext = giving::<Names>([vec!["a", "b"], vec![], vec!["c"]]).await;
    assert_eq!(ext.point(Names).merge().await.unwrap(), ["a", "b", "c"]);
    let ext = giving::<Settings>([BTreeMap::from([("x", 1), ("y", 1)]), BTreeMap::from([("y", 2)])]).await;
    assert_eq!(ext.point(Settings).merge().await.unwrap(), BTreeMap::from([("x", 1), ("y", 2)]));
    let ext = giving::<Grid>([Some(vec![vec![1], vec![2, 3]]), None, Some(vec![vec![4]])]).await;
    assert_eq!(ext.point(Grid).merge().await.unwrap(), [vec![1], vec![2, 3], vec![4]]);
    assert_eq!(ext.point(Grid).merge_flattened().await.unwrap(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn reduce_folds_the_outputs_in_order() {
    let ext = giving::<Lines>([5, -2, 4]).await;
    let tax: i64 = ext.point(Lines).reduce(0, |sum, line| sum + line).await.unwrap();
    assert_eq!(tax, 7);
    let order = |text: String, line: i64| format!("{text}{line}");
    assert_eq!(ext.point(Lines).reduce(String::new(), order).await.unwrap(), "5-24");
    assert_eq!(ext.point(Lines).reduce_sync(1, |product, line| product * line).unwrap(), -40);
}

#[tokio::test]
async fn sum_min_max_and_count_are_those_of_the_outputs() {
    let ext = giving::<Lines>([5, -2, 4]).await;
    assert_eq!(ext.point(Lines).sum().await.unwrap(), 7);
    assert_eq!(ext.point(Lines).min().await.unwrap(), Some(-2));
    assert_eq!(ext.point(Lines).max().await.unwrap(), Some(5));
    assert_eq!(ext.point(Lines).count().await.unwrap(), 3);
    let nobody = Extensions::builder().build().await.unwrap();
    assert_eq!(nobody.point(Lines).sum().await.unwrap(), 0);
    assert_eq!(nobody.point(Lines).min().await.unwrap(), None);
    assert_eq!(nobody.point(Lines).max().await.unwrap(), None);
    assert_eq!(nobody.point(Lines).count().await.unwrap(), 0);
}

#[tokio::test]
async fn of_equal_outputs_min_and_max_answer_the_first() {
    #[derive(Debug, Clone, Copy)]
    struct Ranked(u8, &'static str);
    impl PartialEq for Ranked {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Ranked {}
    impl PartialOrd for Ranked {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Ranked {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }
    #[derive(ExtensionPoint)]
    #[extension_point(output = Ranked)]
    struct Rank;
    let ext = giving::<Rank>([Ranked(1, "a"), Ranked(1, "b")]).await;
    assert_eq!(ext.point(Rank).min().await.unwrap().unwrap().1, "a");
    assert_eq!(ext.point(Rank).max().await.unwrap().unwrap().1, "a");
}

#[tokio::test]
async fn over_options_every_strategy_passes_none_over() {
    let ext = giving::<QuotePrice>([None, Some(7), None, Some(5)]).await;
    assert_eq!(ext.point(QuotePrice).min().await.unwrap(), Some(5));
    assert_eq!(ext.point(QuotePrice).max().await.unwrap(), Some(7));
    assert_eq!(ext.point(QuotePrice).sum().await.unwrap(), 12);
    assert_eq!(ext.point(QuotePrice).count().await.unwrap(), 2);
    assert_eq!(ext.point(QuotePrice).reduce(1, |product, price| product * price).await.unwrap(), 35);
    let ext = giving::<Hours>([None, Some(1.5), Some(2.0)]).await;
    assert!((ext.point(Hours).sum().await.unwrap() - 3.5).abs() < f64::EPSILON);
    let ext = giving::<MaybeSure>([None, Some(false), Some(true)]).await;
    assert!(ext.point(MaybeSure).any().await.unwrap());
    assert!(!ext.point(MaybeSure).all().await.unwrap());
}

#[tokio::test]
async fn all_stops_at_the_first_false_and_any_at_the_first_true() {
    for (outputs, all, any, stopped) in [
        ([true, true, true], true, true, (0, 2)),
        ([true, false, true], false, true, (1, 2)),
        ([false, false, true], false, true, (2, 0)),
        ([false, false, false], false, false, (2, 0)),
    ] {
        let (builder, reports) = watched(Extensions::builder());
        let ext = with::<Sure>(builder, outputs).build().await.unwrap();
        assert_eq!(ext.point(Sure).all().await.unwrap(), all, "{outputs:?}");
        assert_eq!(ext.point(Sure).any().await.unwrap(), any, "{outputs:?}");
        let reports = reports.lock().unwrap();
        assert_eq!((reports[0].len(), reports[1].len()), stopped, "{outputs:?}");
    }
    let nobody = Extensions::builder().build().await.unwrap();
    assert!(nobody.point(Sure).all().await.unwrap());
    assert!(!nobody.point(Sure).any().await.unwrap());
}

#[tokio::test]
async fn concat_joins_texts_with_or_without_a_separator() {
    let ext = giving::<Greeting>(["a", "", "c"]).await;
    assert_eq!(ext.point(Greeting).concat().await.unwrap(), "ac");
    assert_eq!(ext.point(Greeting).concat_with(", ").await.unwrap(), "a, , c");
}

/// The first two positive outputs.
#[derive(Default)]
struct TwoPositive {
    asked: usize,
    found: usize,
}

impl Strategy<i64> for TwoPositive {
    type Value = (usize, Vec<i64>);
    fn is_enough(&mut self, line: &i64) -> bool {
        self.asked += 1;
        self.found += usize::from(*line > 0);
        self.found == 2
    }
    fn finish(self, lines: Vec<i64>) -> Self::Value {
        (self.asked, lines.into_iter().filter(|line| *line > 0).collect())
    }
}

#[tokio::test]
async fn a_strategy_of_the_applications_own_drives_the_loop() {
    let ext = giving::<Lines>([3, -1, 4, 1, 5]).await;
    assert_eq!(ext.point(Lines).collect(TwoPositive::default()).await.unwrap(), (3, vec![3, 4]));
    assert_eq!(ext.point(Lines).collect_sync(TwoPositive::default()).unwrap(), (3, vec![3, 4]));
}

#[tokio::test]
async fn a_strategy_applied_to_a_report_answers_the_same_as_a_fire_with_it() {
    let ext = giving::<Lines>([3, -1, 4, 1, 5]).await;
    let fired = ext.fire(Lines).await.unwrap();
    assert_eq!(fired.outputs().count(), 5);
    assert_eq!(fired.collect(TwoPositive::default()), (3, vec![3, 4]));
}

#[tokio::test]
async fn a_strategy_is_asked_once_about_each_output_also_where_handlers_between_give_none() {
    let options = HandlerOptions::new;
    let ext = Extensions::builder()
        .register_fn::<Lines>("one", |_, _| Ok(3), options().priority(1))
        .register_fn::<Lines>("fails", |_, _| Err("no".into()), options().priority(2))
        .on_any_with("Lines", |_: &AnyPoint<'_>, _: &Context| Ok(()), options().priority(3))
        .register_fn::<Lines>("two", |_, _| Ok(4), options().priority(4))
        .build()
        .await
        .unwrap();
    let given = ext.point(Lines).graceful().collect(TwoPositive::default()).await.unwrap();
    assert_eq!(given, (2, vec![3, 4]));
}

fn priced(price: u64) -> impl Fn(&mut QuotePrice, &Context) -> HandlerResult<Option<u64>> {
    move |_, _| Ok(Some(price))
}

#[tokio::test]
async fn an_error_ends_the_fire_and_in_graceful_mode_the_value_is_of_the_others() {
    let ext = Extensions::builder()
        .register_fn::<QuotePrice>("fails", |_, _| Err("no price".into()), HandlerOptions::new().priority(1))
        .register_fn::<QuotePrice>("panics", |_, _| panic!("boom"), HandlerOptions::new().priority(2))
        .register_fn::<QuotePrice>("nine", priced(9), HandlerOptions::new())
        .build()
        .await
        .unwrap();
    let error = ext.point(QuotePrice).first().await.unwrap_err();
    assert_eq!(error.to_string(), "firing `QuotePrice` failed: `fails`: no price");
    assert_eq!(ext.point(QuotePrice).graceful().first().await.unwrap(), Some(9));
    assert_eq!(ext.point(QuotePrice).graceful().sum().await.unwrap(), 9);
}

#[tokio::test]
async fn an_open_circuit_a_mute_a_tag_and_a_condition_take_a_handler_out_of_the_value() {
    struct Seven;
    impl Handler<QuotePrice> for Seven {
        fn handle(&self, _: &mut QuotePrice, _: &Context) -> HandlerResult<Option<u64>> {
            Ok(Some(7))
        }
    }
    let options = HandlerOptions::new;
    let ext = Extensions::builder()
        .environment("test")
        .register::<QuotePrice, _>(Seven, options().priority(1).tags(["seven"]))
        .register_fn::<QuotePrice>("live", priced(1), options().priority(0).when_env(["production"]))
        .register_fn::<QuotePrice>("nine", priced(9), options())
        .build()
        .await
        .unwrap();
    let first = async || ext.point(QuotePrice).first().await.unwrap();
    assert_eq!(first().await, Some(7));
    {
        let _muted = ext.mute::<Seven>();
        assert_eq!(first().await, Some(9));
    }
    {
        let _disabled = ext.disable_tag("seven");
        assert_eq!(first().await, Some(9));
    }
    ext.breaker_of::<QuotePrice, Seven>().unwrap().open();
    assert_eq!(first().await, Some(9));
    assert_eq!(ext.point(QuotePrice).without_circuit_breaker().first().await.unwrap(), Some(7));
    assert_eq!(ext.point(QuotePrice).except_named("nine").count().await.unwrap(), 0);
    assert_eq!(ext.silenced(async { first().await }).await, None);
}

#[tokio::test]
async fn awaited_handlers_take_part_and_keep_the_sync_forms_from_running() {
    struct Slow;
    impl AwaitedHandler<QuotePrice> for Slow {
        async fn handle(&self, _: &mut QuotePrice, _: &Context) -> HandlerResult<Option<u64>> {
            tokio::task::yield_now().await;
            Ok(Some(3))
        }
    }
    let ext = Extensions::builder()
        .register_awaited::<QuotePrice, _>(Slow, HandlerOptions::new())
        .build()
        .await
        .unwrap();
    assert_eq!(ext.point(QuotePrice).first().await.unwrap(), Some(3));
    assert!(ext.point(QuotePrice).first_sync().unwrap_err().to_string().contains("Slow"));
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, output = Option<u64>)]
struct Priced;

struct Later;
impl AsyncHandler<Priced> for Later {
    async fn handle(&self, _: &Priced, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn async_handlers_are_queued_also_after_an_early_stop_and_not_after_an_error() {
    let queue: Arc<dyn QueueBackend> = Arc::new(Memory::new());
    let ext = with::<Priced>(Extensions::builder(), [Some(1), Some(2)])
        .shared_queue(Arc::clone(&queue))
        .register_async::<Priced, _>(Later, AsyncOptions::new())
        .build()
        .await
        .unwrap();
    assert_eq!(ext.point(Priced).first().await.unwrap(), Some(1));
    assert_eq!(queue.list(JobFilter::default()).await.unwrap().len(), 1);
    let failing = |_: &mut Priced, _: &Context| Err("no".into());
    let _registered =
        ext.register_fn::<Priced>("fails", failing, HandlerOptions::new().priority(-1)).unwrap();
    ext.point(Priced).first().await.unwrap_err();
    assert_eq!(queue.list(JobFilter::default()).await.unwrap().len(), 1);
}

//! 3.9: wildcards: globs on wire names, or on paths where the pattern has `::`.

use super::*;

mod shop {
    use super::*;

    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    pub(super) struct UserCreated {
        pub(super) id: u32,
    }
    #[derive(ExtensionPoint)]
    pub(super) struct OrderCreated(pub(super) u32);
}
use shop::{OrderCreated, UserCreated};

#[derive(serde::Serialize, ExtensionPoint)]
#[extension_point(name = "order.paid")]
struct Paid {
    cents: u32,
}
#[derive(ExtensionPoint)]
#[extension_point(interruptible)]
struct BeforeSave;

fn hears(any: &AnyPoint<'_>, cx: &Context) -> HandlerResult {
    cx.resource::<Log>().unwrap().add(any.name());
    Ok(())
}

async fn fire_all(ext: &Extensions) -> Vec<String> {
    ext.fire(UserCreated { id: 1 }).await.unwrap();
    ext.fire(OrderCreated(2)).await.unwrap();
    ext.fire(Paid { cents: 3 }).await.unwrap();
    ext.fire(BeforeSave).await.unwrap();
    lines(ext)
}

const CASES: [(&str, &[&str]); 9] = [
    ("*Created", &["UserCreated", "OrderCreated"]),
    ("Before*", &["BeforeSave"]),
    ("order.*", &["order.paid"]),
    ("order.???d", &["order.paid"]),
    ("Paid", &[]),
    ("*", &["UserCreated", "OrderCreated", "order.paid", "BeforeSave"]),
    ("section_3_handlers::item_3_9_wildcards::shop::*", &["UserCreated", "OrderCreated"]),
    ("*::item_3_9_wildcards::Paid", &["order.paid"]),
    ("*::Nothing", &[]),
];

#[tokio::test]
async fn globs_choose_by_wire_name_or_by_path_at_start_up_and_on_a_running_instance() {
    for (pattern, expected) in CASES {
        let (ext, _queue) = on_memory(Extensions::builder().on_any(pattern, hears)).await;
        assert_eq!(fire_all(&ext).await, expected, "{pattern}");
        let (ext, _queue) = on_memory(Extensions::builder()).await;
        let start = ext.registry();
        assert!(fire_all(&ext).await.is_empty(), "the points were fired before it came");
        let guard = ext.on_any(pattern, hears).unwrap();
        assert_eq!(fire_all(&ext).await, expected, "{pattern}");
        drop(guard);
        assert!(fire_all(&ext).await.is_empty() && Arc::ptr_eq(&start, &ext.registry()), "{pattern}");
    }
}

#[tokio::test]
async fn it_has_its_place_among_the_others_and_sees_the_point_as_they_left_it() {
    struct Watches;
    impl AnyHandler for Watches {
        fn handle(&self, any: &AnyPoint<'_>, cx: &Context) -> HandlerResult {
            let view = any.view().map(Result::unwrap);
            let order = any.downcast::<OrderCreated>().map(|order| order.0);
            cx.resource::<Log>().unwrap().add(format!("{} {view:?} {order:?}", any.name()));
            Ok(())
        }
    }
    let raise = |user: &mut UserCreated, _: &Context| {
        user.id += 10;
        Ok(())
    };
    let (ext, _queue) = on_memory(
        Extensions::builder()
            .on_any_with("*Created", Watches, at(20))
            .register_fn::<UserCreated>("raise", raise, at(10))
            .register_fn::<UserCreated>("raise-again", raise, at(30)),
    )
    .await;
    assert_eq!(names::<UserCreated>(&ext), ["raise", "Watches", "raise-again"]);
    assert_eq!(ext.fire(UserCreated { id: 1 }).await.unwrap().point().id, 21);
    ext.fire(OrderCreated(2)).await.unwrap();
    let view = "UserCreated Some(Object {\"id\": Number(11)}) None";
    assert_eq!(lines(&ext), [view, "OrderCreated None Some(2)"], "a view only where it is `Serialize`");
}

#[tokio::test]
async fn conditions_mutes_tags_and_choice_are_asked_of_it_too() {
    let flags = Arc::new(extensions::features::StaticFlags::new());
    let options = || at(1).name("w").tags(["audit"]).when_feature("audit");
    let builder =
        Extensions::builder().features(Arc::clone(&flags)).on_any_with("*Created", hears, options());
    let (ext, _queue) = on_memory(builder).await;
    let why = async || skips(ext.fire(OrderCreated(1)).await.unwrap().skipped());
    let skipped = |reason| vec![("w".to_owned(), reason)];
    assert_eq!(why().await, skipped(SkipReason::Condition));
    flags.set("audit", true);
    assert!(why().await.is_empty());
    let muted = ext.mute_named("w");
    assert_eq!(why().await, skipped(SkipReason::Muted));
    drop(muted);
    let disabled = ext.disable_tag("audit");
    assert_eq!(why().await, skipped(SkipReason::Disabled));
    drop(disabled);
    let fired = ext.point(OrderCreated(1)).except_named("w").fire().await.unwrap();
    assert_eq!(skips(fired.skipped()), skipped(SkipReason::NotChosen));
    assert_eq!(lines(&ext).len(), 1);
    let (ext, _queue) =
        on_memory(Extensions::builder().on_any_with("*", hears, at(1).name("w").when_env(["staging"]))).await;
    assert!(fire_all(&ext).await.is_empty());
}

#[tokio::test]
async fn its_error_ends_a_fire_and_it_is_no_guard() {
    let fails = |_: &AnyPoint<'_>, _: &Context| -> HandlerResult { Err("no".into()) };
    let (ext, _queue) = on_memory(Extensions::builder().on_any_with("Before*", fails, at(1).name("w"))).await;
    let error = ext.fire(BeforeSave).await.unwrap_err();
    assert_eq!(error.to_string(), "firing `BeforeSave` failed: `w`: no");
    assert!(ext.point(BeforeSave).graceful().allows().await.unwrap());
    let _muted = ext.mute_named("w");
    assert!(ext.allows(BeforeSave).await.unwrap());
}

#[tokio::test]
async fn a_renamed_point_is_matched_and_told_by_its_name_in_the_instance() {
    let path = format!("{}::OrderCreated", module_path!().to_owned() + "::shop");
    let builder = Extensions::builder().rename_point(path, "order.created").on_any("order.*", hears);
    let (ext, _queue) = on_memory(builder).await;
    assert_eq!(fire_all(&ext).await, ["order.created", "order.paid"]);
}

#[tokio::test]
async fn one_that_was_taken_off_a_point_stays_off_whatever_is_registered_later() {
    let (ext, _queue) =
        on_memory(Extensions::builder().on_any_with("*Created", hears, at(1).name("w"))).await;
    assert!(ext.unregister_named::<OrderCreated>("w"));
    let other = ext.register_fn::<OrderCreated>("other", note("other"), at(2)).unwrap();
    let list = Registrations::new().on_any_with("*", note_any, at(3).name("another"));
    let another = ext.register_many(list).unwrap();
    ext.fire(OrderCreated(1)).await.unwrap();
    ext.fire(UserCreated { id: 1 }).await.unwrap();
    assert_eq!(lines(&ext), ["other", "another", "UserCreated", "another"]);
    drop((other, another));
    assert_eq!(fire_all(&ext).await, ["UserCreated"]);
}

fn note_any(_: &AnyPoint<'_>, cx: &Context) -> HandlerResult {
    cx.resource::<Log>().unwrap().add("another");
    Ok(())
}

#[tokio::test]
async fn an_empty_pattern_stops_start_up() {
    let said = Extensions::builder().on_any("", hears).build().await.unwrap_err().to_string();
    assert!(said.contains("write `*` for every point"), "{said}");
}

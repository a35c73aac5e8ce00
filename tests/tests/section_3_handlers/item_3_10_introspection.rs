//! 3.10: what is registered, as data.

use super::*;

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, name = "data.shown", version = 4)]
struct Shown;
#[derive(ExtensionPoint)]
struct Unseen;

struct Shows;
impl AsyncHandler<Shown> for Shows {
    async fn handle(&self, _: &Shown, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn points_handlers_options_tags_conditions_and_places_are_there_and_serialise() {
    let (_clock, builder) = by_hand();
    let options = at(7).tags(["a", "b"]).group("g").when_env(["staging"]).when_feature("f");
    let (ext, _queue) = on_memory(
        builder
            .register_fn::<Shown>("inline", note("inline"), options.without_circuit_breaker())
            .register_async::<Shown, _>(Shows, AsyncOptions::new().queue("q").retries(9).delay(secs(5)))
            .on_any_with("data.*", |_: &AnyPoint<'_>, _: &Context| Ok(()), at(1).name("w")),
    )
    .await;
    assert!(ext.has_handlers::<Shown>() && !ext.has_handlers::<Unseen>());
    assert_eq!((ext.count_handlers::<Shown>(), ext.count_handlers::<Unseen>()), (3, 0));
    let data = serde_json::to_value(ext.handlers_of::<Shown>()).unwrap();
    let shown = |place: usize, key: &str| data[place][key].clone();
    assert_eq!([0, 1, 2].map(|place| shown(place, "name")), ["w", "inline", "Shows"]);
    assert_eq!([0, 1, 2].map(|place| shown(place, "kind")), ["wildcard", "inline", "async"]);
    assert_eq!([0, 1, 2].map(|place| shown(place, "priority")), [1, 7, 100]);
    assert_eq!(shown(1, "tags"), serde_json::json!(["a", "b"]));
    assert_eq!(shown(1, "group"), "g");
    assert_eq!(shown(1, "conditions"), serde_json::json!(["env = staging", "feature = f"]));
    assert!(shown(1, "breaker").is_null() && shown(0, "breaker")["threshold"] == 5);
    assert_eq!(
        (shown(2, "options")["queue"].clone(), shown(2, "options")["max_attempts"].clone()),
        ("q".into(), 9.into())
    );
    assert_eq!(shown(2, "path"), format!("{}::Shows", module_path!()));
    assert!(shown(2, "location")["file"].as_str().unwrap().ends_with("item_3_10_introspection.rs"));
    let registry = ext.registry();
    let point = registry.points().iter().find(|point| point.name == "data.shown").unwrap();
    assert_eq!((point.version, point.handlers, point.queued), (4, 3, true));
    assert_eq!(registry.tags().into_iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(registry.groups().into_iter().collect::<Vec<_>>(), ["g"]);
    assert_eq!(registry.tagged("a").count(), 1);
}

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

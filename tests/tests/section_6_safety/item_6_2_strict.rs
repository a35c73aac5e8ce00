//! 6.2: in strict mode a point without handlers is an error.

use super::*;

#[derive(Default, ExtensionPoint)]
struct Lonely;
#[derive(Default, ExtensionPoint)]
struct Other;

fn nothing(_: &mut Lonely, _: &Context) -> HandlerResult {
    Ok(())
}

#[tokio::test]
async fn per_fire_and_by_default_in_every_way_of_firing() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    assert!(ext.fire(Lonely).await.is_ok());
    assert_eq!(kind(ext.point(Lonely).strict().fire().await), "NoHandlers");
    assert!(ext.fire(Lonely).await.is_ok(), "nothing stays on the instance");
    let (ext, _queue) = on_memory(Extensions::builder().strict(true)).await;
    assert_eq!(kind(ext.fire(Lonely).await), "NoHandlers");
    assert_eq!(kind(ext.fire_sync(Lonely)), "NoHandlers");
    assert_eq!(kind(ext.fire_many([Lonely]).await.remove(0)), "NoHandlers");
    assert_eq!(kind(ext.point(Lonely).fire_sync()), "NoHandlers");
}

#[tokio::test]
async fn a_handler_of_the_scope_counts_and_only_inside() {
    let (ext, _queue) = on_memory(Extensions::builder().strict(true)).await;
    let scope = ext.scope("inside");
    scope.register_fn::<Lonely>("h", nothing, at(1));
    assert!(scope.run(async { ext.fire(Lonely).await }).await.is_ok());
    assert_eq!(kind(ext.fire(Lonely).await), "NoHandlers");
}

#[tokio::test]
async fn a_point_whose_handlers_have_gone_has_none() {
    let builder = Extensions::builder().strict(true).register_fn::<Lonely>("h", nothing, at(1));
    let (ext, _queue) = on_memory(builder).await;
    assert!(ext.fire(Lonely).await.is_ok());
    ext.unregister_all::<Lonely>();
    assert_eq!(kind(ext.fire(Lonely).await), "NoHandlers");
    assert_eq!(kind(ext.fire_sync(Lonely)), "NoHandlers");
    let guard = ext.register_fn::<Lonely>("h", nothing, at(1)).unwrap();
    assert!(ext.fire(Lonely).await.is_ok());
    drop(guard);
    assert_eq!(kind(ext.fire(Lonely).await), "NoHandlers");
}

#[tokio::test]
async fn a_wildcard_that_does_not_match_the_point_is_no_handler_of_it() {
    let any = |_: &AnyPoint<'_>, _: &Context| Ok(());
    let (ext, _queue) = on_memory(Extensions::builder().strict(true).on_any("Oth*", any)).await;
    assert!(ext.fire(Other).await.is_ok());
    assert_eq!(kind(ext.fire(Lonely).await), "NoHandlers");
    assert_eq!(kind(ext.fire_sync(Lonely)), "NoHandlers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_that_fires_alone() {
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    let tasks = (0..100).map(|n| {
        let ext = ext.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                let fire = ext.point(Lonely);
                let fire = if n % 2 == 0 { fire.strict() } else { fire };
                assert_eq!(fire.fire().await.is_err(), n % 2 == 0);
                tokio::task::yield_now().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        in_time("a task", task).await.unwrap();
    }
}

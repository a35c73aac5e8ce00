//! 6.1: graceful mode is one fire's, or the default; nothing of a fire is on the shared instance.

use super::*;

#[derive(Clone, Default, ExtensionPoint)]
struct Called {
    errs: bool,
    nested: Option<bool>,
    seen: Vec<&'static str>,
}

struct Yields(&'static str);
impl AwaitedHandler<Called> for Yields {
    async fn handle(&self, point: &mut Called, cx: &Context) -> HandlerResult {
        for _ in 0..fastrand::u8(0..4) {
            tokio::task::yield_now().await;
        }
        if let (Some(errs), "first") = (point.nested, self.0) {
            let nested = cx.fire(Called { errs, ..Called::default() }).await;
            point.seen.push(if nested.is_ok() { "nested ok" } else { "nested err" });
        }
        point.seen.push(self.0);
        if point.errs && self.0 != "last" { Err(self.0.into()) } else { Ok(()) }
    }
}

fn three() -> ExtensionsBuilder {
    Extensions::builder()
        .without_circuit_breaker()
        .register_awaited::<Called, _>(Yields("first"), at(1).name("first"))
        .register_awaited::<Called, _>(Yields("second"), at(2).name("second"))
        .register_awaited::<Called, _>(Yields("last"), at(3).name("last"))
}

fn errs() -> Called {
    Called { errs: true, ..Called::default() }
}

#[tokio::test]
async fn every_handler_runs_and_all_errors_are_collected_per_fire_or_by_default() {
    let (ext, _queue) = on_memory(three()).await;
    let fired = ext.point(errs()).graceful().fire().await.unwrap();
    assert_eq!(fired.point().seen, ["first", "second", "last"]);
    let names: Vec<_> = fired.errors().iter().map(|failure| failure.handler.name.to_string()).collect();
    assert_eq!(names, ["first", "second"]);
    assert!(!fired.is_success());
    let error = ext.fire(errs()).await.unwrap_err();
    assert_eq!(error.point::<Called>().unwrap().seen, ["first"]);
    let (ext, _queue) = on_memory(three().graceful(true)).await;
    assert_eq!(ext.fire(errs()).await.unwrap().errors().len(), 2);
    assert_eq!(ext.fire_many([errs()]).await.remove(0).unwrap().errors().len(), 2);
    assert_eq!(kind(ext.point(errs()).fail_fast().fire().await), "HandlerFailed");
}

#[tokio::test]
async fn by_default_plain_handlers_go_on_behind_an_error_and_a_panic_too() {
    let step = |name: &'static str| {
        move |point: &mut Called, _: &Context| {
            point.seen.push(name);
            assert!(!point.errs || name != "panics", "boom");
            if point.errs && name == "fails" { Err("fails".into()) } else { Ok(()) }
        }
    };
    let names = ["first", "fails", "second", "panics", "last"];
    let builder = (0..).zip(names).fold(Extensions::builder().graceful(true), |builder, (rank, name)| {
        builder.register_fn::<Called>(name, step(name), at(rank))
    });
    let (ext, _queue) = on_memory(builder).await;
    for fired in [ext.fire(errs()).await.unwrap(), ext.fire_sync(errs()).unwrap()] {
        assert_eq!(fired.point().seen, names);
        let failed: Vec<_> = fired.errors().iter().map(|failure| failure.error.to_string()).collect();
        assert_eq!(failed, ["fails", "panicked: boom"]);
    }
    assert!(ext.fire(Called::default()).await.unwrap().is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_fires_of_different_modes_do_not_touch_each_other_after_errors_and_in_nested_fires() {
    let (ext, _queue) = on_memory(three()).await;
    let tasks: Vec<_> = (0..200)
        .map(|n: u32| {
            let ext = ext.clone();
            tokio::spawn(async move {
                for round in 0..10 {
                    let (graceful, inner) = ((n + round).is_multiple_of(2), (n + round).is_multiple_of(3));
                    let point = Called { nested: Some(inner), ..errs() };
                    let fire = ext.point(point);
                    let fire = if graceful { fire.graceful() } else { fire };
                    let nested = if inner { "nested err" } else { "nested ok" };
                    match fire.fire().await {
                        Ok(fired) => {
                            assert!(graceful);
                            assert_eq!(fired.point().seen, [nested, "first", "second", "last"]);
                            assert_eq!(fired.errors().len(), 2);
                        }
                        Err(error) => {
                            assert!(!graceful);
                            assert_eq!(error.point::<Called>().unwrap().seen, [nested, "first"]);
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        in_time("a task", task).await.unwrap();
    }
}

//! Fires within fires.

use super::*;

#[derive(Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Outer {
    veto: bool,
    fail: bool,
    inner_veto: bool,
    inner_fail: bool,
    ignore: bool,
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Inner {
    veto: bool,
    fail: bool,
}

struct OuterJob;
impl AsyncHandler<Outer> for OuterJob {
    async fn handle(&self, _: &Outer, _: &Job) -> HandlerResult {
        Ok(())
    }
}
struct InnerJob;
impl AsyncHandler<Inner> for InnerJob {
    async fn handle(&self, _: &Inner, _: &Job) -> HandlerResult {
        Ok(())
    }
}

fn nesting() -> extensions::ExtensionsBuilder {
    Extensions::builder()
        .register_fn::<Outer>(
            "nests",
            |outer, cx| {
                let nested = cx.fire_sync(Inner { veto: outer.inner_veto, fail: outer.inner_fail });
                match nested {
                    Ok(fired) => assert_eq!(fired.queued().len(), usize::from(!outer.inner_veto)),
                    Err(_) if outer.ignore => {}
                    Err(error) => return Err(error.into()),
                }
                Ok(Verdict::Continue)
            },
            HandlerOptions::new(),
        )
        .register_fn::<Outer>(
            "then",
            |outer, _| {
                if outer.fail {
                    return Err("outer fails".into());
                }
                Ok(if outer.veto { Verdict::veto("no") } else { Verdict::Continue })
            },
            HandlerOptions::new().priority(200),
        )
        .register_fn::<Inner>(
            "inner",
            |inner, _| {
                if inner.fail {
                    return Err("inner fails".into());
                }
                Ok(if inner.veto { Verdict::veto("inner no") } else { Verdict::Continue })
            },
            HandlerOptions::new(),
        )
        .register_async::<Outer, _>(OuterJob, AsyncOptions::new())
        .register_async::<Inner, _>(InnerJob, AsyncOptions::new())
}

async fn queued_by(outer: Outer, graceful: bool) -> (Vec<String>, bool) {
    let (ext, queue) = on_memory(nesting().graceful(false)).await;
    let fire = ext.point(outer);
    let fired = if graceful { fire.graceful().fire().await } else { fire.fire().await };
    let stored = jobs(&queue).await;
    let handlers = stored.iter().map(|job| job.handler.handler().to_owned()).collect();
    (handlers, fired.is_ok())
}

#[tokio::test]
async fn nested_jobs_join_the_outer_push_and_fall_with_the_outer_fire() {
    let outer = Outer::default;
    assert_eq!(queued_by(outer(), false).await, (vec!["InnerJob".into(), "OuterJob".into()], true));
    assert_eq!(queued_by(Outer { veto: true, ..outer() }, false).await, (vec![], true));
    assert_eq!(queued_by(Outer { fail: true, ..outer() }, false).await, (vec![], false));
}

#[tokio::test]
async fn a_nested_veto_keeps_back_the_nested_jobs_only() {
    let outer = Outer { inner_veto: true, ..Outer::default() };
    assert_eq!(queued_by(outer, false).await, (vec!["OuterJob".into()], true));
}

#[tokio::test]
async fn a_nested_error_drops_the_nested_jobs_even_if_it_is_ignored() {
    let failing = Outer { inner_fail: true, ..Outer::default() };
    assert_eq!(queued_by(failing, false).await, (vec![], false));
    let ignored = Outer { inner_fail: true, ignore: true, ..Outer::default() };
    assert_eq!(queued_by(ignored, false).await, (vec!["OuterJob".into()], true));
}

#[tokio::test]
async fn in_graceful_mode_jobs_of_nested_fires_that_succeeded_stay() {
    let outer = Outer { fail: true, ..Outer::default() };
    assert_eq!(queued_by(outer, true).await, (vec!["InnerJob".into(), "OuterJob".into()], true));
}

#[tokio::test]
async fn nested_jobs_share_the_root_and_know_their_depth() {
    let (ext, queue) = on_memory(nesting()).await;
    ext.fire(Outer::default()).await.unwrap();
    let stored = jobs(&queue).await;
    assert_eq!(stored[0].meta.root, stored[1].meta.root);
    assert_eq!((stored[0].meta.depth, stored[1].meta.depth), (1, 0));
}

#[tokio::test]
async fn nested_jobs_carry_the_tenant_of_the_outer_fire() {
    let (ext, queue) = on_memory(nesting().register_fn::<Inner>(
        "sees",
        |_, cx| {
            assert_eq!((cx.tenant(), cx.depth()), (Some("acme"), 1));
            Ok(Verdict::Continue)
        },
        HandlerOptions::new(),
    ))
    .await;
    ext.point(Outer::default()).for_tenant("acme").fire().await.unwrap();
    let stored = jobs(&queue).await;
    let tenants: Vec<_> = stored.iter().map(|job| job.meta.tenant.as_deref()).collect();
    assert_eq!(tenants, [Some("acme"); 2]);
}

#[derive(ExtensionPoint)]
struct Recursive(u32);

#[tokio::test]
async fn recursion_deeper_than_the_limit_is_an_error_that_shows_the_chain() {
    let recurse = |point: &mut Recursive, cx: &Context| {
        assert_eq!(cx.depth(), point.0);
        cx.fire_sync(Recursive(point.0 + 1))?;
        Ok(())
    };
    let builder = Extensions::builder().register_fn::<Recursive>("recurse", recurse, HandlerOptions::new());
    let ext = builder.max_depth(3).build().await.unwrap();
    let error = ext.fire_sync(Recursive(0)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("deeper than 3: Recursive → Recursive → Recursive → Recursive → Recursive"),
        "{text}"
    );
    let deep = Extensions::builder().register_fn::<Recursive>(
        "recurse",
        |point, cx| {
            if point.0 < 64 {
                cx.fire_sync(Recursive(point.0 + 1)).map(|_| ()).map_err(Into::into)
            } else {
                Ok(())
            }
        },
        HandlerOptions::new(),
    );
    deep.build().await.unwrap().fire_sync(Recursive(0)).unwrap();
}

#[tokio::test]
async fn the_error_of_the_deepest_nesting_is_said_once() {
    let recurse = |point: &mut Recursive, cx: &Context| {
        cx.fire_sync(Recursive(point.0 + 1))?;
        Ok(())
    };
    let builder = Extensions::builder().register_fn::<Recursive>("recurse", recurse, HandlerOptions::new());
    let error = builder.build().await.unwrap().fire_sync(Recursive(0)).unwrap_err();
    assert_eq!(error.to_string().matches("deeper than 64").count(), 1);
}

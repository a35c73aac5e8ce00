//! 4.5: an inline handler fires points through its context; their jobs join the outer push.

use super::*;

#[derive(Default, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued, interruptible)]
struct Outer {
    vetoes: bool,
    fails: bool,
    ignores: bool,
    inner: String,
}

struct OuterJob;
impl AsyncHandler<Outer> for OuterJob {
    async fn handle(&self, _: &Outer, _: &Job) -> HandlerResult {
        Ok(())
    }
}

fn nests(outer: &mut Outer, cx: &Context) -> HandlerResult<Verdict> {
    let inner = match &*outer.inner {
        "veto" => placed("", "second"),
        "error" => placed("second", ""),
        _ => placed("", ""),
    };
    let nested = cx.fire_sync(inner);
    if let Ok(fired) = &nested {
        assert_eq!(fired.point().seen, ["first", "second"], "the nested inline handlers run at once");
    }
    if !outer.ignores {
        nested?;
    }
    Ok(Verdict::Continue)
}

fn ends(outer: &mut Outer, _: &Context) -> HandlerResult<Verdict> {
    if outer.fails {
        return Err("the outer errs".into());
    }
    Ok(if outer.vetoes { Verdict::veto("no") } else { Verdict::Continue })
}

async fn queued_by(outer: Outer, graceful: bool, awaited: bool) -> Vec<String> {
    struct Nests;
    impl AwaitedHandler<Outer> for Nests {
        async fn handle(&self, outer: &mut Outer, cx: &Context) -> HandlerResult<Verdict> {
            tokio::task::yield_now().await;
            let inner = match &*outer.inner {
                "veto" => placed("", "second"),
                "error" => placed("second", ""),
                _ => placed("", ""),
            };
            let nested = cx.fire(inner).await;
            if !outer.ignores {
                nested?;
            }
            Ok(Verdict::Continue)
        }
    }
    let pushes = Pushes::default();
    let builder = shop()
        .without_circuit_breaker()
        .push_layer(pushes.clone())
        .register_fn::<Outer>("ends", ends, at(200))
        .register_async::<Outer, _>(OuterJob, AsyncOptions::new());
    let builder = if awaited {
        builder.register_awaited::<Outer, _>(Nests, at(1))
    } else {
        builder.register_fn::<Outer>("nests", nests, at(1))
    };
    let (ext, queue) = on_memory(builder).await;
    let fire = ext.point(outer);
    let fire = if graceful { fire.graceful() } else { fire };
    let _ = fire.fire().await;
    let stored = jobs(&queue).await;
    assert_eq!(pushes.0.lock().unwrap().len(), usize::from(!stored.is_empty()), "one push");
    assert!(stored.windows(2).all(|two| two[0].meta.root == two[1].meta.root));
    stored.iter().map(|job| job.handler.handler().to_owned()).collect()
}

#[tokio::test]
async fn each_end_keeps_back_what_it_should() {
    let of = |inner: &str| Outer { inner: inner.to_owned(), ..Outer::default() };
    let all = ["Mail", "Book", "OuterJob"];
    for awaited in [false, true] {
        let cases: [(Outer, bool, &[&str]); 8] = [
            (of(""), false, &all),
            (Outer { vetoes: true, ..of("") }, false, &[]),
            (Outer { fails: true, ..of("") }, false, &[]),
            (of("veto"), false, &["OuterJob"]),
            (of("error"), false, &[]),
            (Outer { ignores: true, ..of("error") }, false, &["OuterJob"]),
            (Outer { fails: true, ..of("") }, true, &all),
            (Outer { vetoes: true, ..of("") }, true, &[]),
        ];
        for (n, (outer, graceful, expected)) in cases.into_iter().enumerate() {
            assert_eq!(queued_by(outer, graceful, awaited).await, expected, "case {n}, awaited: {awaited}");
        }
    }
}

#[derive(ExtensionPoint)]
struct Deeper(u32);

#[tokio::test]
async fn sixty_four_deep_is_the_limit_and_the_error_shows_the_chain() {
    let until = |last: u32| {
        move |point: &mut Deeper, cx: &Context| -> HandlerResult {
            if point.0 < last {
                cx.fire_sync(Deeper(point.0 + 1))?;
            }
            Ok(())
        }
    };
    let (ext, _queue) = on_memory(Extensions::builder().register_fn::<Deeper>("h", until(64), at(1))).await;
    ext.fire(Deeper(0)).await.unwrap();
    let (ext, _queue) = on_memory(Extensions::builder().register_fn::<Deeper>("h", until(65), at(1))).await;
    let said = ext.fire(Deeper(0)).await.unwrap_err().to_string();
    assert!(said.contains("deeper than 64") && said.matches("Deeper").count() >= 66, "{said}");
}

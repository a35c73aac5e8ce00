//! 4.4: a panic is an error of its handler, and the next fire works.

use super::*;

#[derive(Clone, Default, ExtensionPoint)]
struct Called {
    panics: bool,
    seen: Vec<&'static str>,
}

struct Late;
impl AwaitedHandler<Called> for Late {
    async fn handle(&self, point: &mut Called, _: &Context) -> HandlerResult {
        tokio::task::yield_now().await;
        assert!(!point.panics, "late");
        point.seen.push("late");
        Ok(())
    }
}

fn early(point: &mut Called, _: &Context) -> HandlerResult {
    assert!(!point.panics, "early");
    point.seen.push("early");
    Ok(())
}

#[tokio::test]
async fn in_plain_and_awaited_handlers_and_wildcards_and_the_next_fire_works() {
    let any = |any: &AnyPoint<'_>, _: &Context| -> HandlerResult {
        assert!(any.downcast::<Called>().is_none_or(|called| !called.panics), "any");
        Ok(())
    };
    let builders = [
        ("early", Extensions::builder().register_fn::<Called>("h", early, at(1))),
        ("late", Extensions::builder().register_awaited::<Called, _>(Late, at(1).name("h"))),
        ("any", Extensions::builder().on_any_with("Called", any, at(1).name("h"))),
    ];
    for (says, builder) in builders {
        let (ext, _queue) = on_memory(builder).await;
        let panics = || Called { panics: true, ..Called::default() };
        let error = ext.fire(panics()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("firing `Called` failed: `h`: panicked: {says}"));
        let fired = ext.point(panics()).graceful().fire().await.unwrap();
        assert!(fired.errors()[0].error.is_panic());
        assert!(ext.fire(Called::default()).await.unwrap().is_success());
    }
}

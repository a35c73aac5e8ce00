//! Done-when 4: a plain inline handler costs no allocation.

use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct Tick {
    hits: u64,
}

#[derive(ExtensionPoint)]
struct Nobody;

fn count(tick: &mut Tick, _: &Context) -> HandlerResult {
    tick.hits += 1;
    Ok(())
}

async fn instance(handlers: usize) -> Extensions {
    let mut builder = Extensions::builder();
    for i in 0..handlers {
        builder = builder.register_fn::<Tick>(format!("h{i}"), count, HandlerOptions::new());
    }
    builder.build().await.unwrap()
}

#[tokio::test]
async fn plain_inline_handlers_cost_no_allocation() {
    for handlers in [1, 4, 16] {
        let ext = instance(handlers).await;
        ext.fire_sync(Tick { hits: 0 }).unwrap();
        let sync = allocation_counter::measure(|| {
            for _ in 0..1_000 {
                assert_eq!(ext.fire_sync(Tick { hits: 0 }).unwrap().point().hits, handlers as u64);
            }
        });
        assert_eq!(sync.count_total, 0, "fire_sync with {handlers} handlers");
        let waker = std::task::Waker::noop();
        let mut task = std::task::Context::from_waker(waker);
        let awaited = allocation_counter::measure(|| {
            for _ in 0..1_000 {
                let fire = std::pin::pin!(ext.fire(Tick { hits: 0 }));
                let std::task::Poll::Ready(fired) = fire.poll(&mut task) else {
                    panic!("a plain fire waits")
                };
                assert_eq!(fired.unwrap().point().hits, handlers as u64);
            }
        });
        assert_eq!(awaited.count_total, 0, "fire().await with {handlers} handlers");
    }
    let ext = instance(0).await;
    let none = allocation_counter::measure(|| drop(ext.fire_sync(Nobody)));
    assert_eq!(none.count_total, 0);
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(counted.count_total, 1);
}

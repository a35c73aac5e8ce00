//! 3.3: priorities are any `i32`, lower first, 100 where nothing is said.

use super::*;

#[derive(ExtensionPoint)]
struct Ranked(Vec<i32>);

#[tokio::test]
async fn all_of_i32_is_in_order_and_the_default_is_a_hundred() {
    let push = |value| {
        move |point: &mut Ranked, _: &Context| {
            point.0.push(value);
            Ok(())
        }
    };
    let ranks = [200, i32::MAX, 99, -1, i32::MIN, 101, 0, 50];
    let builder = ranks.iter().fold(Extensions::builder(), |builder, &rank| {
        builder.register_fn::<Ranked>(format!("at{rank}"), push(rank), at(rank))
    });
    let builder = builder.register_fn::<Ranked>("default", push(100), HandlerOptions::new());
    let (ext, _queue) = on_memory(builder).await;
    let order = ext.fire(Ranked(vec![])).await.unwrap().into_point().0;
    assert_eq!(order, [i32::MIN, -1, 0, 50, 99, 100, 101, 200, i32::MAX]);
}

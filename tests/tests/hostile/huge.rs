use super::*;

#[tokio::test]
async fn ten_thousand_handlers_come_and_go() {
    let ext = built(with_beat(Extensions::builder())).await;
    let list = (0..10_000).fold(Registrations::new(), |list, n| {
        list.register_fn::<Tick>(format!("h{n}"), |_, _| Ok(()), at(n % 7))
    });
    let registration = ext.register_many(list).unwrap();
    assert_eq!(ext.count_handlers::<Tick>(), 10_000);
    ext.fire(Tick::default()).await.unwrap();
    ext.fire_many((0..100).map(|_| Tick::default())).await;
    drop(registration);
    assert!(is_quiet(&ext));
    let some: Vec<_> =
        (0..300).map(|n| ext.register_fn::<Tick>(format!("h{n}"), |_, _| Ok(()), at(1)).unwrap()).collect();
    drop(some);
    let many = ext.fire_many((0..100_000).map(|_| Beat)).await;
    assert!(many.iter().all(Result::is_ok));
    let guards: Vec<_> = (0..2_000).map(|n| ext.mute_named(format!("m{n}"))).collect();
    drop(guards);
    assert!(is_quiet(&ext));
}

use super::*;

struct Works;
impl AsyncHandler<Sent> for Works {
    async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
        Ok(())
    }
}

#[tokio::test]
async fn two_workers_drain_a_queue_past_a_circuit_that_opens_and_closes() {
    struct Flaky(Arc<AtomicU32>);
    impl AsyncHandler<Sent> for Flaky {
        async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
            pause().await;
            let runs = self.0.fetch_add(1, SeqCst);
            if runs < 2 { Err("not yet".into()) } else { Ok(()) }
        }
    }
    let runs = Arc::default();
    let breaker =
        BreakerOptions::new().threshold(1).timeout(Duration::from_millis(150)).half_open_max(1).successes(1);
    let options = AsyncOptions::new().backoff(Backoff::fixed(Duration::ZERO)).max_attempts(5);
    let builder = with_beat(Extensions::builder())
        .circuit_breaker(breaker)
        .register_async::<Sent, _>(Flaky(Arc::clone(&runs)), options)
        .register_async::<Sent, _>(Works, AsyncOptions::new());
    let (ext, _queue) = on_memory(builder).await;
    ext.fire_many((0..20).map(|id| Sent { id })).await;
    let drained = || ext.worker().stop_when_drained().run_until(std::future::pending());
    let (one, two) = in_time("both workers", async { tokio::join!(drained(), drained()) }).await;
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.completed + two.completed, 40);
    assert_eq!(one.dead + two.dead, 0);
    assert_eq!(runs.load(SeqCst), 22);
}

/// A handler registered while its predecessor's circuit was open starts with a closed one.
#[tokio::test]
async fn a_handler_that_takes_the_place_of_one_with_an_open_circuit_has_a_closed_one() {
    let (ext, _queue) = on_memory(with_beat(Extensions::builder())).await;
    for round in 0..20 {
        let mine = ext.register_async::<Sent, _>(Works, AsyncOptions::new().name("works")).unwrap();
        let breaker = ext.breaker_of_named::<Sent>("works").unwrap();
        assert_eq!(breaker.status(), BreakerStatus::Closed);
        ext.fire(Sent { id: round }).await.unwrap();
        assert_eq!(in_time("the work", work(&ext)).await.completed, 1);
        breaker.open();
        ext.fire(Sent { id: round }).await.unwrap();
        assert_eq!(in_time("the work", work(&ext)).await.completed, 0);
        drop(mine);
        drop(breaker);
        let mine = ext.register_async::<Sent, _>(Works, AsyncOptions::new().name("works")).unwrap();
        assert_eq!(in_time("the work", work(&ext)).await.completed, 1);
        drop(mine);
    }
    assert!(is_quiet(&ext));
}

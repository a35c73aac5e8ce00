use super::*;

#[tokio::test]
async fn a_sync_push_that_is_dropped_frees_its_unique_key_when_its_jobs_have_ended() {
    struct Waits(Arc<tokio::sync::Semaphore>);
    impl AsyncHandler<Sent> for Waits {
        async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
            self.0.acquire().await.unwrap().forget();
            Ok(())
        }
    }
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let ext = built(
        Extensions::builder()
            .queue_url("sync:")
            .register_async::<Sent, _>(Waits(Arc::clone(&gate)), AsyncOptions::new().unique(true)),
    )
    .await;
    assert!(!drop_after(20, ext.fire(Sent { id: 1 })).await);
    assert_eq!(ext.fire(Sent { id: 1 }).await.unwrap().duplicates().len(), 1);
    gate.add_permits(10);
    tests::kit::until("the key to be free", async || {
        ext.fire(Sent { id: 1 }).await.unwrap().duplicates().is_empty()
    })
    .await;
}

#[tokio::test]
async fn run_queued_that_is_dropped_is_run_again() {
    struct Waits(AtomicU32);
    impl AsyncHandler<Sent> for Waits {
        async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
            if self.0.fetch_add(1, SeqCst) == 0 { std::future::pending().await } else { Ok(()) }
        }
    }
    let waits = Waits(AtomicU32::new(0));
    let ext = built(Extensions::fake().register_async::<Sent, _>(waits, AsyncOptions::new())).await;
    ext.fire(Sent { id: 1 }).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), ext.run_queued()).await.is_err());
    ext.advance(Duration::from_secs(3600));
    let report = in_time("the second run", ext.run_queued_until_idle()).await;
    assert_eq!(report.completed, 1, "{report:?}");
}

//! 6.5: the breaker guards async handlers too: an open circuit leaves the jobs waiting.

use super::*;

#[derive(Clone, Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Shipped {
    parcel: u32,
}

/// What the handler depends on.
#[derive(Default)]
struct Carrier {
    up: AtomicBool,
    calls: AtomicU32,
}

struct Announce;
impl AsyncHandler<Shipped> for Announce {
    async fn handle(&self, _: &Shipped, job: &Job) -> HandlerResult {
        let carrier = job.resource::<Carrier>().unwrap();
        carrier.calls.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if carrier.up.load(Ordering::SeqCst) { Ok(()) } else { Err("down".into()) }
    }
}
struct Other;
impl AsyncHandler<Shipped> for Other {
    async fn handle(&self, _: &Shipped, _: &Job) -> HandlerResult {
        Ok(())
    }
}

fn announcing(builder: ExtensionsBuilder, breaker: BreakerOptions) -> (ExtensionsBuilder, Arc<Carrier>) {
    let carrier = Arc::new(Carrier::default());
    let options = AsyncOptions::new().retries(1).handler(|options| options.circuit_breaker(breaker));
    let builder = builder.register_async::<Shipped, _>(Announce, options);
    (builder.resource(Arc::clone(&carrier)), carrier)
}

async fn ship(ext: &Extensions, parcels: u32) {
    for fired in ext.fire_many((0..parcels).map(|parcel| Shipped { parcel })).await {
        fired.unwrap();
    }
}

async fn count(queue: &Arc<dyn QueueBackend>, state: JobState) -> usize {
    jobs(queue).await.iter().filter(|job| job.state == state).count()
}

#[tokio::test]
async fn jobs_wait_without_an_attempt_and_run_after_the_time_out() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
    let file = extensions::queue::connect(&url).await.unwrap();
    for queue in [Arc::new(Memory::new()) as Arc<dyn QueueBackend>, file] {
        let (clock, builder) = by_hand();
        let (builder, carrier) = announcing(builder, BreakerOptions::new().threshold(2));
        let builder = builder.register_async::<Shipped, _>(Other, AsyncOptions::new());
        let (ext, queue) = on(builder, queue).await;
        ship(&ext, 6).await;
        let report = work(&ext).await;
        assert_eq!((report.failed, report.completed), (2, 6), "the other handler's jobs are not held");
        assert_eq!(carrier.calls.load(Ordering::SeqCst), 2);
        let waiting: Vec<_> =
            jobs(&queue).await.into_iter().filter(|job| job.state == JobState::Available).collect();
        assert_eq!(waiting.len(), 4);
        assert!(waiting.iter().all(|job| job.attempt == 0 && job.errors.is_empty()), "{waiting:?}");
        carrier.up.store(true, Ordering::SeqCst);
        clock.advance(secs(59));
        assert_eq!(work(&ext).await.completed, 0);
        assert_eq!(
            ext.fire(Shipped { parcel: 7 }).await.unwrap().queued().len(),
            2,
            "it is queued all the same"
        );
        clock.advance(secs(1));
        assert_eq!(work(&ext).await.completed, 6);
        assert_eq!((count(&queue, JobState::Completed).await, count(&queue, JobState::Dead).await), (12, 2));
        let breaker = ext.breaker_of::<Shipped, Announce>().unwrap();
        assert_eq!(breaker.status(), BreakerStatus::Closed);
    }
}

#[tokio::test]
async fn a_failure_in_half_open_holds_the_rest_for_another_time_out() {
    let (clock, builder) = by_hand();
    let (builder, carrier) = announcing(builder, BreakerOptions::new().threshold(2));
    let (ext, queue) = on_memory(builder).await;
    ship(&ext, 8).await;
    for (calls, advance) in [(2, 60), (3, 59), (3, 1), (4, 60)] {
        work(&ext).await;
        assert_eq!(carrier.calls.load(Ordering::SeqCst), calls);
        clock.advance(secs(advance));
    }
    carrier.up.store(true, Ordering::SeqCst);
    work(&ext).await;
    assert_eq!((count(&queue, JobState::Completed).await, count(&queue, JobState::Dead).await), (4, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_worker_takes_them_up_by_itself_and_none_has_used_more_than_its_one_attempt() {
    let breaker = BreakerOptions::new().threshold(3).timeout(Duration::from_millis(200));
    let (builder, carrier) = announcing(Extensions::builder(), breaker);
    let (ext, queue) = on_memory(builder).await;
    ship(&ext, 40).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = ext.worker().concurrency(8).run_until(async { drop(stopped.await) });
    let worker = tokio::spawn(worker);
    let opened = async || {
        let breaker = ext.breaker_of::<Shipped, Announce>();
        breaker.is_some_and(|breaker| breaker.status() != BreakerStatus::Closed)
    };
    until("the circuit to open", opened).await;
    carrier.up.store(true, Ordering::SeqCst);
    until("all jobs", async || {
        let jobs = jobs(&queue).await;
        jobs.iter().all(|job| job.state.is_final())
    })
    .await;
    drop(stop);
    in_time("the worker's end", worker).await.unwrap().unwrap();
    let jobs = jobs(&queue).await;
    assert!(jobs.iter().all(|job| job.attempt == 1 && job.errors.len() <= 1));
    assert_eq!(carrier.calls.load(Ordering::SeqCst), 40, "each ran once");
    assert!(count(&queue, JobState::Completed).await >= 20);
}

#[tokio::test]
async fn opened_by_hand_it_holds_jobs_until_it_is_closed() {
    let (_clock, builder) = by_hand();
    let (builder, carrier) = announcing(builder, BreakerOptions::new());
    let (ext, queue) = on_memory(builder).await;
    carrier.up.store(true, Ordering::SeqCst);
    let breaker = ext.breaker_of::<Shipped, Announce>().unwrap();
    breaker.open();
    ship(&ext, 3).await;
    assert_eq!((work(&ext).await.completed, count(&queue, JobState::Available).await), (0, 3));
    breaker.close();
    let id = jobs(&queue).await[0].id;
    assert_eq!(work(&ext).await.completed, 3);
    assert_eq!(until_state(&queue, id, JobState::Completed).await.attempt, 1);
}

//! 4.13: a handle to a queued job, and results.

use std::time::Duration;

use extensions::ExtensionsBuilder;
use extensions::JobHandle;
use extensions::job::{JobId, JobState};
use extensions::prelude::*;
use extensions::queue::{AdminOutcome, Memory, QueueErrorKind, Retention};
use extensions::testing::FaultyQueue;
use serde::{Deserialize, Serialize};
use tests::kit::{Log, PATIENCE, in_time, on_memory, until, work};

use super::{Mail, Placed, options, placed, shop};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Invoice {
    number: String,
    cents: u64,
}

fn invoice(id: u32) -> Invoice {
    Invoice { number: format!("R-{id}"), cents: 1_999 }
}

/// Records what its point's id says.
struct Bill;
impl AsyncHandler<Placed> for Bill {
    async fn handle(&self, placed: &Placed, job: &Job) -> HandlerResult {
        job.record("overwritten")?;
        match placed.id {
            BIG => job.record(&"x".repeat(1024 * 1024))?,
            BIGGEST => job.record(&"x".repeat(1024 * 1024 - 2))?,
            NO_JSON => job.record(&std::collections::BTreeMap::from([((1, 2), 3)]))?,
            FAILS => {
                job.record(&invoice(placed.id))?;
                return Err("no".into());
            }
            id => job.record(&invoice(id))?,
        }
        Ok(())
    }
}
const BIG: u32 = 201;
const BIGGEST: u32 = 202;
const NO_JSON: u32 = 203;
const FAILS: u32 = 204;

fn billing() -> ExtensionsBuilder {
    Extensions::builder().register_async::<Placed, _>(Bill, options().max_attempts(1))
}

async fn fired(ext: &Extensions, id: u32) -> JobHandle {
    ext.job(ext.fire(placed(id)).await.unwrap().queued()[0].id())
}

#[tokio::test]
async fn what_a_handler_recorded_comes_back_as_it_was() {
    let (ext, _) = on_memory(billing()).await;
    let job = fired(&ext, 7).await;
    assert_eq!(job.result::<Invoice>().await.unwrap(), None, "it has not run");
    work(&ext).await;
    assert_eq!(job.result().await.unwrap(), Some(invoice(7)));
    let wrong = job.result::<Vec<u32>>().await.unwrap_err();
    assert_eq!(wrong.kind(), QueueErrorKind::Corrupt);
    assert!(wrong.to_string().contains("is no `alloc::vec::Vec<u32>`"), "{wrong}");
    let nobody = ext.job(JobId::new());
    assert_eq!((nobody.result::<u32>().await.unwrap(), nobody.status().await.unwrap()), (None, None));
}

#[tokio::test]
async fn a_result_has_at_most_a_mebibyte_of_json() {
    let (ext, _) = on_memory(billing()).await;
    for (id, said) in [(BIG, "1048578 bytes, more than the 1048576"), (NO_JSON, "cannot be written as JSON")]
    {
        let job = fired(&ext, id).await;
        work(&ext).await;
        let record = job.record().await.unwrap().unwrap();
        assert_eq!((record.state, record.result), (JobState::Dead, None));
        assert!(record.errors[0].message.contains(said), "{:?}", record.errors);
    }
    let job = fired(&ext, BIGGEST).await;
    work(&ext).await;
    assert_eq!(job.result::<String>().await.unwrap().map(|text| text.len()), Some(1024 * 1024 - 2));
}

#[tokio::test]
async fn a_failed_attempt_keeps_nothing() {
    let (ext, _) = on_memory(billing()).await;
    let job = fired(&ext, FAILS).await;
    work(&ext).await;
    assert_eq!(
        (job.status().await.unwrap(), job.result::<Invoice>().await.unwrap()),
        (Some(JobState::Dead), None)
    );
}

#[tokio::test]
async fn a_job_without_a_result_is_gone_where_completed_ones_are_not_kept_and_one_with_is_not() {
    let nothing = Retention { completed: secs(0), ..Retention::default() };
    let (ext, _) = on_memory(shop().retention(nothing)).await;
    let job = fired(&ext, 7).await;
    assert_eq!(job.status().await.unwrap(), Some(JobState::Available));
    work(&ext).await;
    assert_eq!(job.status().await.unwrap(), None);
    assert!(job.record().await.unwrap().is_none());
    assert!(job.wait(secs(0)).await.unwrap().is_none(), "what is gone is not waited for");
}

#[tokio::test]
async fn waiting_ends_with_the_job_whichever_way_it_ended() {
    let (ext, _) = on_memory(billing()).await;
    let handles = [(7, JobState::Completed), (FAILS, JobState::Dead)];
    let worker = ext.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(async move {
        worker.worker().run_until(async { drop(stopped.await) }).await.unwrap();
    });
    for (id, state) in handles {
        let ended = fired(&ext, id).await.wait(PATIENCE).await.unwrap().unwrap();
        assert_eq!(ended.state, state);
    }
    stop.send(()).unwrap();
    in_time("the worker's end", working).await.unwrap();
}

#[tokio::test]
async fn waiting_in_vain_is_a_time_out_that_says_how_the_job_is() {
    let (ext, _) = on_memory(shop()).await;
    let job = fired(&ext, 7).await;
    let error = job.wait(Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(error.kind(), QueueErrorKind::Timeout);
    assert!(error.to_string().contains("it is available"), "{error}");
    assert_eq!(job.wait(secs(0)).await.unwrap_err().kind(), QueueErrorKind::Timeout);
}

#[tokio::test]
async fn waiting_outlives_a_queue_that_is_away_for_a_while() {
    let queue = FaultyQueue::new(Memory::new());
    let ext = shop().resource(Log::default()).queue(queue.clone()).build().await.unwrap();
    let job = fired(&ext, 7).await;
    queue.disconnect();
    assert_eq!(job.wait(secs(0)).await.unwrap_err().kind(), QueueErrorKind::Unavailable);
    let waiting = tokio::spawn({
        let job = job.clone();
        async move { job.wait(PATIENCE).await }
    });
    until("a look that fails", async || queue.injected().refused_calls > 1).await;
    queue.reconnect();
    work(&ext).await;
    let ended = in_time("the job's end", waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(ended.state, JobState::Completed);
}

#[tokio::test]
async fn cancelling_answers_what_became_of_it() {
    let (ext, _) = on_memory(shop()).await;
    let job = fired(&ext, 7).await;
    assert_eq!(job.cancel("changed my mind").await.unwrap(), AdminOutcome::Done);
    let record = job.wait(secs(0)).await.unwrap().unwrap();
    assert_eq!((record.state, record.reason.as_deref()), (JobState::Cancelled, Some("changed my mind")));
    assert_eq!(job.cancel("again").await.unwrap(), AdminOutcome::WrongState(JobState::Cancelled));
    assert_eq!(ext.job(JobId::new()).cancel("whom").await.unwrap(), AdminOutcome::NotFound);
}

#[tokio::test]
async fn an_instance_without_a_queue_has_no_jobs_to_handle() {
    let ext = Extensions::builder().build().await.unwrap();
    let job = ext.job(JobId::new());
    assert_eq!(job.status().await.unwrap_err().kind(), QueueErrorKind::Unsupported);
    assert_eq!(job.cancel("").await.unwrap_err().kind(), QueueErrorKind::Unsupported);
    assert_eq!(job.wait(secs(0)).await.unwrap_err().kind(), QueueErrorKind::Unsupported);
    let in_place = Extensions::builder().resource(Log::default()).queue_url("sync:");
    let in_place = in_place.register_async::<Placed, _>(Mail, options()).build().await.unwrap();
    assert_eq!(fired(&in_place, 7).await.status().await.unwrap(), None, "it was over before");
}

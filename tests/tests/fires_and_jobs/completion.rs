//! A handler completes its job in a transaction of its own.

use extensions::ExtensionsBuilder;
use extensions::job::{ErrorKind, JobState};
use extensions::prelude::*;
use extensions::queue::{QueueErrorKind, Retention};
use tests::kit::{self, Log, in_time, job, jobs, lines, work};
use tests::transactional::MemoryTransaction;

use super::{Label, Placed, Shipped, log, options, placed, transactional};

/// What a handler does around the completion.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Commits,
    CommitsAndErrs,
    ForgetsTheCommit,
    Errs,
    CompletesTwice,
    SwallowsAnError,
    FiresAfterIt,
}

struct Books(Way);
impl AsyncHandler<Placed> for Books {
    async fn handle(&self, placed: &Placed, job: &Job) -> HandlerResult {
        let way = if job.attempt() > 1 { Way::Commits } else { self.0 };
        job.fire(Shipped { id: placed.id }).await?;
        job.record(&format!("booked {}", placed.id))?;
        let queue = job.extensions().queue().unwrap();
        let mut tx = MemoryTransaction { fails: way == Way::SwallowsAnError, ..MemoryTransaction::default() };
        if way == Way::Errs {
            return Err("before it".into());
        }
        let completed = job.complete_within(&mut tx).await;
        assert_eq!((completed.is_ok(), job.is_completed_within()), (!tx_failed(way), !tx_failed(way)));
        match way {
            Way::ForgetsTheCommit | Way::SwallowsAnError => return Ok(()),
            Way::CompletesTwice => {
                assert_eq!(job.complete_within(&mut tx).await.unwrap_err().kind(), QueueErrorKind::Other);
            }
            Way::FiresAfterIt => {
                let error = job.fire(Shipped { id: 99 }).await.unwrap_err().to_string();
                assert!(error.contains("is settled"), "{error}");
                assert!(job.record(&1).unwrap_err().to_string().contains("is settled"));
            }
            _ => {}
        }
        tx.commit(&**queue).await;
        log(job, format!("committed {}", placed.id))?;
        if way == Way::CommitsAndErrs { Err("after it".into()) } else { Ok(()) }
    }
}

fn tx_failed(way: Way) -> bool {
    way == Way::SwallowsAnError
}

fn books(way: Way) -> ExtensionsBuilder {
    Extensions::builder()
        .register_async::<Placed, _>(Books(way), options().backoff(Backoff::fixed(secs(0))))
        .register_async::<Shipped, _>(Label, options())
}

#[tokio::test]
async fn the_job_its_follow_ups_and_its_result_are_there_with_the_commit() {
    for way in [Way::Commits, Way::CompletesTwice, Way::FiresAfterIt] {
        let (ext, queue) = transactional(books(way)).await;
        let id = ext.fire(placed(7)).await.unwrap().queued()[0].id();
        let report = work(&ext).await;
        assert_eq!((report.completed, report.failed, report.lost), (2, 0, 0));
        assert_eq!(lines(&ext), ["committed 7", "label 7"]);
        let record = job(&queue, id).await;
        assert_eq!((record.state, record.errors.len()), (JobState::Completed, 0));
        assert_eq!(ext.job(id).result::<String>().await.unwrap().as_deref(), Some("booked 7"));
        assert_eq!(jobs(&queue).await.len(), 2);
    }
}

#[tokio::test]
async fn what_is_not_committed_is_a_failed_attempt_that_says_so() {
    let (ext, queue) = transactional(books(Way::ForgetsTheCommit)).await;
    let id = ext.fire(placed(7)).await.unwrap().queued()[0].id();
    let report = work(&ext).await;
    assert_eq!((report.completed, report.failed), (2, 1));
    assert_eq!(lines(&ext), ["committed 7", "label 7"], "the second attempt is the one that counts");
    let record = job(&queue, id).await;
    assert_eq!((record.state, record.errors[0].kind), (JobState::Completed, ErrorKind::Failed));
    assert!(record.errors[0].message.contains("was not committed"), "{:?}", record.errors);
}

#[tokio::test]
async fn an_error_before_it_is_a_failed_attempt_without_follow_ups() {
    let (ext, queue) = transactional(books(Way::Errs)).await;
    ext.fire(placed(7)).await.unwrap();
    let report = work(&ext).await;
    assert_eq!((report.completed, report.failed, jobs(&queue).await.len()), (2, 1, 2));
}

#[tokio::test]
async fn a_completion_that_failed_and_was_swallowed_leaves_the_ordinary_one_whole() {
    let (ext, queue) = transactional(books(Way::SwallowsAnError)).await;
    let id = ext.fire(placed(7)).await.unwrap().queued()[0].id();
    assert_eq!(work(&ext).await.completed, 2);
    assert_eq!(lines(&ext), ["label 7"]);
    assert!(job(&queue, id).await.result.is_some());
}

#[tokio::test]
async fn once_it_is_committed_an_error_of_the_handler_changes_nothing() {
    let (ext, queue) = transactional(books(Way::CommitsAndErrs)).await;
    let id = ext.fire(placed(7)).await.unwrap().queued()[0].id();
    let report = work(&ext).await;
    assert_eq!((report.completed, report.failed, report.lost), (2, 0, 0));
    assert_eq!(lines(&ext), ["committed 7", "label 7"]);
    assert_eq!(job(&queue, id).await.state, JobState::Completed);
}

/// Gives the job away before it completes it.
struct LosesItsLease;
impl AsyncHandler<Placed> for LosesItsLease {
    async fn handle(&self, _: &Placed, job: &Job) -> HandlerResult {
        let queue = job.extensions().queue().unwrap();
        queue.leave(queue.workers().await?[0].id).await?;
        let mut tx = MemoryTransaction::default();
        let error = job.complete_within(&mut tx).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (QueueErrorKind::NotFound, false));
        assert!(tx.is_untouched() && !job.is_completed_within());
        log(job, error.to_string())?;
        Err(HandlerError::cancel("seen"))
    }
}

#[tokio::test]
async fn a_lost_lease_is_an_error_that_says_to_roll_back() {
    let builder = Extensions::builder().register_async::<Placed, _>(LosesItsLease, options());
    let (ext, queue) = transactional(builder).await;
    ext.fire(placed(7)).await.unwrap();
    let worker = ext.worker().concurrency(1).max_jobs(1);
    in_time("the worker's end", worker.run_until(std::future::pending())).await.unwrap();
    let said = lines(&ext);
    assert!(said[0].contains("is lost") && said[0].contains("roll the transaction back"), "{said:?}");
    assert_eq!(jobs(&queue).await[0].state, JobState::Available);
}

#[tokio::test]
async fn no_record_remains_where_completed_jobs_are_not_kept_and_nothing_was_recorded() {
    struct Quiet;
    impl AsyncHandler<Placed> for Quiet {
        async fn handle(&self, _: &Placed, job: &Job) -> HandlerResult {
            let mut tx = MemoryTransaction::default();
            job.complete_within(&mut tx).await?;
            tx.commit(&**job.extensions().queue().unwrap()).await;
            Ok(())
        }
    }
    let builder = Extensions::builder()
        .retention(Retention { completed: secs(0), ..Retention::default() })
        .register_async::<Placed, _>(Quiet, options());
    let (ext, queue) = transactional(builder).await;
    ext.fire(placed(7)).await.unwrap();
    assert_eq!(work(&ext).await.completed, 1);
    assert_eq!(jobs(&queue).await.len(), 0);
}

/// Completes in a transaction of any kind.
struct Completes;
impl AsyncHandler<Placed> for Completes {
    async fn handle(&self, placed: &Placed, job: &Job) -> HandlerResult {
        job.fire(Shipped { id: placed.id }).await?;
        let mut tx = MemoryTransaction::default();
        job.complete_within(&mut tx).await?;
        assert!(tx.is_untouched());
        Ok(())
    }
}

#[tokio::test]
async fn a_queue_without_transactions_refuses_and_a_fake_completes_at_once() {
    let registered = |builder: ExtensionsBuilder| {
        builder
            .register_async::<Placed, _>(Completes, options().max_attempts(1))
            .register_async::<Shipped, _>(Label, options())
    };
    let (ext, queue) = kit::on_memory(registered(Extensions::builder())).await;
    let id = ext.fire(placed(7)).await.unwrap().queued()[0].id();
    work(&ext).await;
    let dead = job(&queue, id).await;
    assert_eq!(dead.state, JobState::Dead);
    assert!(dead.errors[0].message.contains("`Postgres`"), "{:?}", dead.errors);

    let fake = registered(Extensions::fake()).resource(Log::default()).build().await.unwrap();
    let id = fake.fire(placed(7)).await.unwrap().queued()[0].id();
    assert_eq!(fake.run_queued().await.completed, 2);
    assert_eq!(fake.job(id).status().await.unwrap(), Some(JobState::Completed));
    fake.assert_queued::<Label>(1);
}

//! The trait's calls, handed to the threads that own the connections.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::call::Kind;
use super::store::history;
use super::store::push::Batch;
use super::store::read::View;
use super::store::upkeep::PRUNE_STEP;
use super::writer::Writer;
use super::{Inner, Sqlite, error, health, migrations};
use crate::job::{JobId, JobRecord, NewJob, QueueName, WorkerId};
use crate::queue::{
    AdminOutcome, Capabilities, ClaimRequest, Claimed, Extend, Extended, Finding, HistoryEntry, JobFilter,
    Maintained, Migration, Pushed, QueueAdmin, QueueBackend, QueueError, QueueFuture, QueueStats, Retention,
    Settled, Settlement, Tally, WaitRequest, WorkerInfo,
};
use crate::time::{Clock, SystemClock};

/// How many steps of pruning one round of upkeep makes.
const PRUNE_STEPS: u64 = 5;

/// Gives a claim back if its future was dropped before the answer came: nobody would ever know of it.
struct Unclaimed<'a> {
    writer: &'a Writer,
    claim: Arc<AtomicI64>,
    delivered: bool,
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        if !self.delivered {
            let claim = Arc::clone(&self.claim);
            drop(self.writer.call("release", move |tx| match claim.load(Ordering::SeqCst) {
                0 => Ok(()),
                claim => tx.release_claim(claim),
            }));
        }
    }
}

impl Inner {
    async fn reserve(&self, request: &Arc<ClaimRequest>) -> Result<Claimed, QueueError> {
        let claim = Arc::new(AtomicI64::new(0));
        let mut unclaimed = Unclaimed { writer: &self.writer, claim: Arc::clone(&claim), delivered: false };
        let kind = Kind::of_jobs("reserve", self.last_claim.load(Ordering::Relaxed)).unsynced();
        let request = Arc::clone(request);
        let reply = self.writer.call(kind, move |tx| {
            let (claimed, number) = tx.reserve(&request)?;
            claim.store(number, Ordering::SeqCst);
            Ok(claimed)
        });
        let claimed = reply.await;
        unclaimed.delivered = true;
        if let Ok(claimed) = &claimed {
            self.last_claim.store(claimed.jobs.len(), Ordering::Relaxed);
        }
        claimed
    }

    fn view<T: Send + 'static>(
        &self,
        operation: &'static str,
        look: impl FnOnce(View<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> QueueFuture<'_, T> {
        let (boot, clock) = (self.boot, self.clock);
        self.read(operation, move |conn| look(View::new(conn, boot, clock.now())?))
    }

    fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> QueueFuture<'_, T> {
        Box::pin(async move {
            let reply = self.reader.call(operation, look);
            reply.await.unwrap_or_else(|_| Err(error::gone(operation)))
        })
    }
}

impl QueueBackend for Sqlite {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn describe(&self) -> String {
        format!("sqlite {}", self.inner.path.display())
    }

    fn push(&self, jobs: Arc<[NewJob]>) -> QueueFuture<'_, Vec<Pushed>> {
        Box::pin(async move {
            if jobs.is_empty() {
                return Ok(Vec::new());
            }
            let batch = Batch::new(jobs);
            let kind = Kind::of_jobs("push", batch.len());
            self.inner.writer.call(kind, move |tx| tx.push(&batch)).await
        })
    }

    fn reserve(&self, request: ClaimRequest) -> QueueFuture<'_, Claimed> {
        let request = Arc::new(request);
        Box::pin(async move {
            loop {
                let claimed = self.inner.reserve(&request).await?;
                // Nothing yet: the claim's transaction had passed as many other jobs as one may.
                if !claimed.jobs.is_empty() || claimed.next_due != Some(Duration::ZERO) {
                    return Ok(claimed);
                }
            }
        })
    }

    fn settle(&self, settlements: Vec<Settlement>) -> QueueFuture<'_, Vec<Settled>> {
        Box::pin(async move {
            if settlements.is_empty() {
                return Ok(Vec::new());
            }
            let kind = Kind::of_jobs("settle", settlements.len());
            self.inner.writer.call(kind, move |tx| tx.settle(&settlements)).await
        })
    }

    fn extend(&self, claims: Vec<Extend>, lease: Duration) -> QueueFuture<'_, Vec<Extended>> {
        Box::pin(async move {
            if claims.is_empty() {
                return Ok(Vec::new());
            }
            let kind = Kind::of_jobs("extend", claims.len()).unsynced();
            self.inner.writer.call(kind, move |tx| tx.extend(&claims, lease)).await
        })
    }

    fn wait(&self, request: WaitRequest) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            let signal = &self.inner.signal;
            let timeout = tokio::time::sleep(request.timeout);
            tokio::pin!(timeout);
            let _waiting = self.inner.watcher.wait();
            loop {
                let news = signal.news();
                tokio::pin!(news);
                news.as_mut().enable();
                if signal.changed_since(&request.queues, request.cursor) {
                    return Ok(());
                }
                tokio::select! {
                    () = &mut news => {}
                    () = &mut timeout => return Ok(()),
                }
            }
        })
    }

    fn maintain(&self, retention: Retention) -> QueueFuture<'_, Maintained> {
        Box::pin(async move {
            let mut done = self.inner.writer.call("maintain", |tx| tx.maintain(SystemClock.now())).await?;
            for _ in 0..PRUNE_STEPS {
                let step = self.inner.writer.call("maintain", move |tx| tx.prune(&retention, PRUNE_STEP));
                let pruned = step.await?;
                done.pruned += pruned.jobs;
                if pruned.all {
                    break;
                }
            }
            Ok(done)
        })
    }

    fn beat(&self, worker: WorkerInfo, done: Vec<Tally>) -> QueueFuture<'_, ()> {
        Box::pin(async move { self.inner.writer.call("beat", move |tx| tx.beat(&worker, &done)).await })
    }

    fn leave(&self, worker: WorkerId) -> QueueFuture<'_, ()> {
        Box::pin(async move { self.inner.writer.call("leave", move |tx| tx.leave(worker)).await })
    }

    fn store(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(self)
    }
}

impl QueueAdmin for Sqlite {
    fn stats(&self) -> QueueFuture<'_, Vec<QueueStats>> {
        self.inner.view("stats", |view| view.stats(SystemClock.now()))
    }

    fn list(&self, filter: JobFilter) -> QueueFuture<'_, Vec<JobRecord>> {
        self.inner.view("list", move |view| view.list(&filter))
    }

    fn get(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<Option<JobRecord>>> {
        self.inner.view("get", move |view| view.get(&ids))
    }

    fn retry(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<AdminOutcome>> {
        Box::pin(async move { self.inner.writer.call("retry", move |tx| tx.retry(&ids)).await })
    }

    fn cancel(&self, ids: Vec<JobId>, reason: String) -> QueueFuture<'_, Vec<AdminOutcome>> {
        Box::pin(async move { self.inner.writer.call("cancel", move |tx| tx.cancel(&ids, &reason)).await })
    }

    fn forget(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<AdminOutcome>> {
        Box::pin(async move { self.inner.writer.call("forget", move |tx| tx.forget(&ids)).await })
    }

    fn prune(&self, retention: Retention, limit: u64) -> QueueFuture<'_, u64> {
        Box::pin(async move {
            let mut pruned = 0;
            while pruned < limit {
                let step = (limit - pruned).min(PRUNE_STEP);
                let call = self.inner.writer.call("prune", move |tx| tx.prune(&retention, step));
                let deleted = call.await?;
                pruned += deleted.jobs;
                if deleted.all {
                    break;
                }
            }
            Ok(pruned)
        })
    }

    fn pause(&self, queue: QueueName) -> QueueFuture<'_, ()> {
        Box::pin(async move { self.inner.writer.call("pause", move |tx| tx.pause(&queue)).await })
    }

    fn resume(&self, queue: QueueName) -> QueueFuture<'_, ()> {
        Box::pin(async move { self.inner.writer.call("resume", move |tx| tx.resume(&queue)).await })
    }

    fn workers(&self) -> QueueFuture<'_, Vec<WorkerInfo>> {
        self.inner.view("workers", |view| Ok(view.into_workers()))
    }

    fn history(&self, since: Duration) -> QueueFuture<'_, Vec<HistoryEntry>> {
        self.inner.read("history", move |conn| history::since(conn, since, SystemClock.now()))
    }

    fn check(&self) -> QueueFuture<'_, Vec<Finding>> {
        Box::pin(async move {
            let mut found = health::of_the_file(&self.inner.file);
            found.extend(self.inner.read("check", health::of_the_database).await?);
            Ok(found)
        })
    }

    fn migrations(&self) -> Vec<Migration> {
        migrations::all()
    }
}

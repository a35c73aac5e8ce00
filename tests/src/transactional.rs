//! A queue in memory that takes part in transactions: what is done in one is kept aside until its commit.

use std::sync::Arc;
use std::time::Duration;

use extensions::job::{JobId, JobRecord, NewJob, QueueName, WorkerId};
use extensions::queue::{
    AdminOutcome, Capabilities, ClaimRequest, Claimed, Extend, Extended, Finding, HistoryEntry, JobFilter,
    Maintained, Memory, Migration, Pushed, QueueAdmin, QueueBackend, QueueError, QueueErrorKind, QueueFuture,
    QueueStats, Retention, Settled, Settlement, Tally, Transaction, WaitRequest, WorkerInfo,
};
use extensions::time::Timestamp;

/// [`Memory`] with the capability `transactions`.
#[derive(Debug, Clone, Default)]
pub struct Transactional {
    inner: Memory,
    lacks_unique: bool,
}

impl Transactional {
    /// The same, which says that it lacks the capability `unique`.
    pub fn without_unique(self) -> Self {
        Self { lacks_unique: true, ..self }
    }
}

/// What was done in a transaction.
#[derive(Debug, Default)]
pub struct MemoryTransaction {
    /// The pushes, one list of jobs each.
    pub pushes: Vec<Arc<[NewJob]>>,
    /// The ends of claims.
    pub settlements: Vec<Settlement>,
    /// Whether the next call fails.
    pub fails: bool,
}

impl MemoryTransaction {
    /// Whether nothing was done in it.
    pub fn is_untouched(&self) -> bool {
        self.pushes.is_empty() && self.settlements.is_empty()
    }

    /// Does all of it.
    pub async fn commit(self, queue: &dyn QueueBackend) {
        for jobs in self.pushes {
            queue.push(jobs).await.unwrap();
        }
        let settled = queue.settle(self.settlements).await.unwrap();
        assert!(settled.iter().all(|settled| *settled == Settled::Done), "{settled:?}");
    }

    fn fail(&mut self) -> Result<(), QueueError> {
        if std::mem::take(&mut self.fails) {
            return Err(QueueError::new(QueueErrorKind::Unavailable, "push", "the test cut the line"));
        }
        Ok(())
    }
}

impl Transaction for MemoryTransaction {
    async fn push(&mut self, _: &dyn QueueBackend, jobs: Arc<[NewJob]>) -> Result<Vec<Pushed>, QueueError> {
        // As a driver would, which has to wait for its server.
        tokio::task::yield_now().await;
        self.fail()?;
        let answers = vec![Pushed::Queued; jobs.len()];
        self.pushes.push(jobs);
        Ok(answers)
    }

    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        self.fail()?;
        let claim = |end: &Settlement| Extend { job: end.job, token: end.token, progress: None };
        let held = queue.extend(settlements.iter().map(claim).collect(), Duration::from_secs(30)).await?;
        let answer = |held| if held == Extended::LeaseLost { Settled::LeaseLost } else { Settled::Done };
        let answers: Vec<_> = held.into_iter().map(answer).collect();
        let held = settlements.into_iter().zip(&answers).filter(|(_, answer)| **answer == Settled::Done);
        self.settlements.extend(held.map(|(end, _)| end));
        Ok(answers)
    }
}

/// Passes methods on to the queue inside.
macro_rules! pass_on {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        $(fn $method(&self, $($argument: $type),*) -> QueueFuture<'_, $answer> {
            self.inner.$method($($argument),*)
        })+
    };
}

impl QueueBackend for Transactional {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.transactions = true;
        capabilities.unique &= !self.lacks_unique;
        capabilities
    }

    fn describe(&self) -> String {
        "memory with transactions".to_owned()
    }

    pass_on! {
        push(jobs: Arc<[NewJob]>) -> Vec<Pushed>;
        reserve(request: ClaimRequest) -> Claimed;
        settle(settlements: Vec<Settlement>) -> Vec<Settled>;
        extend(claims: Vec<Extend>, lease: Duration) -> Vec<Extended>;
        wait(request: WaitRequest) -> ();
        maintain(retention: Retention) -> Maintained;
        beat(worker: WorkerInfo, done: Vec<Tally>) -> ();
        leave(worker: WorkerId) -> ();
    }
}

impl QueueAdmin for Transactional {
    pass_on! {
        stats() -> Vec<QueueStats>;
        list(filter: JobFilter) -> Vec<JobRecord>;
        get(ids: Vec<JobId>) -> Vec<Option<JobRecord>>;
        retry(ids: Vec<JobId>) -> Vec<AdminOutcome>;
        cancel(ids: Vec<JobId>, reason: String) -> Vec<AdminOutcome>;
        forget(ids: Vec<JobId>) -> Vec<AdminOutcome>;
        prune(retention: Retention, limit: u64) -> u64;
        pause(queue: QueueName) -> ();
        resume(queue: QueueName) -> ();
        workers() -> Vec<WorkerInfo>;
        history(since: Duration) -> Vec<HistoryEntry>;
        check() -> Vec<Finding>;
        now() -> Timestamp;
    }

    fn migrations(&self) -> Vec<Migration> {
        self.inner.migrations()
    }
}

//! The trait's calls, made by those who await them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::driver::Driver;
use super::error::{self, Failure};
use super::store::{Store, operate::Act, script};
use super::{Inner, Redis};
use crate::backend::handover::{self, Waiter, Waiters};
use crate::job::{JobId, JobRecord, NewJob, QueueName, WorkerId};
use crate::queue::{
    AdminOutcome, Capabilities, ClaimRequest, Claimed, Connection, Extend, Extended, Finding, Handed,
    HistoryEntry, JobFilter, Maintained, Migration, Pushed, QueueAdmin, QueueBackend, QueueError,
    QueueFuture, QueueStats, Retention, Settled, Settlement, Tally, WaitCursor, WaitRequest, WorkerInfo,
};
use crate::time::Timestamp;

/// How long a wait lasts at most where wake-ups are not heard.
const POLL: Duration = Duration::from_secs(1);

impl Inner {
    /// Begins a step at once, where it is awaited, and ends it even if the future is dropped.
    fn call<T, F>(
        &self,
        operation: &'static str,
        step: impl FnOnce(Arc<Store>) -> F + Send + 'static,
    ) -> QueueFuture<'_, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        Box::pin(async move {
            let answer = self.driver.run(|| step(Arc::clone(&self.store))).await;
            answer.map_err(|failure| error::map(&failure, operation))
        })
    }

    /// Wake-ups cost a connection, so they are heard only where someone waits.
    fn listen(&self) {
        if !self.listening.swap(true, Ordering::Relaxed) {
            let store = Arc::clone(&self.store);
            self.driver.homes().keep(move || store.listener());
        }
    }
}

/// Pushes jobs, and claims them for a worker that waits, in one step; its wait ends in any case.
async fn hand_over(
    driver: Arc<Driver>,
    store: Arc<Store>,
    waiters: Arc<Waiters<Delivery>>,
    waiter: Waiter<Delivery>,
    jobs: Arc<[NewJob]>,
) -> Result<Vec<Pushed>, QueueError> {
    let (since, claim) = (std::time::Instant::now(), store.next_claim());
    let worker = waiter.request().worker;
    let mut delivery =
        Delivery { driver: Arc::clone(&driver), store: Arc::clone(&store), worker, claim, answer: None };
    let claimed = |jobs| Some(Ok(Claimed { jobs, cursor: WaitCursor::default(), next_due: None }));
    match store.hand_over(&jobs, waiter.request(), claim).await {
        Ok(Ok(now)) => {
            delivery.answer = claimed(handover::claimed(&jobs, claim, now));
            if let Err(delivery) = waiters.hand(waiter, since, delivery, driver.homes()) {
                // Whoever pushed may end this process once he has his answer.
                delivery.give_back().await;
            }
            Ok(vec![Pushed::Queued; jobs.len()])
        }
        Ok(Err(pushed)) => {
            delivery.answer = claimed(Vec::new());
            Ok(pushed)
        }
        Err(failure) => {
            drop(waiter);
            let pushed = match failure {
                Failure::Silent(_) | Failure::Unsent(_) => Err(error::map(&failure, "push")),
                // Before anything is given back: what is stored already is found then.
                _ => store.push(&jobs).await,
            };
            delivery.answer = Some(Err(failure));
            pushed
        }
    }
}

/// What came of a claim; given back if nobody takes it, or it did not arrive, or its runtime ended before.
pub(super) struct Delivery {
    driver: Arc<Driver>,
    store: Arc<Store>,
    worker: WorkerId,
    claim: u64,
    answer: Option<Result<Claimed, Failure>>,
}

impl Delivery {
    fn take(mut self) -> Result<Claimed, QueueError> {
        match &mut self.answer {
            Some(Ok(claimed)) => Ok(Claimed { jobs: std::mem::take(&mut claimed.jobs), ..*claimed }),
            Some(Err(failure)) => Err(error::map(failure, "reserve")),
            None => Err(error::gone("reserve")),
        }
    }

    /// Gives the claim back as far as one call can.
    async fn give_back(mut self) {
        if self.store.leave_claim(self.worker, self.claim).await.is_ok_and(|left| left == 0) {
            self.answer =
                Some(Ok(Claimed { jobs: Vec::new(), cursor: WaitCursor::default(), next_due: None }));
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let may_be_held = match &self.answer {
            Some(Ok(claimed)) => !claimed.jobs.is_empty(),
            Some(Err(failure)) => failure.ends_connection(),
            None => true,
        };
        if may_be_held {
            let (store, worker, claim) = (Arc::clone(&self.store), self.worker, self.claim);
            self.driver.homes().spawn(async move { store.give_back(worker, claim).await });
        }
    }
}

impl QueueBackend for Redis {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL.without_transactions()
    }

    fn describe(&self) -> String {
        self.inner.config.place()
    }

    fn push(&self, jobs: Arc<[NewJob]>) -> QueueFuture<'_, Vec<Pushed>> {
        if jobs.is_empty() {
            return Box::pin(async { Ok(Vec::new()) });
        }
        Box::pin(async move {
            let Inner { driver, store, waiters, .. } = &*self.inner;
            match waiters.taker(&jobs) {
                None => driver.run(|| store.push(&jobs)).await,
                // A worker waits for it: it must not depend on whether whoever pushes goes on.
                Some(waiter) => {
                    let home = waiter.home(driver.homes()).await;
                    let (own, store, waiters) = (Arc::clone(driver), Arc::clone(store), Arc::clone(waiters));
                    let pushed = home.spawn(hand_over(own, store, waiters, waiter, jobs)).await;
                    pushed.unwrap_or_else(|_| Err(error::gone("push")))
                }
            }
        })
    }

    fn reserve(&self, request: ClaimRequest) -> QueueFuture<'_, Claimed> {
        Box::pin(async move {
            let claim = self.inner.store.next_claim();
            let (driver, store) = (Arc::clone(&self.inner.driver), Arc::clone(&self.inner.store));
            let worker = request.worker;
            let deliver = || {
                let claimed = store.reserve(request, claim);
                let mut delivery = Delivery { answer: None, driver, store, worker, claim };
                async move {
                    delivery.answer = Some(claimed.await);
                    delivery
                }
            };
            self.inner.driver.run(deliver).await.take()
        })
    }

    fn settle(&self, settlements: Vec<Settlement>) -> QueueFuture<'_, Vec<Settled>> {
        if settlements.is_empty() {
            return Box::pin(async { Ok(Vec::new()) });
        }
        self.inner.call("settle", |store| store.settle(settlements))
    }

    fn extend(&self, claims: Vec<Extend>, lease: Duration) -> QueueFuture<'_, Vec<Extended>> {
        if claims.is_empty() {
            return Box::pin(async { Ok(Vec::new()) });
        }
        self.inner.call("extend", move |store| async move { store.extend(&claims, lease).await })
    }

    fn wait(&self, request: WaitRequest) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            self.inner.listen();
            let news = self.inner.store.news();
            let began = Instant::now();
            let timeout = began + request.timeout;
            loop {
                let next = news.next();
                tokio::pin!(next);
                next.as_mut().enable();
                if news.changed_since(&request.queues, request.cursor) {
                    return Ok(());
                }
                let end = if news.is_up() { timeout } else { timeout.min(began + POLL) };
                tokio::select! {
                    () = &mut next => {}
                    () = sleep_until(end) => return Ok(()),
                }
            }
        })
    }

    fn wait_for_jobs(&self, request: WaitRequest, claim: ClaimRequest) -> QueueFuture<'_, Option<Handed>> {
        Box::pin(async move {
            let (waiters, homes) = (&self.inner.waiters, self.inner.driver.homes());
            let handed = waiters.during(self.wait(request), claim, homes).await?;
            handed.map(|(since, delivery)| Ok(Handed { claimed: delivery.take()?, since })).transpose()
        })
    }

    fn maintain(&self, retention: Retention) -> QueueFuture<'_, Maintained> {
        self.inner.call("maintain", move |store| async move { store.maintain(retention).await })
    }

    fn beat(&self, worker: WorkerInfo, done: Vec<Tally>) -> QueueFuture<'_, ()> {
        self.inner.call("beat", |store| async move { store.beat(&worker, &done).await })
    }

    fn leave(&self, worker: WorkerId) -> QueueFuture<'_, ()> {
        self.inner.call("leave", move |store| async move { store.leave(worker).await })
    }

    fn connection(&self) -> Connection {
        self.inner.store.link()
    }

    fn reconnect(&self) {
        self.inner.store.reconnect();
    }
}

impl QueueAdmin for Redis {
    fn stats(&self) -> QueueFuture<'_, Vec<QueueStats>> {
        self.inner.call("stats", |store| async move { store.stats().await })
    }

    fn list(&self, filter: JobFilter) -> QueueFuture<'_, Vec<JobRecord>> {
        self.inner.call("list", |store| async move { store.list(&filter).await })
    }

    fn get(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<Option<JobRecord>>> {
        self.inner.call("get", |store| async move { store.get(&ids).await })
    }

    fn retry(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<AdminOutcome>> {
        self.inner.call("retry", |store| async move { store.operate(Act::Retry, "", &ids).await })
    }

    fn cancel(&self, ids: Vec<JobId>, reason: String) -> QueueFuture<'_, Vec<AdminOutcome>> {
        self.inner.call("cancel", |store| async move { store.operate(Act::Cancel, &reason, &ids).await })
    }

    fn forget(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<AdminOutcome>> {
        self.inner.call("forget", |store| async move { store.operate(Act::Forget, "", &ids).await })
    }

    fn prune(&self, retention: Retention, limit: u64) -> QueueFuture<'_, u64> {
        self.inner.call("prune", move |store| async move { store.prune_up_to(retention, limit).await })
    }

    fn pause(&self, queue: QueueName) -> QueueFuture<'_, ()> {
        self.inner.call("pause", |store| async move { store.pause(&queue, true).await })
    }

    fn resume(&self, queue: QueueName) -> QueueFuture<'_, ()> {
        self.inner.call("resume", |store| async move { store.pause(&queue, false).await })
    }

    fn workers(&self) -> QueueFuture<'_, Vec<WorkerInfo>> {
        self.inner.call("workers", |store| async move { store.workers().await })
    }

    fn history(&self, since: Duration) -> QueueFuture<'_, Vec<HistoryEntry>> {
        self.inner.call("history", move |store| async move { store.history(since).await })
    }

    fn check(&self) -> QueueFuture<'_, Vec<Finding>> {
        self.inner.call("check", |store| async move { store.check().await })
    }

    fn now(&self) -> QueueFuture<'_, Timestamp> {
        self.inner.call("now", |store| async move { store.now().await })
    }

    fn migrations(&self) -> Vec<Migration> {
        script::migrations()
    }
}

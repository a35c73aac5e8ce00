//! The trait's calls, each a task that comes to its end even if nobody waits for it.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::driver::{Call, Failure, Work, answer};
use super::store::{Change, Store, follow_ups, lane_keys};
use super::{Core, Postgres, error, migrations};
use crate::job::{JobId, JobRecord, NewJob, QueueName, WorkerId};
use crate::queue::{
    AdminOutcome, Capabilities, ClaimRequest, Claimed, Connection, Extend, Extended, Finding, Handed,
    HistoryEntry, JobFilter, Maintained, Migration, Pushed, QueueAdmin, QueueBackend, QueueError,
    QueueFuture, QueueStats, Retention, Settled, Settlement, Tally, WaitRequest, WorkerInfo,
};
use crate::time::Timestamp;

/// The longest wait while changes are heard of at once: one of them may have been lost on the way.
const LISTENING: Duration = Duration::from_secs(5);

/// How long it may take from the first wait until they are.
const BEGINS_TO_LISTEN: Duration = Duration::from_secs(2);

/// The longest wait while they are not.
const DEAF: Duration = Duration::from_millis(500);

/// How often a claim is tried again because there are new lanes.
const NEW_LANES: u32 = 5;

/// How long it is tried to give back a claim whose answer did not arrive.
const RELEASE_TRIES: u32 = 20;

type Answer<T> = oneshot::Receiver<Result<T, QueueError>>;

/// Gives a claim back if its future was dropped before the answer came: nobody would ever know of it.
struct Unclaimed<'a> {
    core: &'a Arc<Core>,
    call: i64,
    answer: Option<Answer<Claimed>>,
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        if let Some(mut answer) = self.answer.take() {
            answer.close();
            if answer.try_recv().is_ok_and(|claimed| claimed.is_ok_and(|claimed| !claimed.jobs.is_empty())) {
                let (core, call) = (Arc::clone(self.core), self.call);
                self.core.homes.spawn(async move { core.release_call(call).await });
            }
        }
    }
}

/// A claim under way: given back where its task ended before it, together with its runtime, or nobody takes what came of it.
struct Delivery {
    core: Arc<Core>,
    call: i64,
    reply: Option<oneshot::Sender<Result<Claimed, QueueError>>>,
}

impl Delivery {
    fn hand_over(&mut self, claimed: Result<Claimed, QueueError>) {
        let refused = self.reply.take().map(|reply| reply.send(claimed));
        if let Some(Err(Ok(claimed))) = refused
            && !claimed.jobs.is_empty()
        {
            self.give_back();
        }
    }

    fn give_back(&self) {
        let (core, call) = (Arc::clone(&self.core), self.call);
        self.core.homes.spawn(async move { core.release_call(call).await });
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.reply.is_some() {
            self.give_back();
        }
    }
}

impl Core {
    /// The answer of a task that comes to its end even if nobody waits for it.
    pub(super) async fn start<T: Send + 'static>(
        self: &Arc<Self>,
        task: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Answer<T> {
        Self::start_at(self.homes.here().await, task)
    }

    fn start_at<T: Send + 'static>(
        home: &Handle,
        task: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        Self::begin(home, async move {
            let _ = reply.send(task.await.map_err(|failure| failure.error));
        });
        answer
    }

    /// Makes a call that needs nothing but a connection.
    fn call<T, F>(self: &Arc<Self>, call: Call, work: F) -> QueueFuture<'_, T>
    where
        T: Send + 'static,
        F: for<'c> Fn(Arc<Store>, &'c mut PgConnection) -> Work<'c, T> + Send + Sync + 'static,
    {
        Box::pin(async move {
            let core = Arc::clone(self);
            let done = self.start(async move {
                let store = &core.store;
                core.driver.run(call, |conn, _| work(Arc::clone(store), conn)).await
            });
            answer(call.operation, done.await).await
        })
    }

    async fn reserve(self: Arc<Self>, request: Arc<ClaimRequest>, call: i64) -> Result<Claimed, Failure> {
        for _ in 0..NEW_LANES {
            let cursor = self.signal.cursor();
            let claim = self.driver.run(Call::one("reserve").once(), |conn, _| {
                let (store, request) = (Arc::clone(&self.store), Arc::clone(&request));
                Box::pin(async move { store.reserve(conn, &request, call, cursor).await })
            });
            match claim.await {
                Ok(Some(claimed)) => return Ok(claimed),
                Ok(None) => self.refresh("reserve").await?,
                Err(failure) => {
                    if failure.unsure {
                        let core = Arc::clone(&self);
                        self.homes.spawn(async move { core.release_call(call).await });
                    }
                    return Err(failure);
                }
            }
        }
        Ok(Claimed { jobs: Vec::new(), cursor: crate::queue::WaitCursor::default(), next_due: None })
    }

    /// Gives back a claim that nobody knows of, as soon as that can be done; and once more, since a server that stood still may
    /// only begin with the claim when its release is over.
    pub(super) async fn release_call(self: Arc<Self>, call: i64) {
        self.try_release(call).await;
        tokio::time::sleep(self.driver.timeout()).await;
        self.try_release(call).await;
    }

    async fn try_release(&self, call: i64) {
        for tries in 1..=RELEASE_TRIES {
            if self.release_once(call).await {
                return;
            }
            tokio::time::sleep(crate::queue::Link::back_off(tries)).await;
        }
    }

    /// Whether that worked.
    pub(super) async fn release_once(&self, call: i64) -> bool {
        let release = self.driver.run(Call::one("release"), |conn, _| {
            let store = Arc::clone(&self.store);
            Box::pin(async move { store.release_call(conn, call).await })
        });
        release.await.is_ok()
    }

    async fn settle(self: Arc<Self>, settlements: Arc<[Settlement]>) -> Result<Vec<Settled>, Failure> {
        let together = self.settle_once(&settlements).await;
        match together {
            Err(failure) if failure.refused && settlements.len() > 1 => {
                let mut answers = Vec::with_capacity(settlements.len());
                for settlement in settlements.iter() {
                    let alone: Arc<[Settlement]> = [settlement.clone()].into();
                    answers.extend(self.settle_once(&alone).await?);
                }
                Ok(answers)
            }
            other => other,
        }
    }

    async fn settle_once(&self, settlements: &Arc<[Settlement]>) -> Result<Vec<Settled>, Failure> {
        let lanes = lane_keys(follow_ups(settlements));
        self.know_lanes("settle", &lanes).await?;
        let number = number();
        let call = Call { transaction: !lanes.is_empty(), ..Call::one("settle") };
        let settled = self.driver.run(call, |conn, tried| {
            let (store, settlements) = (Arc::clone(&self.store), Arc::clone(settlements));
            Box::pin(async move { store.settle(conn, &settlements, Some(number), tried > 0).await })
        });
        let mut answers = match settled.await {
            Ok(answers) => {
                self.tell_of(&lanes);
                answers
            }
            Err(failure) => {
                if failure.unsure {
                    self.store.remember(number, settlements);
                }
                return Err(failure);
            }
        };
        for (earlier, places) in self.store.earlier(settlements, &answers) {
            let took_effect = self.driver.run(Call::one("settle"), |conn, _| {
                let store = Arc::clone(&self.store);
                Box::pin(async move { store.took_effect(conn, earlier).await })
            });
            if took_effect.await? {
                places.into_iter().for_each(|place| answers[place] = Settled::Done);
            }
        }
        Ok(answers)
    }

    async fn maintain(self: Arc<Self>, retention: Retention) -> Result<Maintained, Failure> {
        let done = self.driver.run(Call::one("maintain"), |conn, _| {
            let store = Arc::clone(&self.store);
            Box::pin(async move {
                let (done, ended) = store.maintain(conn).await?;
                store.note_unroutable(conn).await?;
                Ok((done, ended))
            })
        });
        let (mut done, ended) = done.await?;
        if ended {
            let rescue = self.driver.run(Call::transaction("maintain"), |conn, _| {
                let store = Arc::clone(&self.store);
                Box::pin(async move { store.rescue(conn).await })
            });
            (done.rescued, done.quarantined) = rescue.await?;
        }
        done.pruned = self.prune("maintain", retention, Store::prune_round()).await?;
        Ok(done)
    }

    async fn prune(&self, operation: &'static str, retention: Retention, limit: u64) -> Result<u64, Failure> {
        let mut pruned = 0;
        loop {
            let left = limit - pruned;
            let step = self.driver.run(Call::one(operation), |conn, _| {
                let store = Arc::clone(&self.store);
                Box::pin(async move { store.prune(conn, &retention, left).await })
            });
            let (deleted, more) = step.await?;
            pruned += deleted;
            if !more {
                return Ok(pruned);
            }
        }
    }

    /// What makes workers slow to hear of new jobs. A queue for which nobody waited yet is given the time to begin to listen.
    async fn ways_to_hear(&self) -> Vec<Finding> {
        let listening = async {
            loop {
                let news = self.signal.news();
                if self.signal.is_listening() {
                    return;
                }
                news.await;
            }
        };
        if self.poll.is_none() {
            self.signal.want();
            let _ = tokio::time::timeout(BEGINS_TO_LISTEN, listening).await;
        }
        let finding = match self.poll {
            Some(every) => Finding::note(
                format!("it is looked for jobs every {every:?} instead of listening (`poll`)"),
                "leave `poll` away unless a pooler by transaction is in between",
            ),
            None if !self.signal.is_listening() => Finding::warning(
                "changes are not heard of now, so that jobs wait up to half a second",
                "if that lasts: is a pooler by transaction in between? Then add `?poll=250ms` to the URL",
            ),
            None => return Vec::new(),
        };
        vec![finding]
    }

    fn change(
        self: &Arc<Self>,
        operation: &'static str,
        ids: Vec<JobId>,
        change: Change,
    ) -> QueueFuture<'_, Vec<AdminOutcome>> {
        if ids.is_empty() {
            return Box::pin(async { Ok(Vec::new()) });
        }
        let (ids, change) = (Arc::<[JobId]>::from(ids), Arc::new(change));
        self.call(Call::one(operation).once(), move |store, conn| {
            let (ids, change) = (Arc::clone(&ids), Arc::clone(&change));
            Box::pin(async move { store.change(conn, &ids, &change).await })
        })
    }
}

/// A number for a call, different from all others.
pub(super) fn number() -> i64 {
    i64::from_le_bytes(
        uuid::Uuid::from_bytes(*JobId::new().as_bytes()).as_bytes()[8..].try_into().unwrap_or_default(),
    )
}

/// Names that the database cannot store are refused before they meet the pushes of others.
pub(super) fn check_names(jobs: &[NewJob]) -> Result<(), QueueError> {
    let bad = |text: &str| text.contains('\0');
    let is_bad = |job: &NewJob| {
        bad(job.queue.as_str())
            || bad(job.handler.as_str())
            || job.unique.as_ref().is_some_and(|unique| bad(unique.key.as_str()))
    };
    match jobs.iter().find(|job| is_bad(job)) {
        Some(job) => {
            let why = format!(
                "job {}: a queue, handler or unique key holds a NUL character, which PostgreSQL cannot store",
                job.id
            );
            Err(error::invalid("push", why))
        }
        None => Ok(()),
    }
}

fn check_queue(operation: &'static str, queue: &QueueName) -> Result<(), QueueError> {
    if queue.as_str().contains('\0') {
        return Err(error::invalid(
            operation,
            "the queue's name holds a NUL character, which PostgreSQL cannot store",
        ));
    }
    Ok(())
}

impl QueueBackend for Postgres {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn describe(&self) -> String {
        self.inner.config.describe(self.inner.core.store.place())
    }

    fn push(&self, jobs: Arc<[NewJob]>) -> QueueFuture<'_, Vec<Pushed>> {
        Box::pin(async move {
            if jobs.is_empty() {
                return Ok(Vec::new());
            }
            check_names(&jobs)?;
            let core = &self.inner.core;
            let pushed = match core.waiters.taker(&jobs) {
                Some(waiter) => {
                    let home = waiter.home(&core.homes).await;
                    Core::start_at(home, Arc::clone(core).hand_over(waiter, jobs))
                }
                None => core.push(jobs).await,
            };
            answer("push", pushed).await
        })
    }

    fn reserve(&self, request: ClaimRequest) -> QueueFuture<'_, Claimed> {
        Box::pin(async move {
            let core = &self.inner.core;
            let call = number();
            let (reply, claimed) = oneshot::channel();
            let mut delivery = Delivery { core: Arc::clone(core), call, reply: Some(reply) };
            Core::begin(core.homes.here().await, async move {
                let claimed = Arc::clone(&delivery.core).reserve(Arc::new(request), call).await;
                delivery.hand_over(claimed.map_err(|failure| failure.error));
            });
            let mut unclaimed = Unclaimed { core, call, answer: Some(claimed) };
            let Some(claimed) = unclaimed.answer.as_mut() else { return Err(error::gone("reserve")) };
            let claimed = claimed.await.unwrap_or_else(|_| Err(error::gone("reserve")));
            unclaimed.answer = None;
            claimed
        })
    }

    fn settle(&self, settlements: Vec<Settlement>) -> QueueFuture<'_, Vec<Settled>> {
        Box::pin(async move {
            if settlements.is_empty() {
                return Ok(Vec::new());
            }
            for job in follow_ups(&settlements) {
                check_names(std::slice::from_ref(job))?;
            }
            let core = &self.inner.core;
            answer("settle", core.start(Arc::clone(core).settle(settlements.into())).await).await
        })
    }

    fn extend(&self, claims: Vec<Extend>, lease: Duration) -> QueueFuture<'_, Vec<Extended>> {
        if claims.is_empty() {
            return Box::pin(async { Ok(Vec::new()) });
        }
        let claims: Arc<[Extend]> = claims.into();
        self.inner.core.call(Call::one("extend"), move |store, conn| {
            let claims = Arc::clone(&claims);
            Box::pin(async move { store.extend(conn, &claims, lease).await })
        })
    }

    fn wait(&self, request: WaitRequest) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            let core = &self.inner.core;
            core.signal.want();
            let longest = core.poll.unwrap_or(if core.signal.is_listening() { LISTENING } else { DEAF });
            let timeout = tokio::time::sleep(request.timeout.min(longest));
            tokio::pin!(timeout);
            loop {
                let news = core.signal.news();
                tokio::pin!(news);
                news.as_mut().enable();
                if core.signal.changed_since(&request.queues, request.cursor) {
                    return Ok(());
                }
                tokio::select! {
                    () = &mut news => {}
                    () = &mut timeout => return Ok(()),
                }
            }
        })
    }

    fn wait_for_jobs(&self, request: WaitRequest, claim: ClaimRequest) -> QueueFuture<'_, Option<Handed>> {
        Box::pin(async move {
            let core = &self.inner.core;
            let handed = core.waiters.during(self.wait(request), claim, &core.homes).await?;
            Ok(handed.map(|(since, brought)| Handed { claimed: brought.take(), since }))
        })
    }

    fn maintain(&self, retention: Retention) -> QueueFuture<'_, Maintained> {
        let core = &self.inner.core;
        Box::pin(
            async move { answer("maintain", core.start(Arc::clone(core).maintain(retention)).await).await },
        )
    }

    fn beat(&self, worker: WorkerInfo, done: Vec<Tally>) -> QueueFuture<'_, ()> {
        let (worker, done) = (Arc::new(worker), Arc::<[Tally]>::from(done));
        self.inner.core.call(Call::one("beat"), move |store, conn| {
            let (worker, done) = (Arc::clone(&worker), Arc::clone(&done));
            Box::pin(async move { store.beat(conn, &worker, &done).await })
        })
    }

    fn leave(&self, worker: WorkerId) -> QueueFuture<'_, ()> {
        self.inner.core.call(Call::one("leave"), move |store, conn| {
            Box::pin(async move { store.leave(conn, worker).await })
        })
    }

    fn connection(&self) -> Connection {
        self.inner.core.driver.link.state()
    }

    fn reconnect(&self) {
        self.inner.core.driver.reconnect();
    }

    fn store(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(self)
    }
}

impl QueueAdmin for Postgres {
    fn stats(&self) -> QueueFuture<'_, Vec<QueueStats>> {
        self.inner
            .core
            .call(Call::transaction("stats"), |store, conn| Box::pin(async move { store.stats(conn).await }))
    }

    fn list(&self, filter: JobFilter) -> QueueFuture<'_, Vec<JobRecord>> {
        let filter = Arc::new(filter);
        self.inner.core.call(Call::one("list"), move |store, conn| {
            let filter = Arc::clone(&filter);
            Box::pin(async move { store.list(conn, &filter).await })
        })
    }

    fn get(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<Option<JobRecord>>> {
        let ids: Arc<[JobId]> = ids.into();
        self.inner.core.call(Call::one("get"), move |store, conn| {
            let ids = Arc::clone(&ids);
            Box::pin(async move { store.get(conn, &ids).await })
        })
    }

    fn retry(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<AdminOutcome>> {
        self.inner.core.change("retry", ids, Change::Retry)
    }

    fn cancel(&self, ids: Vec<JobId>, reason: String) -> QueueFuture<'_, Vec<AdminOutcome>> {
        self.inner.core.change("cancel", ids, Change::Cancel(reason))
    }

    fn forget(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<AdminOutcome>> {
        self.inner.core.change("forget", ids, Change::Forget)
    }

    fn prune(&self, retention: Retention, limit: u64) -> QueueFuture<'_, u64> {
        let core = &self.inner.core;
        Box::pin(async move {
            let task = Arc::clone(core);
            answer("prune", core.start(async move { task.prune("prune", retention, limit).await }).await)
                .await
        })
    }

    fn pause(&self, queue: QueueName) -> QueueFuture<'_, ()> {
        self.stop(queue, "pause", true)
    }

    fn resume(&self, queue: QueueName) -> QueueFuture<'_, ()> {
        self.stop(queue, "resume", false)
    }

    fn workers(&self) -> QueueFuture<'_, Vec<WorkerInfo>> {
        self.inner
            .core
            .call(Call::one("workers"), |store, conn| Box::pin(async move { store.workers(conn).await }))
    }

    fn history(&self, since: Duration) -> QueueFuture<'_, Vec<HistoryEntry>> {
        self.inner.core.call(Call::one("history"), move |store, conn| {
            Box::pin(async move { store.history(conn, since).await })
        })
    }

    fn check(&self) -> QueueFuture<'_, Vec<Finding>> {
        let core = &self.inner.core;
        Box::pin(async move {
            let hearing = Arc::clone(core);
            let hearing = core.start(async move { Ok(hearing.ways_to_hear().await) });
            let mut found: Vec<Finding> = answer("check", hearing.await).await?;
            let call =
                core.call(Call::one("check"), |store, conn| Box::pin(async move { store.check(conn).await }));
            found.extend(call.await?);
            Ok(found)
        })
    }

    fn now(&self) -> QueueFuture<'_, Timestamp> {
        self.inner.core.call(Call::one("now"), |store, conn| Box::pin(async move { store.now(conn).await }))
    }

    fn migrations(&self) -> Vec<Migration> {
        migrations::all(self.inner.core.store.place())
    }
}

impl Postgres {
    fn stop(&self, queue: QueueName, operation: &'static str, stop: bool) -> QueueFuture<'_, ()> {
        if let Err(error) = check_queue(operation, &queue) {
            return Box::pin(async { Err(error) });
        }
        let queue = Arc::new(queue);
        self.inner.core.call(Call::one(operation), move |store, conn| {
            let queue = Arc::clone(&queue);
            Box::pin(async move { store.pause(conn, &queue, stop).await })
        })
    }
}

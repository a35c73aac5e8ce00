//! A queue that fails when it is told to.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::plan::{Injected, Plan};
use crate::job::NewJob;
use crate::queue::{
    Capabilities, ClaimRequest, Claimed, Extended, Migration, Pushed, QueueAdmin, QueueBackend, QueueError,
    QueueErrorKind, QueueFuture, Retention, Settled, Settlement, WaitRequest, forward,
};

/// Maintenance that prunes nothing.
const KEEP_ALL: Retention =
    Retention { completed: Duration::MAX, cancelled: Duration::MAX, dead: Duration::MAX };

/// A queue around another one that fails when a test tells it to: for tests of what a program does then.
///
/// Clones are one queue: the instance gets one, the test keeps another. Without orders it is the queue inside, which keeps every
/// rule of the contract.
///
/// ```
/// # use extensions_runtime::{queue::Memory, testing::FaultyQueue};
/// let queue = FaultyQueue::new(Memory::new());
/// let the_instances = queue.clone();
/// queue.lose_next_push_answers(1);
/// ```
#[derive(Clone)]
pub struct FaultyQueue {
    inner: Arc<dyn QueueBackend>,
    plan: Arc<Mutex<Plan>>,
    connected: watch::Sender<bool>,
}

impl FaultyQueue {
    /// A queue around `inner`.
    #[must_use]
    pub fn new(inner: impl QueueBackend) -> Self {
        Self::shared(Arc::new(inner))
    }

    /// A queue around one that is shared with others, who see no faults.
    #[must_use]
    pub fn shared(inner: Arc<dyn QueueBackend>) -> Self {
        Self { inner, plan: Arc::default(), connected: watch::Sender::new(true) }
    }

    /// The next `n` pushes store nothing and fail with `kind`. A second order replaces what is left of the first, here and below; 0 ends
    /// it.
    pub fn fail_next_pushes(&self, n: u64, kind: QueueErrorKind) {
        self.plan().failing_pushes = Some((n, kind));
    }

    /// The next `n` pushes that succeed are answered with a `Timeout`: the jobs are stored, and the caller cannot know.
    pub fn lose_next_push_answers(&self, n: u64) {
        self.plan().lost_push_answers = n;
    }

    /// The next `n` claims take nothing and fail as `Unavailable`.
    pub fn fail_next_claims(&self, n: u64) {
        self.plan().failing_claims = n;
    }

    /// The next `n` settlements are answered with `Done` and not stored, as if the worker had died just before: the job runs
    /// again when its lease ends ([`expire_leases`](Self::expire_leases) makes it end).
    pub fn lose_next_settlements(&self, n: u64) {
        self.plan().lost_settlements = n;
    }

    /// Ends the leases of all claims that were made through this queue and are not settled, as if their workers were gone. How many.
    ///
    /// Their jobs are available again, the lost ones counted; who still runs one finds its lease lost.
    ///
    /// # Errors
    ///
    /// Those of the queue inside.
    pub async fn expire_leases(&self) -> Result<u64, QueueError> {
        let leases = self.plan().leases();
        let answers = self.inner.extend(leases.clone(), Duration::ZERO).await?;
        self.inner.maintain(KEEP_ALL).await?;
        let ended = answers.iter().filter(|answer| **answer != Extended::LeaseLost).count() as u64;
        let mut plan = self.plan();
        plan.injected.expired_leases += ended;
        leases.iter().for_each(|lease| plan.note_ended(lease.job, lease.token));
        Ok(ended)
    }

    /// From now on every call fails as `Unavailable`, and waits that are under way end so.
    pub fn disconnect(&self) {
        self.connected.send_replace(false);
    }

    /// Ends a [`disconnect`](Self::disconnect).
    pub fn reconnect(&self) {
        self.connected.send_replace(true);
    }

    /// Every call from now on first takes this long, by the machine's clock; zero ends that.
    pub fn delay(&self, delay: Duration) {
        self.plan().delay = delay;
    }

    /// How often something was made to go wrong so far.
    #[must_use]
    pub fn injected(&self) -> Injected {
        self.plan().injected
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What every call goes through first.
    async fn enter(&self, operation: &'static str) -> Result<(), QueueError> {
        let delay = self.plan().delay;
        if !delay.is_zero() {
            self.plan().injected.delayed_calls += 1;
            sleep(delay).await;
        }
        if *self.connected.borrow() { Ok(()) } else { Err(self.refused(operation)) }
    }

    fn refused(&self, operation: &'static str) -> QueueError {
        self.plan().injected.refused_calls += 1;
        QueueError::new(QueueErrorKind::Unavailable, operation, "disconnected by the test")
    }

    fn through<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        call: impl FnOnce(&'a dyn QueueBackend) -> QueueFuture<'a, T> + Send + 'a,
    ) -> QueueFuture<'a, T> {
        Box::pin(async move {
            self.enter(operation).await?;
            call(&*self.inner).await
        })
    }
}

fn injected(kind: QueueErrorKind, operation: &'static str) -> QueueError {
    QueueError::new(kind, operation, "made to fail by the test")
}

/// Sleeps on a thread of its own: calls are polled outside any runtime too.
async fn sleep(time: Duration) {
    let (sender, over) = oneshot::channel();
    std::thread::spawn(move || {
        std::thread::sleep(time);
        let _ = sender.send(());
    });
    let _ = over.await;
}

impl fmt::Debug for FaultyQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyQueue")
            .field("inner", &self.inner)
            .field("connected", &*self.connected.borrow())
            .field("injected", &self.injected())
            .finish_non_exhaustive()
    }
}

impl QueueBackend for FaultyQueue {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn describe(&self) -> String {
        format!("faulty {}", self.inner.describe())
    }

    fn push(&self, jobs: Arc<[NewJob]>) -> QueueFuture<'_, Vec<Pushed>> {
        Box::pin(async move {
            self.enter("push").await?;
            if let Some(kind) = self.plan().fails_push() {
                return Err(injected(kind, "push"));
            }
            let answers = self.inner.push(jobs).await?;
            if self.plan().loses_push_answer() {
                return Err(injected(QueueErrorKind::Timeout, "push"));
            }
            Ok(answers)
        })
    }

    fn reserve(&self, request: ClaimRequest) -> QueueFuture<'_, Claimed> {
        Box::pin(async move {
            self.enter("reserve").await?;
            if self.plan().fails_claim() {
                return Err(injected(QueueErrorKind::Unavailable, "reserve"));
            }
            let claimed = self.inner.reserve(request).await?;
            self.plan().note_claimed(&claimed.jobs);
            Ok(claimed)
        })
    }

    fn settle(&self, mut settlements: Vec<Settlement>) -> QueueFuture<'_, Vec<Settled>> {
        Box::pin(async move {
            self.enter("settle").await?;
            let lost = self.plan().lose(&mut settlements);
            let mut answers = vec![Settled::Done; lost];
            let settled = self.inner.settle(settlements.clone()).await;
            let mut plan = self.plan();
            answers.extend(settled.inspect_err(|_| plan.unlose(lost))?);
            settlements.iter().for_each(|settlement| plan.note_settled(settlement));
            Ok(answers)
        })
    }

    fn wait(&self, request: WaitRequest) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            self.enter("wait").await?;
            let mut connected = self.connected.subscribe();
            tokio::select! {
                ended = self.inner.wait(request) => ended,
                _ = connected.wait_for(|connected| !connected) => Err(self.refused("wait")),
            }
        })
    }

    forward!(extend maintain beat leave connection reconnect store);
}

impl QueueAdmin for FaultyQueue {
    forward!(stats list get retry cancel forget prune pause resume workers history check now);

    fn migrations(&self) -> Vec<Migration> {
        self.inner.migrations()
    }
}

//! Jobs that a push hands over to a worker of the same process that waits for them: they are claimed in the step that stores them.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::homes::Homes;
use crate::job::{ClaimedJob, LeaseToken, NewJob, Purpose, QueueName};
use crate::queue::{ClaimRequest, QueueError};
use crate::time::Timestamp;

/// The most jobs that are handed over at once: beside more of them a claim costs nothing.
const MOST: usize = 100;
/// How long what is handed over may lie there, or be on its way after the wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// For how long none is tried after one that was refused at the cost of a call: what was in the way may stay.
const REST: Duration = Duration::from_millis(100);

/// The workers that wait, each with the claim that it would make next.
#[derive(Debug)]
pub(super) struct Waiters<T>(Mutex<Waiting<T>>);

#[derive(Debug)]
struct Waiting<T> {
    last: u64,
    waiters: Vec<Waiter<T>>,
    /// What was handed over a short while ago.
    parcels: Vec<(Instant, Arc<Parcel<T>>)>,
    /// Whether somebody looks after them.
    is_swept: bool,
    rests_until: Option<Instant>,
}

/// A claim until the worker takes it.
#[derive(Debug)]
struct Parcel<T>(Mutex<Option<T>>);

/// From when its lease is counted, and the claim.
type Handed<T> = (Instant, Arc<Parcel<T>>);

impl<T> Parcel<T> {
    fn content(&self) -> MutexGuard<'_, Option<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_taken(&self) -> bool {
        self.content().is_none()
    }

    fn take(&self) -> Option<T> {
        self.content().take()
    }
}

/// What a worker that waits holds: what comes and is not asked for any more is dropped at once.
#[derive(Debug)]
struct Hand<T>(oneshot::Receiver<Handed<T>>);

impl<T> Drop for Hand<T> {
    fn drop(&mut self) {
        self.0.close();
        if let Ok((_, parcel)) = self.0.try_recv() {
            drop(parcel.take());
        }
    }
}

/// A worker that waits; its wait ends where this is dropped.
#[derive(Debug)]
pub(super) struct Waiter<T> {
    number: u64,
    /// Whether it waits in a context other than that of the runtime that opened the queue.
    is_elsewhere: bool,
    request: ClaimRequest,
    hand: oneshot::Sender<Handed<T>>,
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self(Mutex::new(Waiting {
            last: 0,
            waiters: Vec::new(),
            parcels: Vec::new(),
            is_swept: false,
            rests_until: None,
        }))
    }
}

impl<T> Waiters<T> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is handed over for the claim until the wait ends.
    pub(super) async fn during(
        &self,
        wait: impl Future<Output = Result<(), QueueError>>,
        claim: ClaimRequest,
        homes: &Homes,
    ) -> Result<Option<(Instant, T)>, QueueError> {
        let (number, mut hand) = self.enter(claim, homes.is_thread());
        let handed = tokio::select! {
            handed = &mut hand.0 => handed.ok(),
            ended = wait => {
                ended?;
                if self.leave(number) {
                    None
                } else {
                    // What is on its way still comes; what hangs is not waited for, and goes back when it comes.
                    let on_its_way = tokio::time::timeout(PATIENCE, &mut hand.0).await;
                    on_its_way.ok().and_then(Result::ok)
                }
            }
        };
        Ok(handed.and_then(|(since, parcel)| Some((since, parcel.take()?))))
    }

    fn enter(&self, request: ClaimRequest, is_elsewhere: bool) -> (u64, Hand<T>) {
        let (hand, handed) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.waiters.retain(|waiter| !waiter.hand.is_closed());
        waiting.last += 1;
        let number = waiting.last;
        waiting.waiters.push(Waiter { number, is_elsewhere, request, hand });
        (number, Hand(handed))
    }

    /// Whether it was still there.
    fn leave(&self, number: u64) -> bool {
        let waiters = &mut self.waiting().waiters;
        let at = waiters.iter().position(|waiter| waiter.number == number);
        at.map(|at| waiters.remove(at)).is_some()
    }

    /// A worker that can start all of these jobs at once. It is told of no others.
    pub(super) fn taker(&self, jobs: &[NewJob]) -> Option<Waiter<T>> {
        let waiting = &mut *self.waiting();
        if waiting.rests_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let waiters = &mut waiting.waiters;
        let fits = |waiter: &Waiter<T>| !waiter.hand.is_closed() && can_start(&waiter.request, jobs);
        let at = waiters.iter().position(fits)?;
        Some(waiters.remove(at))
    }

    /// The store did not claim what was to be handed over, and was asked in vain.
    pub(super) fn note_refusal(&self) {
        self.waiting().rests_until = Some(Instant::now() + REST);
    }

    /// Drops what nobody has taken.
    pub(super) fn clear(&self) {
        let left = std::mem::take(&mut self.waiting().parcels);
        left.iter().for_each(|(_, parcel)| drop(parcel.take()));
    }
}

impl<T: Send + 'static> Waiters<T> {
    /// Hands a claim to a worker, or back where that is gone. The lease is counted from `since`. What it does not take in time, since
    /// something keeps its runtime, is dropped.
    pub(super) fn hand(
        self: &Arc<Self>,
        waiter: Waiter<T>,
        since: Instant,
        claim: T,
        homes: &Homes,
    ) -> Result<(), T> {
        let parcel = Arc::new(Parcel(Mutex::new(Some(claim))));
        if waiter.hand.send((since, Arc::clone(&parcel))).is_err() {
            return parcel.take().map_or(Ok(()), Err);
        }
        if !self.note(parcel) {
            homes.spawn(Self::sweep(Arc::downgrade(self)));
        }
        Ok(())
    }

    /// Whether somebody looks after the parcels already.
    fn note(&self, parcel: Arc<Parcel<T>>) -> bool {
        let mut waiting = self.waiting();
        waiting.parcels.retain(|(_, parcel)| !parcel.is_taken());
        waiting.parcels.push((Instant::now(), parcel));
        std::mem::replace(&mut waiting.is_swept, true)
    }

    /// Drops what lies there for too long, while there is anything.
    async fn sweep(waiters: Weak<Self>) {
        loop {
            tokio::time::sleep(PATIENCE / 2).await;
            let Some(waiters) = waiters.upgrade() else { return };
            let (late, is_over) = waiters.late();
            // Not under the lock.
            drop(late);
            if is_over {
                return;
            }
        }
    }

    fn late(&self) -> (Vec<T>, bool) {
        let mut waiting = self.waiting();
        let is_late = |handed: &Instant| handed.elapsed() > PATIENCE;
        let late = waiting.parcels.iter().filter(|(handed, _)| is_late(handed));
        let late = late.filter_map(|(_, parcel)| parcel.take()).collect();
        waiting.parcels.retain(|(_, parcel)| !parcel.is_taken());
        waiting.is_swept = !waiting.parcels.is_empty();
        (late, !waiting.is_swept)
    }
}

impl<T> Waiter<T> {
    pub(super) const fn request(&self) -> &ClaimRequest {
        &self.request
    }

    /// Where to make the step for it: it must not depend on a runtime that is neither its own nor the queue's.
    pub(super) async fn home<'a>(&self, homes: &'a Homes) -> &'a Handle {
        if self.is_elsewhere { homes.thread() } else { homes.here().await }
    }
}

/// Whether a worker that found nothing before would claim all of these jobs next, in their order.
fn can_start(request: &ClaimRequest, jobs: &[NewJob]) -> bool {
    let Some(first) = jobs.first() else { return false };
    let is_usual = |job: &NewJob| {
        job.delay.is_zero()
            && job.unique.is_none()
            && job.once.is_none()
            && (&job.queue, job.priority) == (&first.queue, first.priority)
    };
    let knows = |job: &NewJob| {
        let mut handlers = request.handlers.iter();
        handlers.any(|known| known.handler == job.handler && job.point_version <= known.max_version)
    };
    jobs.len() <= request.max.min(MOST)
        && request.queues.contains(&first.queue)
        && jobs.iter().all(|job| is_usual(job) && knows(job))
}

/// The queues that the claim takes from before this one.
pub(super) fn before<'a>(
    request: &'a ClaimRequest,
    queue: &'a QueueName,
) -> impl Iterator<Item = &'a QueueName> {
    request.queues.iter().take_while(move |before| *before != queue)
}

/// The jobs as the claim brings them that was made with their push; their tokens are numbered from `first` on.
pub(super) fn claimed(jobs: &[NewJob], first: u64, now: Timestamp) -> Vec<ClaimedJob> {
    let claimed = |(job, token): (&NewJob, u64)| ClaimedJob {
        id: job.id,
        token: LeaseToken(token),
        purpose: Purpose::Attempt,
        handler: job.handler.clone(),
        point_version: job.point_version,
        payload: job.payload.clone(),
        queue: job.queue.clone(),
        priority: job.priority,
        attempt: 1,
        max_attempts: job.max_attempts,
        lost_count: 0,
        enqueued_at: now,
        age: Duration::ZERO,
        on_failure: job.on_failure,
        last_error: None,
        meta: job.meta.clone(),
    };
    jobs.iter().zip(first..).map(claimed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::homes::Thread;
    use crate::job::{FireId, HandlerKey, JobId, JobMeta, Payload, WorkerId};
    use crate::queue::{KnownHandler, QueueErrorKind, TakeLost};

    fn job(queue: &str, handler: &str) -> NewJob {
        NewJob {
            id: JobId::new(),
            handler: HandlerKey::new("P", handler),
            point_version: 1,
            payload: Payload::from("1".as_bytes()),
            queue: queue.into(),
            priority: 5,
            max_attempts: 3,
            delay: Duration::ZERO,
            unique: None,
            on_failure: false,
            once: None,
            meta: JobMeta::new(FireId::new()),
        }
    }

    fn request(queues: &[&str], handlers: &[&str], max: usize) -> ClaimRequest {
        let known = |name: &&str| KnownHandler { handler: HandlerKey::new("P", name), max_version: 1 };
        ClaimRequest {
            worker: WorkerId::new(),
            queues: queues.iter().map(|name| QueueName::from(*name)).collect(),
            handlers: handlers.iter().map(known).collect::<Arc<[_]>>(),
            max,
            lease: Duration::from_secs(30),
            lost: TakeLost::None,
        }
    }

    #[tokio::test]
    async fn a_worker_is_handed_what_it_can_start_and_once() {
        let thread = Thread::start("waits").unwrap();
        let (waiters, homes) = (Arc::new(Waiters::default()), Homes::of(&thread).await);
        drop(waiters.enter(request(&["mail"], &["Send"], 9), false));
        let (pdf, _handed) = waiters.enter(request(&["pdf"], &["Render"], 9), false);
        let (mail, mut hand) = waiters.enter(request(&["low", "mail"], &["Other", "Send"], 2), false);

        let send = || job("mail", "Send");
        assert!(waiters.taker(&[job("mail", "Render")]).is_none());
        assert!(waiters.taker(&[send(), send(), send()]).is_none());
        assert!(waiters.taker(&[send(), job("low", "Send")]).is_none());
        assert!(waiters.taker(&[NewJob { delay: Duration::from_millis(1), ..send() }]).is_none());
        assert!(waiters.taker(&[NewJob { point_version: 2, ..send() }]).is_none());
        assert!(waiters.taker(&[NewJob { priority: 9, ..send() }, send()]).is_none());
        let taker = waiters.taker(&[send(), send()]).unwrap();
        assert!(waiters.taker(&[send()]).is_none());

        let since = Instant::now();
        waiters.hand(taker, since, "jobs", &homes).unwrap();
        let (counted_from, parcel) = hand.0.try_recv().unwrap();
        assert_eq!((counted_from, parcel.take()), (since, Some("jobs")));
        assert!(!waiters.leave(mail) && waiters.leave(pdf) && waiters.waiting().waiters.is_empty());
    }

    #[tokio::test]
    async fn what_a_worker_does_not_take_is_dropped_and_what_a_gone_one_cannot_comes_back() {
        let thread = Thread::start("waits").unwrap();
        let (waiters, homes) = (Arc::new(Waiters::default()), Homes::of(&thread).await);
        let jobs = Arc::new(());
        let enters = || waiters.enter(request(&["mail"], &["Send"], 200), false);

        let too_many = vec![job("mail", "Send"); MOST + 1];
        let (_, mut hand) = enters();
        assert!(waiters.taker(&too_many).is_none());
        let taker = waiters.taker(&too_many[1..]).unwrap();
        waiters.hand(taker, Instant::now(), Arc::clone(&jobs), &homes).unwrap();
        while Arc::strong_count(&jobs) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(hand.0.try_recv().unwrap().1.is_taken());
        while waiters.waiting().is_swept {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        let (_, hand) = enters();
        let taker = waiters.taker(&too_many[1..]).unwrap();
        waiters.hand(taker, Instant::now(), Arc::clone(&jobs), &homes).unwrap();
        drop(hand);
        assert_eq!(Arc::strong_count(&jobs), 1, "at once");

        let (_, hand) = enters();
        let taker = waiters.taker(&too_many[1..]).unwrap();
        drop(hand);
        assert!(waiters.hand(taker, Instant::now(), jobs, &homes).is_err());
    }

    #[tokio::test]
    async fn a_wait_that_ends_gets_what_is_on_its_way_and_nothing_else() {
        let thread = Thread::start("waits").unwrap();
        let (waiters, homes) = (Arc::new(Waiters::default()), Homes::of(&thread).await);
        let claim = || request(&["mail"], &["Send"], 9);
        let ended = async || Ok(());
        assert_eq!(waiters.during(ended(), claim(), &homes).await.unwrap(), None);
        assert!(waiters.waiting().waiters.is_empty());

        let since = Instant::now();
        for hands in [true, false] {
            let (taken, is_taken) = oneshot::channel();
            let wait =
                async { is_taken.await.map_err(|_| QueueError::new(QueueErrorKind::Other, "wait", "")) };
            let push = async {
                let taker = waiters.taker(&[job("mail", "Send")]).unwrap();
                taken.send(()).unwrap();
                tokio::task::yield_now().await;
                if hands {
                    waiters.hand(taker, since, "jobs", &homes).unwrap();
                }
            };
            let (handed, ()) = tokio::join!(waiters.during(wait, claim(), &homes), push);
            assert_eq!(handed.unwrap(), hands.then_some((since, "jobs")));
        }
    }
}

//! What the loop waits for, and what it makes of an answer.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{LOST_LOOK, Worker};
use crate::job::JobState;
use crate::queue::{Claimed, Handed, QueueError, QueueStats, TakeLost, WaitRequest};
use crate::worker::builder::StopWhen;

/// The longest wait without asking the queue: a net under lost wake-ups.
const FALLBACK_POLL: Duration = Duration::from_secs(5);
/// How often a worker that is to end when all is drained looks whether it is.
const DRAIN_POLL: Duration = Duration::from_millis(100);
/// How often it looks whether what has run is settled.
const SETTLE_POLL: Duration = Duration::from_millis(2);
/// The shortest wait for a circuit that may be tried again.
const CIRCUIT_LOOK: Duration = Duration::from_millis(100);

type Step<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the loop waits for besides running jobs.
pub(super) enum Pending {
    /// Nothing: there is no room for more jobs.
    Nothing,
    /// Nothing to be asked: every queue has as many jobs here as it may.
    Full,
    Claim(Step<(Instant, Result<Claimed, QueueError>)>),
    /// More jobs, which may be brought along, or the time for another look.
    Idle(Step<Option<Handed>>),
}

/// What ended the waiting.
pub(super) enum News {
    Claimed(Instant, Result<Claimed, QueueError>),
    Handed(Handed),
    Full,
    Look,
}

impl Pending {
    pub(super) async fn news(&mut self) -> News {
        match self {
            Self::Nothing => std::future::pending().await,
            Self::Full => News::Full,
            Self::Claim(claim) => {
                let (asked, claimed) = claim.await;
                News::Claimed(asked, claimed)
            }
            Self::Idle(idle) => idle.await.map_or(News::Look, News::Handed),
        }
    }

    /// What a wait has brought that is to end now.
    pub(super) async fn brought(&mut self) -> Option<Handed> {
        let Self::Idle(idle) = self else { return None };
        match poll_fn(|cx| Poll::Ready(idle.as_mut().poll(cx))).await {
            Poll::Ready(handed) => {
                // It is not to be asked again.
                *self = Self::Nothing;
                handed
            }
            Poll::Pending => None,
        }
    }
}

impl Worker {
    /// What to wait for next; none where the worker is to end.
    pub(super) async fn after(&mut self, news: News) -> Option<Pending> {
        match news {
            News::Look => Some(self.look_again()),
            News::Full => {
                // No queue can be asked, so there is no look to keep a slot for.
                self.put_look_off(LOST_LOOK);
                self.after_round().await
            }
            News::Claimed(asked, Ok(claimed)) if !claimed.jobs.is_empty() => {
                self.take_in(claimed, asked);
                Some(self.look_again())
            }
            News::Handed(handed) => {
                self.take_handed(handed);
                Some(self.look_again())
            }
            News::Claimed(_, Ok(nothing)) => {
                self.note_success();
                self.round.note_nothing(&nothing);
                if self.round.is_over() { self.after_round().await } else { Some(self.claim_next()) }
            }
            News::Claimed(_, Err(error)) => {
                let rest = self.outage.failed("claim", &error);
                self.put_look_off(rest);
                Some(Pending::Idle(Box::pin(sleep(rest))))
            }
        }
    }

    /// Nothing is waited for any more; where there is room, the next claim begins a new round.
    pub(super) fn look_again(&mut self) -> Pending {
        self.end_lost_look();
        Pending::Nothing
    }

    /// The time to the next look is counted from the end of the last: a store that takes longer must not keep a slot free for ever.
    fn end_lost_look(&mut self) {
        if self.keeps_slot {
            self.put_look_off(LOST_LOOK);
        }
    }

    /// No slot is kept free for a look until then.
    fn put_look_off(&mut self, time: Duration) {
        self.keeps_slot = false;
        self.next_lost_look = Instant::now() + time;
    }

    /// Takes in what was brought to a worker that waited: had there been a lost job, it would have been claimed.
    fn take_handed(&mut self, Handed { claimed, since }: Handed) {
        self.put_look_off(LOST_LOOK);
        self.take_in(claimed, since);
    }

    /// Ends a wait, and takes in what it has brought.
    pub(super) async fn end_wait(&mut self, pending: &mut Pending) {
        if let Some(handed) = pending.brought().await {
            self.take_handed(handed);
        }
        *pending = self.look_again();
    }

    /// What to wait for after a round that brought nothing; none where the worker is to end.
    async fn after_round(&mut self) -> Option<Pending> {
        self.end_lost_look();
        let at_rest = self.stop_when.filter(|_| self.is_at_rest());
        // A job that has ended since may have fired another.
        let is_too_early = at_rest.is_some() && !self.round.began_at_rest;
        if is_too_early || self.has_looked_too_narrowly() {
            return Some(Pending::Nothing);
        }
        let circuit = self.next_circuit().map(|retry_in| retry_in.max(CIRCUIT_LOOK));
        let due = self.round.next_due().into_iter().chain(circuit).fold(FALLBACK_POLL, Duration::min);
        let wait = match at_rest {
            None => due,
            Some(_) if self.unsettled.load(Ordering::Relaxed) > 0 => due.min(SETTLE_POLL),
            Some(_) if self.may_stuck_leave_more() => due.min(DRAIN_POLL),
            Some(StopWhen::Empty) => return None,
            Some(StopWhen::Drained) if self.is_drained().await => return None,
            Some(StopWhen::Drained) => due.min(DRAIN_POLL),
        };
        Some(Pending::Idle(self.wait(wait)))
    }

    /// Whether the job of a stuck handler may be there by now, or soon, that the last round did not see.
    fn may_stuck_leave_more(&self) -> bool {
        !self.leases.is_empty() || self.leases.given_up.load(Ordering::Relaxed) != self.given_up_before
    }

    async fn is_drained(&self) -> bool {
        let served = |stats: &&QueueStats| self.info.queues.contains(&stats.queue);
        match self.queue.stats().await {
            Ok(stats) => {
                self.outage.works("stats");
                let is_drained = |stats: &QueueStats| stats.unfinished() == stats.count(JobState::Unroutable);
                stats.iter().filter(served).all(is_drained)
            }
            Err(error) => {
                self.outage.failed("stats", &error);
                false
            }
        }
    }

    /// Waits for news of the queues that were asked in the round. Those that were left out have news when a job of theirs ends here.
    fn wait(&mut self, timeout: Duration) -> Step<Option<Handed>> {
        let seen = self.round.take_seen();
        self.takes_any = self.limits.is_empty() && self.circuits_are_at_rest();
        let mut waits: Vec<_> = seen
            .into_iter()
            .map(|(queues, cursor)| self.wait_for(WaitRequest { queues, cursor, timeout }))
            .collect();
        match waits.pop() {
            None => Box::pin(sleep(timeout)),
            Some(only) if waits.is_empty() => only,
            Some(last) => {
                waits.push(last);
                Box::pin(first_of(waits))
            }
        }
    }

    /// With a claim for those jobs that could be started at once, where nothing holds any back.
    fn wait_for(&self, request: WaitRequest) -> Step<Option<Handed>> {
        let (queue, outage) = (Arc::clone(&self.queue), Arc::clone(&self.outage));
        let free = if self.takes_any { self.free_slots() } else { 0 };
        let claim = (free > 0).then(|| self.request(request.queues.clone(), free, TakeLost::None));
        Box::pin(async move {
            let ended = match claim {
                Some(claim) => queue.wait_for_jobs(request, claim).await,
                None => queue.wait(request).await.map(|()| None),
            };
            match &ended {
                Ok(_) => outage.works("wait"),
                Err(error) => outage.wait("wait", error).await,
            }
            ended.unwrap_or_default()
        })
    }

    pub(super) fn note_success(&self) {
        self.claims.note_answered();
        self.outage.works("claim");
    }
}

async fn sleep(time: Duration) -> Option<Handed> {
    tokio::time::sleep(time).await;
    None
}

/// Ends with the first of them.
async fn first_of<T>(mut steps: Vec<Step<T>>) -> T {
    poll_fn(|cx| {
        let mut ended = steps.iter_mut().map(|step| step.as_mut().poll(cx));
        ended.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

//! Pushes whose jobs are claimed in the same statement, for a worker of this process that waits.

use std::sync::Arc;
use std::time::Instant;

use super::Core;
use super::backend::number;
use super::driver::{Call, Failure};
use super::store::lane_keys;
use crate::backend::handover::{self, Waiter};
use crate::job::{ClaimedJob, NewJob};
use crate::queue::{Claimed, Pushed, WaitCursor};

/// A claim that is made with a push; given back where the worker it is made for does not take it.
#[derive(Debug)]
pub(super) struct Brought {
    core: Arc<Core>,
    call: i64,
    /// Whether the store may know of the claim.
    may_be_held: bool,
    jobs: Vec<ClaimedJob>,
}

impl Brought {
    pub(super) fn take(mut self) -> Claimed {
        self.may_be_held = false;
        Claimed { jobs: std::mem::take(&mut self.jobs), cursor: WaitCursor::default(), next_due: None }
    }

    /// Gives the claim back as far as one call can.
    async fn give_back(mut self) {
        self.may_be_held = !self.core.release_once(self.call).await;
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        if self.may_be_held {
            let (core, call) = (Arc::clone(&self.core), self.call);
            self.core.homes.spawn(async move { core.release_call(call).await });
        }
    }
}

impl Core {
    /// Pushes jobs, and claims them for a worker that waits, in one step; its wait ends in any case.
    pub(super) async fn hand_over(
        self: Arc<Self>,
        waiter: Waiter<Brought>,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, Failure> {
        self.know_lanes("push", &lane_keys(jobs.iter())).await?;
        let (since, call) = (Instant::now(), number());
        let mut brought = Brought { core: Arc::clone(&self), call, may_be_held: true, jobs: Vec::new() };
        let handed = self.driver.run(Call::one("push").once(), |conn, _| {
            let (store, jobs, request) =
                (Arc::clone(&self.store), Arc::clone(&jobs), waiter.request().clone());
            Box::pin(
                async move { store.hand_over(conn, &jobs.iter().collect::<Vec<_>>(), &request, call).await },
            )
        });
        match handed.await {
            Ok(Some((token, now))) => {
                brought.jobs = handover::claimed(&jobs, token.0, now);
                if let Err(brought) = self.waiters.hand(waiter, since, brought, &self.homes) {
                    // Whoever pushed may end this process once he has his answer.
                    brought.give_back().await;
                }
                Ok(vec![Pushed::Queued; jobs.len()])
            }
            Ok(None) => {
                brought.may_be_held = false;
                self.waiters.note_refusal();
                drop(waiter);
                self.push_now([jobs].into()).await
            }
            Err(failure) => {
                brought.may_be_held = failure.unsure;
                drop(waiter);
                if since.elapsed() < self.driver.timeout() / 2 {
                    // Before anything is given back: what is stored already is found then.
                    self.push_now([jobs].into()).await
                } else {
                    Err(failure)
                }
            }
        }
    }
}

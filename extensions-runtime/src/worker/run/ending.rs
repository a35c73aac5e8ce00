//! The orderly end of the loop.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Worker;
use super::waiting::Pending;
use crate::telemetry::names::event;
use crate::worker::executor::Executor;
use crate::worker::feed::Buffered;
use crate::worker::job::Stop;
use crate::worker::running::LAST_WORDS;

/// How long the jobs of dropped handlers may take to be given back.
const LAST_RELEASES: Duration = Duration::from_secs(2);
/// How long the last settlements may take at shut-down.
const FLUSH: Duration = Duration::from_secs(10);

impl Worker {
    /// Takes in what a claim under way still brings, or a wait has brought, to give it back.
    pub(super) async fn last_claim(&mut self, mut pending: Pending) {
        if let Pending::Claim(claim) = &mut pending
            && let Ok((asked, Ok(claimed))) = tokio::time::timeout(LAST_WORDS, claim).await
        {
            self.take_in(claimed, asked);
        }
        self.end_wait(&mut pending).await;
    }

    /// Waits until nothing runs but what was given up.
    async fn drain(&mut self) {
        while !self.runs_nothing() && self.running.join_next().await.is_some() {}
    }

    /// Gives back what was not started, waits for what runs, then stops it; then everything is settled.
    pub(super) async fn finish(&mut self, executor: Arc<Executor>, settling: JoinHandle<()>) {
        for Buffered { job, .. } in self.feed.take_all() {
            let executor = Arc::clone(&executor);
            self.running.spawn(async move {
                executor.give_back(&job).await;
            });
        }
        if tokio::time::timeout(self.grace, self.drain()).await.is_err() {
            tracing::warn!(name: event::GRACE_OVER, jobs = self.running.len(), "the grace is over; running handlers are told to stop");
            self.leases.stop_all(Stop::Shutdown);
            let _ = tokio::time::timeout(LAST_WORDS + LAST_RELEASES, self.drain()).await;
        }
        let stuck = self.running.len();
        if stuck > 0 {
            tracing::error!(
                name: event::HANDLERS_LEFT,
                jobs = stuck,
                "handlers block their threads and cannot be stopped; their leases are given up"
            );
            // Not awaited: a task that blocks its thread never sees that it is aborted.
            self.running.abort_all();
            self.running.detach_all();
        }
        drop(executor);
        // A stuck executor would keep the settler for ever.
        let patience = if stuck > 0 { LAST_RELEASES } else { FLUSH };
        if tokio::time::timeout(patience, settling).await.is_err() && stuck == 0 {
            tracing::error!(name: event::SETTLEMENTS_LEFT, "the last settlements could not be stored; their leases will end");
        }
    }
}

//! Fakes: instances that record, and whose time and jobs a test moves.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::record::Fake;
use crate::builder::ExtensionsBuilder;
use crate::instance::Extensions;
use crate::job::{JobRecord, JobState};
use crate::queue::QueueError;
use crate::time::ManualClock;
use crate::worker::{InPlace, WorkerReport};

impl Extensions {
    /// Starts the making of a fake, for tests of code that fires: an instance with handlers, conditions, breakers and a queue like any
    /// other, which records every fire and every queued job for the assertions, `assert_fired` and the rest.
    ///
    /// Its queue is a new one in memory, whatever `queue_url` and `EXTENSIONS_QUEUE_URL` say (a `queue` that it is given takes its
    /// place), and it reads no `extensions.toml` unless the builder names one. Queue and instance share a clock that stands still until
    /// [`advance`](Self::advance), breakers included. No worker runs: [`run_queued`](Self::run_queued) does what is due. Fakes see
    /// nothing of each other, so tests may run in parallel.
    pub fn fake() -> ExtensionsBuilder {
        Self::fake_at(Arc::default())
    }

    /// Starts the making of a fake on a clock that the test holds as well, for a queue of its own say.
    pub fn fake_at(clock: Arc<ManualClock>) -> ExtensionsBuilder {
        ExtensionsBuilder::new().faked(Arc::new(Fake::new(clock)))
    }

    /// What makes this instance a fake.
    #[track_caller]
    pub(super) fn as_fake(&self) -> &Fake {
        self.settings().fake.as_deref().expect(
            "this instance is no fake, so it records nothing and its time cannot be moved: make it with `Extensions::fake()`",
        )
    }

    /// Moves a fake's clock forward: delays and back-offs pass, leases end, breakers become half-open. It runs nothing.
    ///
    /// # Panics
    ///
    /// If the instance is no fake.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        self.as_fake().clock().advance(by);
    }

    #[track_caller]
    fn in_place(&self) -> InPlace {
        let clock = Arc::clone(self.as_fake().clock());
        let queue = self.queue().cloned().expect("a fake has a queue");
        InPlace { queue, clock, heeds_breakers: true }
    }

    /// Runs the jobs of a fake that are due now, and those that they queue, as a worker does it; what it did. One job after the other,
    /// queue by queue in the order of their names. Jobs that are due only later, delayed or waiting for another attempt, stay, and
    /// so do those of handlers whose circuits are open.
    ///
    /// # Panics
    ///
    /// If the instance is no fake, if its queue fails, or outside a Tokio runtime.
    #[track_caller]
    pub fn run_queued(&self) -> impl Future<Output = WorkerReport> + Send {
        let (in_place, extensions) = (self.in_place(), self.clone());
        async move { expect(in_place.run_due(&extensions).await) }
    }

    /// Runs all jobs of a fake as [`run_queued`](Self::run_queued) does, and whenever nothing is due moves the clock to where
    /// something is, over delays, back-offs and time-outs of breakers, until no job is left that can be run; what it did.
    ///
    /// # Panics
    ///
    /// As [`run_queued`](Self::run_queued), and if jobs still put themselves off after 1,000 moves of the clock.
    #[track_caller]
    pub fn run_queued_until_idle(&self) -> impl Future<Output = WorkerReport> + Send {
        let (in_place, extensions) = (self.in_place(), self.clone());
        async move { expect(in_place.run_all(&extensions).await) }
    }

    /// The jobs of a fake that ended without success, with their errors, oldest first.
    ///
    /// # Panics
    ///
    /// If the instance is no fake, or if its queue fails.
    #[track_caller]
    pub fn failed_jobs(&self) -> impl Future<Output = Vec<JobRecord>> + Send {
        let in_place = self.in_place();
        async move { expect(in_place.list(&[JobState::Dead, JobState::Quarantined]).await) }
    }
}

fn expect<T>(answer: Result<T, QueueError>) -> T {
    answer.unwrap_or_else(|error| panic!("the fake's jobs could not be run: {error}"))
}

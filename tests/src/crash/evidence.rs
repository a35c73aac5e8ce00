//! What a run is judged by: its ledgers, and what its store shows at the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use extensions::job::{HandlerKey, JobId, JobRecord, JobState, NewJob, UniqueKey, UniqueLock, UniqueUntil};
use extensions::queue::{JobFilter, Pushed, QueueBackend, QueueError};

use super::{Book, Ledger, PROBES};
use crate::kit::new_job;

/// The largest number of records in one page.
const PAGE: usize = 1000;

/// All that a run left.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The ledgers.
    pub book: Book,
    /// Every job in the store.
    pub records: Vec<JobRecord>,
    /// Keys that are held though every job that had them has ended.
    pub keys_left: Vec<UniqueKey>,
}

/// What was promised in a run.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How soon after a fault the work must go on: one lease plus 5 s, or less where the backend promises less.
    pub recovery: Duration,
    /// The longest that a settlement may be under way after its handler's end. A run is held to the longest that was seen in it.
    pub settling: Duration,
    /// The handlers that have `on_failure`.
    pub tell: BTreeSet<HandlerKey>,
    /// Whether the store may lose the last of what it confirmed, as its settings say.
    pub may_lose: bool,
    /// Whether the store's times are those of processes whose clocks jumped, and prove nothing.
    pub clock_jumps: bool,
}

impl Terms {
    /// Recovery within this time.
    #[must_use]
    pub fn recovery_within(recovery: Duration) -> Self {
        let tell = [HandlerKey::new("Charged", "doomed"), HandlerKey::new("Wicked", "harm")].into();
        Self { recovery, settling: Duration::from_secs(2), tell, may_lose: false, clock_jumps: false }
    }
}

impl Evidence {
    /// The fires whose jobs are in the store.
    #[must_use]
    pub fn fires_with_jobs(&self) -> BTreeSet<u64> {
        self.fires_where(|_| true)
    }

    /// The fires with such a job.
    pub fn fires_where(&self, such: impl Fn(&JobRecord) -> bool) -> BTreeSet<u64> {
        self.records.iter().filter(|record| such(record)).filter_map(super::invariants::fire_of).collect()
    }

    /// Looks at a store that is at rest. To see which unique keys are held, it pushes jobs with them, and deletes those again.
    ///
    /// # Errors
    ///
    /// Of the store; also where it lacks the capability `list`.
    pub async fn gather(ledgers: &[Ledger], queue: &Arc<dyn QueueBackend>) -> Result<Self, QueueError> {
        let records = all(queue, Vec::new()).await?;
        let keys_left = keys_left(&records, queue).await?;
        Ok(Self { book: Book::of(ledgers), records, keys_left })
    }
}

/// Every job in one of these states, or in any.
pub(super) async fn all(
    queue: &Arc<dyn QueueBackend>,
    states: Vec<JobState>,
) -> Result<Vec<JobRecord>, QueueError> {
    let mut records: Vec<JobRecord> = Vec::new();
    loop {
        let after = records.last().map(|record| record.id);
        let page = queue
            .list(JobFilter { after, limit: PAGE, states: states.clone(), ..JobFilter::default() })
            .await?;
        let is_last = page.len() < PAGE;
        records.extend(page);
        if is_last {
            return Ok(records);
        }
    }
}

async fn keys_left(
    records: &[JobRecord],
    queue: &Arc<dyn QueueBackend>,
) -> Result<Vec<UniqueKey>, QueueError> {
    let keys = |ended: bool| {
        let such = records.iter().filter(move |record| record.state.is_final() == ended);
        such.filter_map(|record| record.unique.clone()).collect::<BTreeSet<_>>()
    };
    let over: Vec<_> = keys(true).difference(&keys(false)).cloned().collect();
    let probes: Vec<_> = over.iter().map(probe).collect();
    let ids: Vec<JobId> = probes.iter().map(|probe| probe.id).collect();
    let answers = queue.push(probes.into()).await?;
    queue.cancel(ids.clone(), "a probe of the checker".to_owned()).await?;
    queue.forget(ids).await?;
    let held = over.into_iter().zip(answers).filter(|(_, answer)| *answer != Pushed::Queued);
    Ok(held.map(|(key, _)| key).collect())
}

fn probe(key: &UniqueKey) -> NewJob {
    NewJob {
        queue: PROBES.into(),
        unique: Some(UniqueLock { key: key.clone(), ttl: None, until: UniqueUntil::End }),
        ..new_job("Probe/probe", "{}")
    }
}

//! Where jobs are found: by lane and rank, by when they are due, by claim; and what has changed since a look.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::entry::Entry;
use crate::job::{HandlerKey, JobId, JobState, QueueName};
use crate::time::Timestamp;

/// A job's place among those of its lane.
pub(super) type Rank = (u8, Timestamp, u64, JobId);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) queue: QueueName,
    pub(super) handler: HandlerKey,
    pub(super) version: u32,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) ready: HashMap<Lane, BTreeSet<Rank>>,
    pub(super) lost: HashMap<Lane, BTreeSet<Rank>>,
    pub(super) owed: HashMap<Lane, BTreeSet<Rank>>,
    pub(super) due: BTreeSet<(Timestamp, u64, JobId)>,
    pub(super) claimed: HashSet<JobId>,
    pub(super) generation: u64,
    pub(super) changed: HashMap<QueueName, u64>,
}

impl Index {
    fn shelf(&mut self, entry: &Entry) -> Option<&mut HashMap<Lane, BTreeSet<Rank>>> {
        match entry.state {
            _ if entry.claim.is_some() => None,
            _ if entry.owes => Some(&mut self.owed),
            JobState::Available if entry.lost_count > 0 => Some(&mut self.lost),
            JobState::Available => Some(&mut self.ready),
            _ => None,
        }
    }

    fn is_due_later(entry: &Entry) -> bool {
        matches!(entry.state, JobState::Scheduled | JobState::Retryable)
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        if entry.claim.is_some() {
            self.claimed.insert(entry.job.id);
        } else if Self::is_due_later(entry) {
            self.due.insert((entry.run_at, entry.seq, entry.job.id));
            self.signal(&entry.job.queue);
        } else if let Some(shelf) = self.shelf(entry) {
            shelf.entry(entry.lane.clone()).or_default().insert(entry.rank());
            self.signal(&entry.job.queue);
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        self.claimed.remove(&entry.job.id);
        if Self::is_due_later(entry) {
            self.due.remove(&(entry.run_at, entry.seq, entry.job.id));
        }
        if let Some(shelf) = self.shelf(entry)
            && let Some(ranks) = shelf.get_mut(&entry.lane)
        {
            ranks.remove(&entry.rank());
            if ranks.is_empty() {
                shelf.remove(&entry.lane);
            }
        }
    }

    pub(super) fn signal(&mut self, queue: &QueueName) {
        self.generation += 1;
        self.changed.insert(queue.clone(), self.generation);
    }
}

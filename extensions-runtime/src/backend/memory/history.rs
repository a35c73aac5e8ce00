//! What workers did, by the minute.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::backend::history::{KEPT, first_minute, minute};
use crate::job::{HandlerKey, QueueName};
use crate::queue::{HistoryEntry, Tally};
use crate::time::Timestamp;

/// The last two days.
#[derive(Debug, Default)]
pub(super) struct History(BTreeMap<Timestamp, BTreeMap<(QueueName, HandlerKey), Tally>>);

impl History {
    pub(super) fn add(&mut self, done: &[Tally], now: Timestamp) {
        if done.is_empty() {
            return;
        }
        self.0 = self.0.split_off(&first_minute(now, KEPT));
        let minute = self.0.entry(minute(now)).or_default();
        for tally in done {
            let key = (tally.queue.clone(), tally.handler.clone());
            let new = || Tally::new(tally.queue.clone(), tally.handler.clone());
            minute.entry(key).or_insert_with(new).add(tally);
        }
    }

    pub(super) fn since(&self, since: Duration, now: Timestamp) -> Vec<HistoryEntry> {
        let minutes = self.0.range(first_minute(now, since)..);
        let entry = |minute, tally: &Tally| HistoryEntry { minute, tally: tally.clone() };
        minutes.flat_map(|(minute, done)| done.values().map(|tally| entry(*minute, tally))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, History, Tally, Timestamp};

    #[test]
    fn minutes_are_given_from_the_first_asked_for_and_kept_for_two_days() {
        let mut history = History::default();
        let start = Timestamp::from_millis(1_700_000_000_000);
        let at = |minutes: u64| start.saturating_add(Duration::from_secs(60 * minutes));
        let done = Tally { completed: 1, ..Tally::new("q".into(), "P/h".into()) };
        for minutes in [0, 1, 1, 60] {
            history.add(std::slice::from_ref(&done), at(minutes));
        }
        let completed = |history: &History, since: u64, now: u64| -> Vec<u64> {
            let entries = history.since(Duration::from_secs(60 * since), at(now));
            entries.iter().map(|entry| entry.tally.completed).collect()
        };
        assert_eq!(completed(&history, 60, 60), [1, 2, 1]);
        assert_eq!(completed(&history, 59, 60), [2, 1]);
        assert_eq!(completed(&history, 0, 60), [1]);
        history.add(std::slice::from_ref(&done), at(48 * 60 + 30));
        assert_eq!(completed(&history, u64::MAX / 60, 48 * 60 + 30), [1, 1]);
    }
}

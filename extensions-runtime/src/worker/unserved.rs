//! Queues whose jobs nobody is there to run: said once each way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::status::Vitals;
use crate::job::{JobState, QueueName};
use crate::queue::QueueStats;
use crate::telemetry::names::event;

/// When to look first: by then those that start together have said that they are there.
const FIRST_LOOK: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_secs(60);

/// The queues that a worker has told of.
#[derive(Debug)]
pub(super) struct Unserved {
    vitals: Arc<Vitals>,
    next_look: Instant,
    told: BTreeSet<QueueName>,
}

/// What changed since the last look.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// The queue, and how many of its jobs could run.
    Unserved(QueueName, u64),
    Settled(QueueName),
}

impl Unserved {
    pub(super) fn new(vitals: Arc<Vitals>) -> Self {
        Self { vitals, next_look: Instant::now() + FIRST_LOOK, told: BTreeSet::new() }
    }

    pub(super) async fn look_if_due(&mut self) {
        if Instant::now() < self.next_look {
            return;
        }
        self.next_look = Instant::now() + EVERY;
        match self.vitals.queue.stats().await {
            Ok(stats) => {
                note(&mut self.told, &stats).into_iter().for_each(tell);
                self.vitals.note_unserved(self.told.iter().cloned().collect());
            }
            // Other calls say that the queue fails; this one is not worth a try before the next look.
            Err(error) => tracing::debug!(%error, "no look at queues that nobody serves"),
        }
    }
}

fn note(told: &mut BTreeSet<QueueName>, stats: &[QueueStats]) -> Vec<News> {
    let unserved: Vec<&QueueStats> = stats.iter().filter(|stats| stats.is_unserved()).collect();
    let now: BTreeSet<QueueName> = unserved.iter().map(|stats| stats.queue.clone()).collect();
    let settled = told.difference(&now).cloned().map(News::Settled);
    let new = unserved.iter().filter(|stats| !told.contains(&stats.queue));
    let new = new.map(|stats| News::Unserved(stats.queue.clone(), stats.count(JobState::Available)));
    let news = settled.chain(new).collect();
    *told = now;
    news
}

fn tell(news: News) {
    match news {
        News::Unserved(queue, jobs) => {
            tracing::warn!(
                name: event::QUEUE_UNSERVED,
                %queue,
                jobs,
                "jobs wait in a queue that no live worker serves; start one that names the queue"
            );
        }
        News::Settled(queue) => {
            tracing::info!(name: event::QUEUE_SERVED, %queue, "no job waits any more in a queue that no live worker served");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{News, note};
    use crate::job::JobState;
    use crate::queue::QueueStats;

    fn queue(name: &'static str, state: JobState, workers: u64) -> QueueStats {
        QueueStats { counts: [(state, 3)].into(), workers, ..QueueStats::empty(name.into()) }
    }

    #[test]
    fn a_queue_that_nobody_serves_is_news_once_until_it_is_served() {
        let mut told = BTreeSet::new();
        let unserved = [queue("a", JobState::Available, 0)];
        assert_eq!(note(&mut told, &unserved), [News::Unserved("a".into(), 3)]);
        assert_eq!(note(&mut told, &unserved), []);
        assert_eq!(note(&mut told, &[queue("a", JobState::Available, 1)]), [News::Settled("a".into())]);
        assert_eq!(note(&mut told, &unserved), [News::Unserved("a".into(), 3)]);
        assert_eq!(note(&mut told, &[]), [News::Settled("a".into())]);
    }

    #[test]
    fn only_jobs_that_could_run_now_want_a_worker() {
        let paused = QueueStats { paused: true, ..queue("paused", JobState::Available, 0) };
        let later = queue("later", JobState::Scheduled, 0);
        let ended = queue("ended", JobState::Dead, 0);
        assert_eq!(note(&mut BTreeSet::new(), &[paused, later, ended]), []);
    }
}

//! A look at a worker's queues: which are asked together, and what the claims that brought nothing had seen.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::job::QueueName;
use crate::queue::{Claimed, WaitCursor};
use crate::worker::limits::Limits;

/// Queues that are asked in one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) queues: Vec<QueueName>,
    /// The most jobs to ask for.
    pub(super) most: usize,
}

/// One look at all queues, in their order: a claim for each group, until one brings jobs.
#[derive(Debug, Default)]
pub(super) struct Round {
    groups: VecDeque<Group>,
    /// The queues of which as many jobs are here as may be.
    left_out: Vec<QueueName>,
    /// Whether it is made for jobs that were lost, although enough others are here.
    pub(super) looks_for_lost: bool,
    /// Whether nothing ran when it began, so that what it does not find is not there.
    pub(super) began_at_rest: bool,
    /// What is asked.
    asking: Vec<QueueName>,
    /// What brought nothing: each claim's queues are waited for from where that claim had looked.
    seen: Vec<(Vec<QueueName>, WaitCursor)>,
    due: Option<Instant>,
}

impl Round {
    /// Neighbours without limits are asked together; a queue with a limit is asked alone, for as many as there may be, and not at all
    /// where that is none.
    pub(super) fn new(order: Vec<QueueName>, limits: &Limits) -> Self {
        let mut round = Self::default();
        if limits.is_empty() {
            round.groups.push_back(Group { queues: order, most: usize::MAX });
            return round;
        }
        let mut are_joined = false;
        for queue in order {
            match limits.room(&queue) {
                Some(0) => round.left_out.push(queue),
                Some(most) => {
                    round.groups.push_back(Group { queues: vec![queue], most });
                    are_joined = false;
                }
                None => match round.groups.back_mut().filter(|_| are_joined) {
                    Some(group) => group.queues.push(queue),
                    None => {
                        round.groups.push_back(Group { queues: vec![queue], most: usize::MAX });
                        are_joined = true;
                    }
                },
            }
        }
        round
    }

    /// What to ask next; nothing at the end.
    pub(super) fn next(&mut self) -> Option<Group> {
        let group = self.groups.pop_front()?;
        self.asking.clone_from(&group.queues);
        Some(group)
    }

    pub(super) fn is_over(&self) -> bool {
        self.groups.is_empty()
    }

    /// The last claim brought nothing.
    pub(super) fn note_nothing(&mut self, nothing: &Claimed) {
        self.seen.push((std::mem::take(&mut self.asking), nothing.cursor));
        if let Some(due) = nothing.next_due.and_then(|due| Instant::now().checked_add(due)) {
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
    }

    /// Whether a queue that was left out could be asked now.
    pub(super) fn has_left_out_too_much(&self, limits: &Limits) -> bool {
        self.left_out.iter().any(|queue| !limits.is_full(queue))
    }

    /// How long until the first job of the queues that were asked is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    pub(super) fn take_seen(&mut self) -> Vec<(Vec<QueueName>, WaitCursor)> {
        std::mem::take(&mut self.seen)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Group, Limits, Round};
    use crate::job::QueueName;
    use crate::queue::{Claimed, WaitCursor};

    fn names(names: &[&'static str]) -> Vec<QueueName> {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn group(queues: &[&'static str], most: usize) -> Group {
        Group { queues: names(queues), most }
    }

    fn groups(round: &mut Round) -> Vec<Group> {
        std::iter::from_fn(|| round.next()).collect()
    }

    fn nothing(cursor: u64, next_due: Option<Duration>) -> Claimed {
        Claimed { jobs: Vec::new(), cursor: WaitCursor(cursor), next_due }
    }

    #[test]
    fn without_limits_all_queues_are_asked_in_one_claim() {
        let mut round = Round::new(names(&["a", "b", "c"]), &Limits::default());
        assert_eq!(groups(&mut round), [group(&["a", "b", "c"], usize::MAX)]);
    }

    #[test]
    fn a_limited_queue_is_asked_alone_and_in_its_place() {
        let limits = Limits::new(&[("c".into(), 2), ("d".into(), 5)].into());
        let _one_is_here = limits.take(&"d".into());
        let mut round = Round::new(names(&["a", "b", "c", "d", "e", "f"]), &limits);
        let all = usize::MAX;
        let expected = [group(&["a", "b"], all), group(&["c"], 2), group(&["d"], 4), group(&["e", "f"], all)];
        assert_eq!(groups(&mut round), expected);
    }

    #[test]
    fn a_queue_that_has_its_fill_is_left_out_until_a_job_of_it_ends() {
        let limits = Limits::new(&[("b".into(), 1)].into());
        let place = limits.take(&"b".into());
        let mut round = Round::new(names(&["a", "b", "c"]), &limits);
        assert_eq!(groups(&mut round), [group(&["a", "c"], usize::MAX)]);
        assert!(!round.has_left_out_too_much(&limits));
        drop(place);
        assert!(round.has_left_out_too_much(&limits));
    }

    #[test]
    fn what_brought_nothing_is_waited_for_from_where_it_was_looked_at_and_until_the_first_is_due() {
        let limits = Limits::new(&[("a".into(), 1)].into());
        let mut round = Round::new(names(&["a", "b"]), &limits);
        assert!(round.next().is_some() && !round.is_over());
        round.note_nothing(&nothing(5, Some(Duration::from_secs(60))));
        assert!(round.next().is_some() && round.is_over());
        round.note_nothing(&nothing(9, Some(Duration::from_secs(600))));
        assert!(round.next_due().is_some_and(|due| due <= Duration::from_secs(60)));
        let seen = [(names(&["a"]), WaitCursor(5)), (names(&["b"]), WaitCursor(9))];
        assert_eq!(round.take_seen(), seen);
    }
}

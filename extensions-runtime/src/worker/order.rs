//! In which order a worker's queues are looked at.

use crate::job::QueueName;

/// The order of a worker's queues.
#[derive(Debug, Clone)]
pub(super) enum QueueOrder {
    /// Always the same: a queue is served only when those before it are empty.
    Strict(Vec<QueueName>),
    /// By lot for every claim, in proportion to the weights; no queue starves.
    Weighted(Vec<(QueueName, u32)>),
}

impl QueueOrder {
    /// A queue that is named twice has its first place.
    pub(super) fn strict(queues: impl Iterator<Item = QueueName>) -> Self {
        let mut order: Vec<QueueName> = Vec::new();
        for queue in queues {
            if !order.contains(&queue) {
                order.push(queue);
            }
        }
        Self::Strict(order)
    }

    /// A queue that is named twice has the sum of its weights.
    pub(super) fn weighted(weights: impl Iterator<Item = (QueueName, u32)>) -> Self {
        let mut order: Vec<(QueueName, u32)> = Vec::new();
        for (queue, weight) in weights {
            match order.iter_mut().find(|(known, _)| *known == queue) {
                Some((_, sum)) => *sum = sum.saturating_add(weight),
                None => order.push((queue, weight)),
            }
        }
        Self::Weighted(order)
    }

    pub(super) fn names(&self) -> Vec<QueueName> {
        match self {
            Self::Strict(queues) => queues.clone(),
            Self::Weighted(queues) => queues.iter().map(|(queue, _)| queue.clone()).collect(),
        }
    }

    /// The order for one claim; `random` gives numbers from 0 up to 1.
    pub(super) fn draw(&self, mut random: impl FnMut() -> f64) -> Vec<QueueName> {
        let queues = match self {
            Self::Strict(queues) => return queues.clone(),
            Self::Weighted(queues) => queues,
        };
        let mut keyed: Vec<_> = queues
            .iter()
            .map(|(queue, weight)| {
                (random().max(f64::MIN_POSITIVE).ln() / f64::from((*weight).max(1)), queue)
            })
            .collect();
        keyed.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        keyed.into_iter().map(|(_, queue)| queue.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::QueueOrder;

    #[test]
    fn a_queue_that_is_named_twice_is_served_once() {
        let strict = QueueOrder::strict(["a", "b", "a"].map(Into::into).into_iter());
        assert_eq!(strict.names(), ["a", "b"]);
        let weighted =
            QueueOrder::weighted([("a", 1), ("b", 2), ("a", 3)].map(|(q, w)| (q.into(), w)).into_iter());
        let QueueOrder::Weighted(weights) = &weighted else { panic!("{weighted:?}") };
        assert_eq!(*weights, [("a".into(), 4), ("b".into(), 2)]);
    }

    #[test]
    fn strict_order_never_changes() {
        let order = QueueOrder::Strict(vec!["a".into(), "b".into()]);
        assert_eq!(order.draw(|| 0.5), order.names());
    }

    #[test]
    fn weights_decide_how_often_a_queue_comes_first() {
        let order = QueueOrder::Weighted(vec![("a".into(), 6), ("b".into(), 1)]);
        let mut rng = fastrand::Rng::with_seed(7);
        let first = (0..7_000).filter(|_| order.draw(|| rng.f64())[0] == "a").count();
        assert!((5_700..6_300).contains(&first), "{first} of 7000");
    }
}

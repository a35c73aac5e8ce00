//! What the supervisor runs: pools of worker processes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::keys;
use super::layer::Layer;
use crate::job::QueueName;

/// The queues of a pool and the order in which they are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolQueues {
    /// Always the same: a queue is served only when those before it are empty.
    Strict(Vec<QueueName>),
    /// By lot, in proportion to the weights.
    Weighted(Vec<(QueueName, u32)>),
}

impl PoolQueues {
    /// The queues' names.
    #[must_use]
    pub fn names(&self) -> Vec<QueueName> {
        match self {
            Self::Strict(queues) => queues.clone(),
            Self::Weighted(weights) => weights.iter().map(|(queue, _)| queue.clone()).collect(),
        }
    }
}

/// A pool of worker processes, `[worker.NAME]`. What is not set is as the worker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pool {
    /// The queues.
    pub queues: PoolQueues,
    /// How many jobs run at once in each process; the most, where the pool scales.
    pub concurrency: usize,
    /// How far down the pool scales.
    pub min_concurrency: Option<usize>,
    /// How many processes there are.
    pub processes: usize,
    /// How many jobs of single queues run at once in each process.
    pub queue_concurrency: BTreeMap<QueueName, usize>,
    /// The most jobs to claim ahead of free slots.
    pub prefetch: Option<usize>,
    /// How long a claim holds without a heartbeat.
    pub lease: Option<Duration>,
    /// How long running handlers may go on at shut-down.
    pub grace: Option<Duration>,
    /// After how many jobs a process ends.
    pub max_jobs: Option<u64>,
    /// After how long a process ends.
    pub max_time: Option<Duration>,
    /// At how many bytes of resident memory a process ends.
    pub max_memory: Option<u64>,
}

impl Pool {
    /// None without queues.
    #[cfg_attr(not(feature = "config"), allow(dead_code))]
    pub(super) fn of(layer: &Layer) -> Option<Self> {
        Some(Self {
            queues: layer.get(&keys::POOL_QUEUES)?,
            concurrency: layer.get(&keys::POOL_CONCURRENCY)?,
            min_concurrency: layer.get(&keys::POOL_MIN_CONCURRENCY),
            processes: layer.get(&keys::POOL_PROCESSES)?,
            queue_concurrency: layer.get(&keys::POOL_QUEUE_CONCURRENCY).unwrap_or_default(),
            prefetch: layer.chosen(&keys::POOL_PREFETCH),
            lease: layer.chosen(&keys::POOL_LEASE),
            grace: layer.chosen(&keys::POOL_GRACE),
            max_jobs: layer.get(&keys::POOL_MAX_JOBS),
            max_time: layer.get(&keys::POOL_MAX_TIME),
            max_memory: layer.get(&keys::POOL_MAX_MEMORY),
        })
    }
}

/// The supervisor's own options, `[supervisor]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupervisorConfig {
    /// Where it answers `/live`, `/ready` and `/metrics`; default 127.0.0.1:9464.
    pub listen: Option<SocketAddr>,
    /// How long after a step of scaling the next one may follow; default 3 s.
    pub cool_down: Duration,
    /// The program that works, with its arguments; none: its own.
    pub command: Option<Vec<String>>,
    /// How long a process may take to end before it is killed; default 60 s.
    pub stop_timeout: Duration,
}

impl SupervisorConfig {
    pub(super) fn of(layer: &Layer) -> Self {
        Self {
            listen: layer.get(&keys::SUPERVISOR_LISTEN).unwrap_or_default(),
            cool_down: layer.get(&keys::SUPERVISOR_COOL_DOWN).unwrap_or_default(),
            command: layer.get(&keys::SUPERVISOR_COMMAND),
            stop_timeout: layer.get(&keys::SUPERVISOR_STOP).unwrap_or_default(),
        }
    }
}

impl Default for SupervisorConfig {
    fn default() -> Self {
        Self::of(&Layer::default())
    }
}

//! Every name under which something is counted, measured or traced. `docs/telemetry.md` shows them as tables, which a test compares.

/// A metric: its name and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// The name, as in the Prometheus text.
    pub name: &'static str,
    /// Whether it counts, shows or distributes.
    pub kind: MetricKind,
    /// What a value of 1 is.
    pub unit: MetricUnit,
    /// Whose figure it is.
    pub scope: MetricScope,
    /// The names of its labels. None of them takes values without bound: no ids of jobs, no tenants, no users.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub about: &'static str,
}

/// The kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How values are distributed.
    Histogram,
}

/// The units of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricUnit {
    /// Things: jobs, attempts, slots.
    Count,
    /// Seconds.
    Seconds,
    /// A number that stands for a state; the metric says which.
    State,
}

/// Whose figures a metric shows, and so how those of several processes go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricScope {
    /// One process's own: they add up.
    Process,
    /// The store's, which every process sees alike: the largest stands for all.
    Store,
}

macro_rules! metrics {
    ($($constant:ident: $kind:ident of $unit:ident per $scope:ident, $name:literal, $labels:expr, $about:literal;)*) => {
        $(
            #[doc = $about]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: MetricKind::$kind,
                unit: MetricUnit::$unit,
                scope: MetricScope::$scope,
                labels: &$labels,
                about: $about,
            };
        )*

        /// All metrics, in the order of the documentation.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    FIRES: Counter of Count per Process, "extensions_fires_total", ["point", "outcome"],
        "Fires of points with async handlers, by outcome (succeeded, vetoed, failed, silenced); while profiling is on, of all points.";
    HANDLER_TIME: Histogram of Seconds per Process, "extensions_handler_seconds", ["point", "handler"],
        "How long inline handlers ran, while profiling is on.";
    JOBS_QUEUED: Counter of Count per Process, "extensions_jobs_queued_total", ["handler", "queue"],
        "Jobs that were stored; those in a caller's transaction count before its commit.";
    JOBS_DUPLICATE: Counter of Count per Process, "extensions_jobs_duplicate_total", ["handler", "queue"],
        "Jobs that a unique key kept out.";
    ATTEMPTS: Counter of Count per Process, "extensions_attempts_total", ["handler", "queue", "outcome"],
        "Claims that ended, by outcome (completed, retried, dead, expired, cancelled, snoozed, released, lost).";
    ATTEMPT_TIME: Histogram of Seconds per Process, "extensions_attempt_seconds", ["handler", "queue"],
        "How long attempts ran, from the call of the handler to its end.";
    JOB_WAIT: Histogram of Seconds per Process, "extensions_job_wait_seconds", ["handler", "queue"],
        "How long jobs were there when their first attempt began, delays included, by the store's clock.";
    JOBS_DEAD: Counter of Count per Process, "extensions_jobs_dead_total", ["handler", "queue"],
        "Jobs that workers buried: attempts used up, failed for good, undecodable or expired.";
    LEASES_LOST: Counter of Count per Process, "extensions_leases_lost_total", ["handler", "queue"],
        "Claims whose lease was gone while the handler ran or before its end was stored; another worker may have run the job again.";
    HANDLERS_STUCK: Counter of Count per Process, "extensions_handlers_stuck_total", ["handler", "queue"],
        "Handlers that did not return in time and keep their slots.";
    JOBS_RESCUED: Counter of Count per Process, "extensions_jobs_rescued_total", [],
        "Jobs that this process's upkeep took back from workers that are gone.";
    JOBS_QUARANTINED: Counter of Count per Process, "extensions_jobs_quarantined_total", [],
        "Jobs that this process's upkeep quarantined, because their workers died over them.";
    CONNECTION_LOSSES: Counter of Count per Process, "extensions_connection_losses_total", ["store"],
        "How often the connection to a store was lost.";
    BREAKER_STATE: Gauge of State per Store, "extensions_breaker_state", ["breaker"],
        "A circuit breaker's state, from its first change on: 0 closed, 1 half-open, 2 open; of several processes the worst.";
    BREAKER_CHANGES: Counter of Count per Process, "extensions_breaker_changes_total", ["breaker", "state"],
        "How often a circuit breaker came to a state.";
    WORKER_SLOTS: Gauge of Count per Process, "extensions_worker_slots", [],
        "How many jobs the workers of this process may run at once.";
    WORKER_BUSY: Gauge of Count per Process, "extensions_worker_busy", [],
        "How many slots are taken.";
    QUEUE_JOBS: Gauge of Count per Store, "extensions_queue_jobs", ["queue", "state"],
        "Jobs in a queue, by state.";
    QUEUE_OLDEST_WAIT: Gauge of Seconds per Store, "extensions_queue_oldest_wait_seconds", ["queue"],
        "How long the job that has been available longest has been so; 0 where none is.";
    QUEUE_PAUSED: Gauge of State per Store, "extensions_queue_paused", ["queue"],
        "Whether the queue is paused: 1 or 0.";
    QUEUE_WORKERS: Gauge of Count per Store, "extensions_queue_workers", ["queue"],
        "How many live workers serve the queue.";
    QUEUE_UNSERVED: Gauge of State per Store, "extensions_queue_unserved", ["queue"],
        "Whether jobs wait in the queue that no live worker serves: 1 or 0.";
    STORE_UP: Gauge of State per Process, "extensions_store_up", ["store"],
        "Whether the store answered when its queues were last asked for: 1 or 0; with 0 the figures of queues are old.";
    SUPERVISOR_PROCESSES: Gauge of Count per Process, "extensions_supervisor_processes", ["pool", "state"],
        "Processes of a supervisor's pool, by state (ready, unready, draining).";
    SUPERVISOR_RESTARTS: Counter of Count per Process, "extensions_supervisor_restarts_total", ["pool"],
        "Processes that took the place of one that had ended by itself.";
    SUPERVISOR_SLOTS: Gauge of Count per Process, "extensions_supervisor_slots", ["pool"],
        "How many jobs the processes of a pool may run at once, all together.";
}

/// Around a fire.
pub const SPAN_FIRE: &str = "fire";
/// Around an inline handler.
pub const SPAN_HANDLER: &str = "handler";
/// Around a pipeline by hand.
pub const SPAN_PIPELINE: &str = "pipeline";
/// Around a stage of a pipeline.
pub const SPAN_STAGE: &str = "stage";
/// Around the storing of a fire's jobs.
pub const SPAN_PUSH: &str = "push";
/// Around an attempt of a job.
pub const SPAN_ATTEMPT: &str = "attempt";
/// Around a callback of a job: `on_retry` or `on_failure`.
pub const SPAN_CALLBACK: &str = "callback";

/// All spans, each with its level and its fields.
pub const SPANS: &[(&str, &str, &[&str])] = &[
    (SPAN_FIRE, "debug", &["point", "depth"]),
    (SPAN_HANDLER, "debug", &["name"]),
    (SPAN_PIPELINE, "debug", &[]),
    (SPAN_STAGE, "debug", &["name"]),
    (SPAN_PUSH, "debug", &["jobs"]),
    (SPAN_ATTEMPT, "info", &["job", "handler", "queue", "attempt", "root", "traceparent"]),
    (SPAN_CALLBACK, "info", &["which", "job", "handler", "queue"]),
];

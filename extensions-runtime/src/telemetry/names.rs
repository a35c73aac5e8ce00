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

macro_rules! events {
    ($($constant:ident: $level:literal, $name:literal, $about:literal;)*) => {
        /// The names of events from `info` on, as `tracing`'s metadata has them; their messages are for people and may change.
        pub mod event {
            $(
                #[doc = $about]
                pub const $constant: &str = concat!("extensions.", $name);
            )*
        }

        /// All events, each with its level and what it says, in the order of the documentation.
        pub const EVENTS: &[(&str, &str, &str)] = &[$((event::$constant, $level, $about)),*];
    };
}

events! {
    SYNC_MODE: "info", "instance.sync", "The queue is `sync:`: jobs run in place.";
    DEPRECATED_HANDLERS: "warn", "instance.deprecated_handlers", "Deprecated handlers are registered; at start-up.";
    DEPRECATED_POINTS: "warn", "instance.deprecated_points", "Deprecated points have handlers; at start-up.";
    UNCLEAR_FEATURE: "warn", "instance.unclear_feature", "A variable of a feature flag says neither yes nor no.";
    MUTED_NOBODY: "warn", "instance.muted_nobody", "A name was muted that no handler has.";
    LARGE_PAYLOAD: "warn", "fire.large_payload", "A payload has more than 64 KiB; once per point type.";
    SLOW_INLINE_HANDLER: "warn", "fire.slow_handler", "An inline handler ran longer than `slow_threshold` (100 ms): awaited ones each time, plain ones while profiling is on.";
    OUTPUT_MISSING: "warn", "fire.output_missing", "A handler failed in graceful mode, so that its output is missing in an answer.";
    OBSERVER_PANICKED: "error", "fire.observer_panicked", "An observer panicked.";
    SLOW_STAGE: "warn", "pipeline.slow_stage", "A stage ran longer than `slow_threshold`.";
    STAGE_FAILED: "warn", "pipeline.stage_failed", "A stage failed, and the pipeline went on behind it.";
    BREAKER_OPENED: "warn", "breaker.opened", "A circuit opened.";
    BREAKER_CHANGED: "info", "breaker.changed", "A circuit is half-open or closed again.";
    BREAKER_HOOK_PANICKED: "error", "breaker.hook_panicked", "A hook for changes of breakers panicked.";
    WORKER_STARTED: "info", "worker.started", "A worker started.";
    WORKER_STOPPED: "info", "worker.stopped", "A worker ended; with its report.";
    WORKER_WITHOUT_HANDLERS: "warn", "worker.without_handlers", "A worker knows no async handler.";
    UNUSED_QUEUE: "warn", "worker.unused_queue", "A worker serves a queue that no handler uses; once, at its start.";
    LIMIT_ELSEWHERE: "warn", "worker.limit_elsewhere", "`queue_concurrency` names a queue that the worker does not serve; at its start.";
    SHUTTING_DOWN: "info", "worker.shutting_down", "A signal asked for the end.";
    MEMORY_OUTGROWN: "info", "worker.memory_outgrown", "The process has more memory than `max_memory`; the worker ends.";
    GRACE_OVER: "warn", "worker.grace_over", "Handlers that still run at shut-down are told to stop.";
    HANDLERS_LEFT: "error", "worker.handlers_left", "Handlers block their threads at shut-down; their leases are given up.";
    SETTLEMENTS_LEFT: "error", "worker.settlements_left", "The last ends could not be stored; their leases will end.";
    GOODBYE_SLOW: "warn", "worker.goodbye_slow", "The store does not answer a worker's goodbye.";
    GOODBYE_FAILED: "warn", "worker.goodbye_failed", "A worker's entry will time out instead of going at once.";
    TALLIES_LEFT: "warn", "worker.tallies_left", "What was done since the last beat is missing in the store's history.";
    EXECUTOR_DIED: "error", "worker.executor_died", "The framework itself panicked around a job; it is left to its lease.";
    WATCHDOG_ENDS: "error", "worker.watchdog_ends", "Jobs wait, slots are free, and no claim is answered: the process ends.";
    WATCHDOG_RECONNECTS: "error", "worker.watchdog_reconnects", "Jobs wait, slots are free, and no claim is answered: the connection is rebuilt.";
    JOB_RETRIED: "warn", "job.retried", "An attempt failed and the job will be tried again; with kind, error and delay.";
    JOB_DEAD: "error", "job.dead", "An attempt failed and the job is dead; with kind and error.";
    SETTLED_TOO_LATE: "warn", "job.settled_too_late", "An attempt's end came when its lease was gone; another worker may run the job again.";
    LEASE_LOST: "warn", "job.lease_lost", "A lease was lost while the handler ran; it is told to stop.";
    SETTLEMENT_REFUSED: "error", "job.settlement_refused", "The store refused an attempt's end; its lease will end.";
    JOB_UNKNOWN: "warn", "job.unknown", "A worker got a job that it cannot run, and put it off.";
    SLOW_JOB: "warn", "job.slow", "An attempt ran longer than `slow_threshold`; once per handler and worker.";
    HANDLER_STUCK: "error", "job.stuck", "A handler has not returned 5 s after its time-out; with how many are so, and of how many slots.";
    HANDLER_HEEDLESS: "warn", "job.heedless", "A blocking handler goes on though it was told to stop; its slot stays taken.";
    STUCK_RETURNED: "info", "job.stuck_returned", "A stuck handler has returned; its job went on without it.";
    STUCK_REFUSED: "error", "job.stuck_refused", "The store refused the ends of stuck handlers; their leases will end.";
    RUNTIME_BLOCKED: "error", "job.runtime_blocked", "A stuck handler blocks the runtime; the jobs that wait behind it are given back.";
    CALLBACK_FAILED: "error", "job.callback_failed", "A callback panicked, took too long or could not be called.";
    CALLBACK_RETURNED: "info", "job.callback_returned", "A stuck callback has returned; it is called again.";
    JOBS_TAKEN_BACK: "warn", "store.jobs_taken_back", "Jobs of workers that are gone were taken back.";
    JOBS_IN_QUARANTINE: "error", "store.jobs_quarantined", "Jobs were quarantined: their workers died over them.";
    QUEUE_UNSERVED: "warn", "store.queue_unserved", "Jobs wait in a queue that no live worker serves; once per queue and worker.";
    QUEUE_SERVED: "info", "store.queue_served", "No job waits any more in such a queue.";
    STORE_FAILS: "warn", "store.fails", "A store's calls fail; once, however many do.";
    STORE_WORKS: "info", "store.works", "A store's calls work again.";
    STORE_LOST: "warn", "store.lost", "The connection to a store was lost; once.";
    STORE_BACK: "info", "store.back", "The connection to a store is back.";
    STORE_UNSAFE: "warn", "store.unsafe", "A setting of the server can lose jobs; it says which.";
    STORE_UNWATCHED: "warn", "store.unwatched", "SQLite: the file cannot be watched for new jobs.";
    WORKER_UNLOCKED: "warn", "store.worker_unlocked", "SQLite: a worker has no lock that tells of its death.";
    NOT_ROLLED_BACK: "error", "store.not_rolled_back", "SQLite: a transaction could not be rolled back.";
    SYNC_TOO_DEEP: "error", "sync.too_deep", "`sync:`: jobs fire jobs without end.";
    SYNC_PANICKED: "error", "sync.panicked", "`sync:`: the runner of jobs panicked.";
    SYNC_UNFINISHED: "error", "sync.unfinished", "`sync:`: not all jobs were run to their ends.";
    SYNC_JOB_FAILED: "error", "sync.job_failed", "`sync:`: a job failed.";
    SYNC_JOB_NOT_RUN: "error", "sync.job_not_run", "`sync:`: no handler here can run a job.";
    SUPERVISOR_SERVES: "info", "supervisor.serves", "`/live`, `/ready` and `/metrics` are served; with the address.";
    SUPERVISOR_HIDDEN: "warn", "supervisor.hidden", "Another recorder is installed: the supervisor's own figures are not in `/metrics`.";
    SUPERVISOR_READY: "info", "supervisor.ready", "Every pool has all its processes ready, after the start or a rolling restart.";
    SUPERVISOR_ROLLS: "info", "supervisor.rolls", "SIGHUP: all processes are replaced, one after the other.";
    RELOAD_REFUSED: "error", "supervisor.reload_refused", "SIGHUP: the configuration cannot be used, and nothing is changed.";
    LISTEN_CHANGED: "warn", "supervisor.listen_changed", "SIGHUP: `supervisor.listen` has changed, which holds from the next start on.";
    SUPERVISOR_DRAINS: "info", "supervisor.drains", "A signal asked for the end: all processes drain.";
    SUPERVISOR_KILLS: "warn", "supervisor.kills", "A second signal: all processes are killed.";
    SUPERVISOR_STOPPED: "info", "supervisor.stopped", "A supervisor ended; with its exit code.";
    SCALING_IMPOSSIBLE: "warn", "supervisor.scaling_impossible", "Pools have `min_concurrency`, and the supervisor knows no queue.";
    SCALING_PAUSED: "warn", "supervisor.scaling_paused", "The store does not answer: pools keep their size; once.";
    SCALING_RESUMED: "info", "supervisor.scaling_resumed", "The store answers again: pools scale.";
    POOL_RESIZED: "info", "supervisor.pool_resized", "A pool's processes have a slot more or less each.";
    PROCESS_STARTED: "info", "process.started", "A supervisor started a process; with pool and pid, as all that follow.";
    PROCESS_READY: "info", "process.ready", "A process takes jobs.";
    PROCESS_DRAINS: "info", "process.drains", "A process is told to drain.";
    PROCESS_DRAINED: "info", "process.drained", "A process ended as it was told to; with its exit code or signal.";
    PROCESS_ENDED: "info", "process.ended", "A process ended in order by itself (`max_jobs`, `max_time`, `max_memory`), and is replaced.";
    PROCESS_DIED: "error", "process.died", "A process died, and is replaced; with its exit code or signal, and when.";
    PROCESS_UNSTARTABLE: "error", "process.unstartable", "A process cannot be started, and is tried again; with when.";
    PROCESS_OVERDUE: "error", "process.overdue", "A process has not ended within `stop_timeout`, and is killed.";
    PROCESS_SILENT: "warn", "process.silent", "A process has said nothing for 10 s; once, until it speaks.";
    PROCESS_UNSIGNALLED: "warn", "process.unsignalled", "A process cannot be signalled.";
    NOTIFY_UNUSABLE: "warn", "supervisor.notify_unusable", "`NOTIFY_SOCKET` names no socket that can be used.";
    ASKED_TO_DRAIN: "info", "worker.asked_to_drain", "A supervised worker was asked for its end.";
    SUPERVISOR_GONE: "warn", "worker.supervisor_gone", "A supervised worker drains because its supervisor is gone.";
    ORPHAN_ENDS: "error", "worker.orphan_ends", "A process did not drain in time after its supervisor's end, and ends.";
    TOO_MANY_LABELS: "warn", "metrics.too_many_labels", "A metric has more than 2,000 sets of labels; the rest is not counted.";
    REQUEST_FAILED: "error", "axum.request_failed", "An `HttpError` of status 500 and above was answered; with the request's id.";
}

-- Every claim reads what stands here, so one value of a wrong type or size would keep all jobs from all workers: the tables
-- are strict, and numbers are checked against what a reader can hold. Only `ANY` columns may hold what nobody can read.

-- States by name, for people who read the tables.
CREATE TABLE extensions_states (state INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO extensions_states VALUES
    (0, 'scheduled'), (1, 'available'), (2, 'running'), (3, 'retryable'), (4, 'completed'), (5, 'dead'),
    (6, 'cancelled'), (8, 'quarantined');

-- `changed` numbers the last change that made something in the queue claimable; the numbers are common to all queues.
CREATE TABLE extensions_queues (
    queue   INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    paused  INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0 CHECK (changed >= 0)
) STRICT;

-- A lane holds the jobs of one handler and payload version in one queue: what a claim takes or leaves as a whole.
CREATE TABLE extensions_lanes (
    lane             INTEGER PRIMARY KEY,
    queue            INTEGER NOT NULL REFERENCES extensions_queues (queue),
    handler          TEXT NOT NULL,
    version          INTEGER NOT NULL CHECK (version BETWEEN 0 AND 4294967295),
    unroutable_since INTEGER,
    unroutable_until INTEGER,
    UNIQUE (queue, handler, version)
) STRICT;

-- `shelf` says where a claim finds the job: 1 ready, 2 ready but to be claimed alone, 3 lost before,
-- 4 on_failure owed; nothing if it cannot be claimed now. Wall times in ms; lease_until in ms of the boot's clock.
CREATE TABLE extensions_jobs (
    seq            INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    lane           INTEGER NOT NULL,
    state          INTEGER NOT NULL,
    shelf          INTEGER,
    priority       INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 255),
    run_at         INTEGER NOT NULL,
    attempt        INTEGER NOT NULL DEFAULT 0 CHECK (attempt BETWEEN 0 AND 4294967295),
    max_attempts   INTEGER NOT NULL CHECK (max_attempts BETWEEN 0 AND 4294967295),
    on_failure     INTEGER NOT NULL,
    owes           INTEGER NOT NULL DEFAULT 0,
    suspect        INTEGER NOT NULL DEFAULT 0,
    started        INTEGER NOT NULL DEFAULT 0,
    lost_count     INTEGER NOT NULL DEFAULT 0 CHECK (lost_count BETWEEN 0 AND 4294967295),
    callback_lost  INTEGER NOT NULL DEFAULT 0 CHECK (callback_lost BETWEEN 0 AND 4294967295),
    token          INTEGER,
    lease_until    INTEGER,
    enqueued_at    INTEGER NOT NULL,
    scheduled_at   INTEGER,
    available_at   INTEGER,
    running_at     INTEGER,
    retryable_at   INTEGER,
    completed_at   INTEGER,
    dead_at        INTEGER,
    cancelled_at   INTEGER,
    quarantined_at INTEGER,
    ended_at       INTEGER,
    unique_key     TEXT,
    unique_ttl     INTEGER,
    unique_start   INTEGER,
    cancel         TEXT,
    reason         TEXT,
    progress       ANY,
    errors         ANY,
    unread         ANY,
    meta           ANY NOT NULL,
    payload        BLOB NOT NULL
) STRICT;
CREATE INDEX extensions_jobs_shelf ON extensions_jobs (shelf, lane, priority, run_at) WHERE shelf IS NOT NULL;
CREATE INDEX extensions_jobs_due ON extensions_jobs (run_at, lane, state) WHERE state IN (0, 3);
CREATE INDEX extensions_jobs_ended ON extensions_jobs (state, ended_at, lane) WHERE ended_at IS NOT NULL;

-- One row per claim: a job's token is claim * 4096 + its place in `seqs`, eight bytes each, little endian.
CREATE TABLE extensions_claims (
    claim       INTEGER PRIMARY KEY AUTOINCREMENT,
    worker      BLOB NOT NULL CHECK (length(worker) = 16),
    boot        INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    remaining   INTEGER NOT NULL,
    seqs        BLOB NOT NULL
) STRICT;

CREATE TABLE extensions_locks (key TEXT PRIMARY KEY, job BLOB NOT NULL, expires_at INTEGER) STRICT, WITHOUT ROWID;

-- Boots of the machine: a lease of another boot is over.
CREATE TABLE extensions_boots (boot INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE extensions_workers (
    worker    BLOB PRIMARY KEY,
    info      TEXT NOT NULL,
    last_beat INTEGER NOT NULL,
    boot      INTEGER NOT NULL,
    live_till INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

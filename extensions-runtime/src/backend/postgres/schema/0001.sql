-- `{p}` stands for the schema and the prefix of all names, `{x}` for the prefix alone, `{now}` for the server's time in ms.

-- Who this store is, so that a transaction in another database is told apart.
CREATE TABLE {p}store (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO {p}store DEFAULT VALUES;

-- States by name, for people who read the tables.
CREATE TABLE {p}states (state smallint PRIMARY KEY, name text NOT NULL UNIQUE);
INSERT INTO {p}states VALUES
    (0, 'scheduled'), (1, 'available'), (2, 'running'), (3, 'retryable'), (4, 'completed'), (5, 'dead'),
    (6, 'cancelled'), (8, 'quarantined');

CREATE TABLE {p}queues (
    queue  integer PRIMARY KEY,
    name   text NOT NULL UNIQUE,
    paused boolean NOT NULL DEFAULT false
);

-- A lane holds the jobs of one handler and payload version in one queue: what a claim takes or leaves as a whole.
CREATE TABLE {p}lanes (
    lane             integer PRIMARY KEY,
    queue            integer NOT NULL REFERENCES {p}queues (queue),
    handler          text NOT NULL,
    version          bigint NOT NULL CHECK (version BETWEEN 0 AND 4294967295),
    unroutable_since bigint,
    unroutable_until bigint,
    UNIQUE (queue, handler, version)
);

-- A push takes one number and counts its jobs from it * 2^20, so that the order of `seq` is that of the pushes.
CREATE SEQUENCE {p}pushes;
CREATE SEQUENCE {p}claim_numbers;

-- `shelf` says where a claim finds the job: 1 ready, 2 ready but to be claimed alone, 3 lost before, 4 on_failure owed; nothing
-- if it cannot be claimed now. Times in ms. Texts of people are UTF-8 in `bytea`, which unlike `text` holds any character.
-- `limit_key` and `batch` are kept for later.
CREATE TABLE {p}jobs (
    id             uuid NOT NULL,
    seq            bigint NOT NULL,
    run_at         bigint NOT NULL,
    enqueued_at    bigint NOT NULL,
    token          bigint,
    lane           integer NOT NULL,
    state          smallint NOT NULL,
    shelf          smallint,
    priority       smallint NOT NULL CHECK (priority BETWEEN 0 AND 255),
    on_failure     boolean NOT NULL,
    owes           boolean NOT NULL DEFAULT false,
    suspect        boolean NOT NULL DEFAULT false,
    started        boolean NOT NULL DEFAULT false,
    attempt        bigint NOT NULL DEFAULT 0 CHECK (attempt BETWEEN 0 AND 4294967295),
    max_attempts   bigint NOT NULL CHECK (max_attempts BETWEEN 0 AND 4294967295),
    lost_count     integer NOT NULL DEFAULT 0 CHECK (lost_count >= 0),
    callback_lost  integer NOT NULL DEFAULT 0 CHECK (callback_lost >= 0),
    scheduled_at   bigint,
    available_at   bigint,
    running_at     bigint,
    retryable_at   bigint,
    completed_at   bigint,
    dead_at        bigint,
    cancelled_at   bigint,
    quarantined_at bigint,
    ended_at       bigint,
    unique_key     text,
    unique_ttl     bigint,
    unique_start   boolean,
    cancel         bytea,
    reason         bytea,
    progress       bytea,
    errors         bytea[],
    result         bytea,
    limit_key      text,
    batch          uuid,
    meta           bytea NOT NULL,
    payload        bytea NOT NULL,
    CONSTRAINT {x}jobs_id PRIMARY KEY (id)
) WITH (
    fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX {x}jobs_ready ON {p}jobs (lane, priority, run_at, seq) WHERE shelf = 1;
CREATE INDEX {x}jobs_special ON {p}jobs (shelf, lane, priority, run_at, seq) WHERE shelf > 1;
CREATE INDEX {x}jobs_due ON {p}jobs (run_at, lane, state) WHERE state IN (0, 3);
CREATE INDEX {x}jobs_ended ON {p}jobs (state, ended_at, lane) WHERE ended_at IS NOT NULL;

-- One row per claim: a job's token is claim * 4096 + its place in `ids`, from 0. `leases` is there once only some of its jobs
-- were extended; `lease_until` is then the first that ends. `remaining`
-- is at least how many it still holds: what a transaction of the application's settled stays counted until the lease ends. `call` finds the claim whose answer never arrived.
CREATE TABLE {p}claims (
    claim       bigint PRIMARY KEY,
    call        bigint NOT NULL,
    worker      uuid NOT NULL,
    lease_until bigint NOT NULL,
    remaining   integer NOT NULL,
    ids         uuid[] NOT NULL,
    leases      bigint[]
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);

CREATE TABLE {p}locks (
    key        text PRIMARY KEY,
    job        uuid NOT NULL,
    expires_at bigint
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- Ids that stay taken without a record.
CREATE TABLE {p}taken (id uuid PRIMARY KEY, until bigint NOT NULL);
CREATE INDEX {x}taken_until ON {p}taken (until);

-- Settling calls of the last minute, with the tokens that were no longer current: for a client that never heard the answer.
CREATE TABLE {p}settled (call bigint PRIMARY KEY, at bigint NOT NULL, lost bigint[]) WITH (
    autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000
);
CREATE INDEX {x}settled_at ON {p}settled (at);

CREATE TABLE {p}workers (
    worker    uuid PRIMARY KEY,
    info      text NOT NULL,
    last_beat bigint NOT NULL,
    live_till bigint NOT NULL
) WITH (fillfactor = 50);

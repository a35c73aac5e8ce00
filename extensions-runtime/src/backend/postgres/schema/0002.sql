-- Storing and claiming. The planner's settings stand with the functions, so that a plan never depends on statistics: those are
-- missing or wrong right after a large push, and a claim must not read the table then.

-- Queues and lanes by name, made if need be. One at a time, so that whoever sees a number also sees all smaller ones.
CREATE FUNCTION {p}make_lanes(queue_names text[], handlers text[], versions bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE {p}lanes IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO {p}queues (queue, name)
        SELECT (SELECT coalesce(max(q.queue), 0) FROM {p}queues q) + row_number() OVER (ORDER BY n.name), n.name
        FROM (SELECT DISTINCT name FROM unnest(queue_names) name) n
        WHERE NOT EXISTS (SELECT 1 FROM {p}queues q WHERE q.name = n.name);
    INSERT INTO {p}lanes (lane, queue, handler, version)
        SELECT (SELECT coalesce(max(l.lane), 0) FROM {p}lanes l) + row_number() OVER (), n.queue, n.handler, n.version
        FROM (
            SELECT DISTINCT q.queue, w.handler, w.version
            FROM unnest(queue_names, handlers, versions) AS w (name, handler, version)
            JOIN {p}queues q ON q.name = w.name
            WHERE w.handler IS NOT NULL
        ) n
        WHERE NOT EXISTS (
            SELECT 1 FROM {p}lanes l WHERE l.queue = n.queue AND l.handler = n.handler AND l.version = n.version
        );
END $$;

-- Takes a unique key for a job, or answers with the job that holds it. A key that is held is not locked, so that its job can end
-- while a transaction stays open that asked for the key.
CREATE FUNCTION {p}take_lock(wanted text, taker uuid, expires bigint, now_ms bigint) RETURNS uuid
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    holder uuid;
BEGIN
    LOOP
        SELECT l.job INTO holder FROM {p}locks l
            WHERE l.key = wanted AND l.job <> taker AND (l.expires_at IS NULL OR l.expires_at > now_ms);
        IF FOUND THEN
            RETURN holder;
        END IF;
        INSERT INTO {p}locks AS l (key, job, expires_at) VALUES (wanted, taker, expires) ON CONFLICT (key) DO NOTHING;
        IF FOUND THEN
            RETURN NULL;
        END IF;
        UPDATE {p}locks l SET job = taker, expires_at = expires
            WHERE l.key = wanted AND (l.job = taker OR l.expires_at <= now_ms);
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END LOOP;
END $$;

-- Stores jobs; for each the job that holds its key if that kept it out. `special` says whether any has a key or an id to be
-- taken. Keys, then taken ids, then jobs are touched in their order, so that pushes of the same ones wait and never deadlock.
CREATE FUNCTION {p}push(
    ids uuid[], lanes integer[], priorities smallint[], delays bigint[], max_attempts bigint[], on_failures boolean[],
    metas bytea[], payloads bytea[], special boolean, keys text[], ttls bigint[], starts boolean[], onces bigint[],
    touched integer[]
) RETURNS uuid[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    now_ms constant bigint := {now};
    base constant bigint := nextval('{p}pushes') << 20;
    wanted uuid[] := ids;
    holders uuid[];
    holder uuid;
    want record;
BEGIN
    IF special THEN
        FOR want IN
            SELECT w.id, w.key, w.ttl, w.ord FROM unnest(ids, keys, ttls) WITH ORDINALITY AS w (id, key, ttl, ord)
            WHERE w.key IS NOT NULL ORDER BY w.key, w.ord
        LOOP
            CONTINUE WHEN EXISTS (SELECT 1 FROM {p}jobs j WHERE j.id = want.id)
                OR EXISTS (SELECT 1 FROM {p}taken t WHERE t.id = want.id AND t.until > now_ms);
            holder := {p}take_lock(want.key, want.id, now_ms + want.ttl, now_ms);
            IF holder IS NOT NULL THEN
                wanted[want.ord] := NULL;
                holders := coalesce(holders, array_fill(NULL::uuid, ARRAY[cardinality(ids)]));
                holders[want.ord] := holder;
            END IF;
        END LOOP;
        FOR want IN
            SELECT w.id, w.once, w.ord FROM unnest(wanted, onces) WITH ORDINALITY AS w (id, once, ord)
            WHERE w.id IS NOT NULL AND w.once IS NOT NULL ORDER BY w.id, w.ord
        LOOP
            CONTINUE WHEN EXISTS (SELECT 1 FROM {p}jobs j WHERE j.id = want.id);
            INSERT INTO {p}taken AS t (id, until) VALUES (want.id, now_ms + want.once)
                ON CONFLICT (id) DO UPDATE SET until = excluded.until WHERE t.until <= now_ms;
            IF NOT FOUND THEN
                wanted[want.ord] := NULL;
            END IF;
        END LOOP;
    END IF;
    INSERT INTO {p}jobs (
        id, seq, lane, state, shelf, priority, run_at, max_attempts, on_failure, enqueued_at, scheduled_at, available_at,
        unique_key, unique_ttl, unique_start, meta, payload
    )
    SELECT
        w.id, base + w.ord, w.lane, CASE WHEN w.delay > 0 THEN 0 ELSE 1 END, CASE WHEN w.delay > 0 THEN NULL ELSE 1 END,
        w.priority, now_ms + w.delay, w.max_attempts, w.on_failure, now_ms, CASE WHEN w.delay > 0 THEN now_ms END,
        CASE WHEN w.delay > 0 THEN NULL ELSE now_ms END, w.key, w.ttl, w.start, w.meta, w.payload
    FROM unnest(wanted, lanes, priorities, delays, max_attempts, on_failures, metas, payloads, keys, ttls, starts, onces)
        WITH ORDINALITY
        AS w (id, lane, priority, delay, max_attempts, on_failure, meta, payload, key, ttl, start, once, ord)
    WHERE w.id IS NOT NULL
        AND (w.once IS NOT NULL OR NOT EXISTS (SELECT 1 FROM {p}taken t WHERE t.id = w.id AND t.until > now_ms))
    ORDER BY w.id, w.ord
    ON CONFLICT (id) DO NOTHING;
    PERFORM pg_notify('{c}', q::text) FROM unnest(touched) q;
    RETURN holders;
END $$;

-- Makes due jobs available and wakes their queues; how many.
CREATE FUNCTION {p}promote(now_ms bigint, most integer) RETURNS bigint
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    promoted bigint;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT j.ctid AS place FROM {p}jobs j WHERE j.state IN (0, 3) AND j.run_at <= now_ms
        ORDER BY j.run_at LIMIT most FOR UPDATE SKIP LOCKED
    ), made AS (
        UPDATE {p}jobs j SET state = 1, available_at = now_ms,
            shelf = CASE WHEN j.lost_count > 0 THEN 3 WHEN j.suspect THEN 2 ELSE 1 END
        FROM due WHERE j.ctid = due.place RETURNING j.lane
    ), told AS (
        SELECT pg_notify('{c}', q.queue::text) FROM (
            SELECT DISTINCT l.queue FROM {p}lanes l WHERE l.lane IN (SELECT m.lane FROM made m)
        ) q
    )
    SELECT (SELECT count(*) FROM made) + 0 * (SELECT count(*) FROM told) INTO promoted;
    RETURN promoted;
END $$;

-- Claims jobs. The first row has no id: `lane` 1 says that there are lanes beyond `newest`, which the client has to read first;
-- `token` is the time of the next due job. `lanes` holds the lanes of each queue, one queue after the other, up to its end.
CREATE FUNCTION {p}claim(
    taker uuid, which bigint, queues integer[], lanes integer[], ends integer[], most integer, lease bigint, lost integer,
    newest integer
) RETURNS TABLE (
    id uuid, token bigint, lane integer, owes boolean, priority smallint, attempt bigint, max_attempts bigint,
    lost_count integer, enqueued_at bigint, age bigint, on_failure boolean, error bytea, meta bytea, payload bytea
)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_material = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    now_ms constant bigint := {now};
    picks tid[] := '{}';
    more tid[];
    mine integer[];
    heads integer[];
    first_due bigint;
    last_due bigint;
    looked bigint;
    next_due bigint;
    from_lane integer := 1;
    special boolean;
    full_up boolean := false;
    job record;
    number bigint;
BEGIN
    IF coalesce((SELECT max(l.lane) FROM {p}lanes l), 0) > newest THEN
        RETURN QUERY SELECT NULL::uuid, NULL::bigint, 1, NULL::boolean, NULL::smallint, NULL::bigint, NULL::bigint,
            NULL::integer, NULL::bigint, NULL::bigint, NULL::boolean, NULL::bytea, NULL::bytea, NULL::bytea;
        RETURN;
    END IF;
    SELECT j.run_at INTO first_due FROM {p}jobs j WHERE j.state IN (0, 3) ORDER BY j.run_at LIMIT 1;
    IF first_due <= now_ms THEN
        PERFORM {p}promote(now_ms, 2000);
    END IF;
    IF first_due IS NOT NULL THEN
        SELECT min(d.run_at) FILTER (WHERE l.queue = ANY (queues)), max(d.run_at), count(*)
            INTO next_due, last_due, looked
            FROM (
                SELECT j.run_at, j.lane FROM {p}jobs j WHERE j.state IN (0, 3) ORDER BY j.run_at LIMIT 64
            ) d JOIN {p}lanes l ON l.lane = d.lane;
        IF next_due IS NULL AND looked = 64 THEN
            next_due := last_due;
        END IF;
    END IF;
    RETURN QUERY SELECT NULL::uuid, next_due - now_ms, 0, NULL::boolean, NULL::smallint, NULL::bigint, NULL::bigint,
        NULL::integer, NULL::bigint, NULL::bigint, NULL::boolean, NULL::bytea, NULL::bytea, NULL::bytea;
    IF most <= 0 THEN
        RETURN;
    END IF;
    special := EXISTS (SELECT 1 FROM {p}jobs j WHERE j.shelf > 1);

    FOR round IN CASE WHEN special THEN 1 ELSE 2 END .. 2 LOOP
        from_lane := 1;
        FOR i IN 1 .. cardinality(queues) LOOP
            mine := lanes[from_lane : ends[i]];
            from_lane := ends[i] + 1;
            CONTINUE WHEN cardinality(mine) = 0
                OR EXISTS (SELECT 1 FROM {p}queues q WHERE q.queue = queues[i] AND q.paused);
            IF round = 1 THEN
                FOR job IN
                    SELECT x.place, x.suspect FROM unnest(mine) AS w (lane) CROSS JOIN LATERAL (
                        SELECT j.ctid AS place, j.suspect, j.priority, j.run_at, j.seq FROM {p}jobs j
                        WHERE j.shelf > 1 AND j.shelf = 4 AND j.lane = w.lane AND (lost > 0 OR NOT j.suspect)
                        ORDER BY j.priority, j.run_at, j.seq LIMIT most FOR UPDATE SKIP LOCKED
                    ) x ORDER BY x.priority, x.run_at, x.seq
                LOOP
                    IF job.suspect AND cardinality(picks) = 0 THEN
                        picks := picks || job.place;
                    END IF;
                    full_up := job.suspect;
                    EXIT WHEN full_up;
                    picks := picks || job.place;
                    full_up := cardinality(picks) >= most;
                    EXIT WHEN full_up;
                END LOOP;
            ELSIF special AND lost > 0 THEN
                FOR job IN
                    SELECT x.place, x.shelf FROM unnest(mine) AS w (lane) CROSS JOIN LATERAL (
                        SELECT * FROM (
                            SELECT j.ctid AS place, j.shelf, j.priority, j.run_at, j.seq FROM {p}jobs j
                            WHERE j.shelf = 1 AND j.lane = w.lane
                            ORDER BY j.priority, j.run_at, j.seq LIMIT most FOR UPDATE SKIP LOCKED
                        ) ready UNION ALL SELECT * FROM (
                            SELECT j.ctid AS place, j.shelf, j.priority, j.run_at, j.seq FROM {p}jobs j
                            WHERE j.shelf > 1 AND j.shelf = 2 AND j.lane = w.lane
                            ORDER BY j.priority, j.run_at, j.seq LIMIT 1 FOR UPDATE SKIP LOCKED
                        ) alone UNION ALL SELECT * FROM (
                            SELECT j.ctid AS place, j.shelf, j.priority, j.run_at, j.seq FROM {p}jobs j
                            WHERE j.shelf > 1 AND j.shelf = 3 AND j.lane = w.lane AND lost > 1
                            ORDER BY j.priority, j.run_at, j.seq LIMIT 1 FOR UPDATE SKIP LOCKED
                        ) lost_before
                    ) x ORDER BY x.priority, x.run_at, x.seq
                LOOP
                    IF job.shelf > 1 AND cardinality(picks) = 0 THEN
                        picks := picks || job.place;
                    END IF;
                    full_up := job.shelf > 1;
                    EXIT WHEN full_up;
                    picks := picks || job.place;
                    full_up := cardinality(picks) >= most;
                    EXIT WHEN full_up;
                END LOOP;
            ELSIF cardinality(mine) = 1 THEN
                SELECT array_agg(x.place ORDER BY x.priority, x.run_at, x.seq) INTO more FROM (
                    SELECT j.ctid AS place, j.priority, j.run_at, j.seq FROM {p}jobs j
                    WHERE j.shelf = 1 AND j.lane = mine[1]
                    ORDER BY j.priority, j.run_at, j.seq LIMIT most - cardinality(picks) FOR UPDATE SKIP LOCKED
                ) x;
                picks := picks || coalesce(more, '{}');
                full_up := cardinality(picks) >= most;
            ELSE
                -- Only the lanes with the first heads can give one of the first jobs.
                SELECT array_agg(h.lane) INTO heads FROM (
                    SELECT x.lane FROM unnest(mine) AS w (lane) CROSS JOIN LATERAL (
                        SELECT j.lane, j.priority, j.run_at, j.seq FROM {p}jobs j
                        WHERE j.shelf = 1 AND j.lane = w.lane
                        ORDER BY j.priority, j.run_at, j.seq LIMIT 1
                    ) x ORDER BY x.priority, x.run_at, x.seq LIMIT most - cardinality(picks)
                ) h;
                SELECT array_agg(x.place ORDER BY x.priority, x.run_at, x.seq) INTO more FROM (
                    SELECT f.lane, count(*) AS jobs FROM (
                        SELECT x.lane FROM unnest(heads) AS w (lane) CROSS JOIN LATERAL (
                            SELECT j.lane, j.priority, j.run_at, j.seq FROM {p}jobs j
                            WHERE j.shelf = 1 AND j.lane = w.lane
                            ORDER BY j.priority, j.run_at, j.seq LIMIT most - cardinality(picks)
                        ) x ORDER BY x.priority, x.run_at, x.seq LIMIT most - cardinality(picks)
                    ) f GROUP BY f.lane
                ) share CROSS JOIN LATERAL (
                    SELECT j.ctid AS place, j.priority, j.run_at, j.seq FROM {p}jobs j
                    WHERE j.shelf = 1 AND j.lane = share.lane
                    ORDER BY j.priority, j.run_at, j.seq LIMIT share.jobs FOR UPDATE SKIP LOCKED
                ) x;
                picks := picks || coalesce(more, '{}');
                full_up := cardinality(picks) >= most;
            END IF;
            EXIT WHEN full_up;
        END LOOP;
        EXIT WHEN full_up;
    END LOOP;

    IF cardinality(picks) = 0 THEN
        RETURN;
    END IF;
    number := nextval('{p}claim_numbers');
    RETURN QUERY WITH took AS (
        UPDATE {p}jobs j SET
            state = CASE WHEN j.owes THEN j.state ELSE 2 END,
            shelf = NULL,
            attempt = CASE WHEN j.owes THEN j.attempt ELSE j.attempt + 1 END,
            started = CASE WHEN j.owes THEN j.started ELSE j.suspect END,
            running_at = CASE WHEN j.owes THEN j.running_at ELSE now_ms END,
            progress = CASE WHEN j.owes THEN j.progress END,
            token = number * 4096 + p.ord - 1
        FROM unnest(picks) WITH ORDINALITY AS p (place, ord)
        WHERE j.ctid = p.place
        RETURNING j.*
    ), noted AS (
        INSERT INTO {p}claims (claim, call, worker, lease_until, remaining, ids)
        SELECT number, which, taker, now_ms + lease, count(*), array_agg(t.id ORDER BY t.token) FROM took t
    ), freed AS (
        DELETE FROM {p}locks l WHERE l.ctid = ANY (ARRAY(
            SELECT o.ctid FROM took t JOIN {p}locks o ON o.key = t.unique_key AND o.job = t.id
            WHERE t.unique_start FOR UPDATE OF o SKIP LOCKED
        ))
    )
    SELECT t.id, t.token, t.lane, t.owes, t.priority, t.attempt, t.max_attempts, t.lost_count, t.enqueued_at,
        now_ms - t.enqueued_at, t.on_failure, CASE WHEN t.owes THEN t.errors[cardinality(t.errors)] END, t.meta, t.payload
    FROM took t;
END $$;

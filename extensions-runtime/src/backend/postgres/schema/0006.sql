-- A claim stores each job anew and so adds to the index of ids: pages that are half empty take that in without being split or searched
-- for dead entries. The ids of a claim are read seldom and not worth compressing.
ALTER INDEX {p}jobs_id SET (fillfactor = 50);
ALTER TABLE {p}claims ALTER COLUMN ids SET STORAGE EXTERNAL;

-- Reads through indexes look dear enough to be compiled, which takes longer than the upkeep itself.
ALTER FUNCTION {p}maintain() SET jit = off;

-- Claims jobs. The first row has no id: `lane` 1 says that there are lanes beyond `newest`, which the client has to read first;
-- `token` is the time of the next due job. `lanes` holds the lanes of each queue, one queue after the other, up to its end.
CREATE OR REPLACE FUNCTION {p}claim(
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
    picked uuid[];
    some_start boolean;
BEGIN
    IF coalesce((SELECT max(l.lane) FROM {p}lanes l), 0) > newest THEN
        lane := 1;
        RETURN NEXT;
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
    token := next_due - now_ms;
    lane := 0;
    RETURN NEXT;
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
    -- A lone job for a free slot starts at once, so a crash of the server that undoes its claim hits a job that runs, and leaves it
    -- available: that need not wait for the disk. Many jobs may lie at the worker for a while, and the start of a job that was lost
    -- before is to be kept. A number that a crash undoes must not come again, or its owner could settle for the next one: hence the
    -- time in it.
    IF cardinality(picks) = 1 AND lost > 0 AND NOT special THEN
        SET LOCAL synchronous_commit = off;
    END IF;
    number := {now} * 256 + nextval('{p}claim_numbers') % 256;
    SELECT array_agg(j.id ORDER BY p.ord), bool_or(j.unique_start) INTO picked, some_start
        FROM unnest(picks) WITH ORDINALITY AS p (place, ord) JOIN {p}jobs j ON j.ctid = p.place;
    INSERT INTO {p}claims (claim, call, worker, lease_until, remaining, ids)
        VALUES (number, which, taker, now_ms + lease, cardinality(picked), picked);
    IF some_start THEN
        DELETE FROM {p}locks l WHERE l.ctid = ANY (ARRAY(
            SELECT o.ctid FROM unnest(picked) AS p (id) JOIN {p}jobs j ON j.id = p.id
            JOIN {p}locks o ON o.key = j.unique_key AND o.job = j.id
            WHERE j.unique_start FOR UPDATE OF o SKIP LOCKED
        ));
    END IF;
    RETURN QUERY UPDATE {p}jobs j SET
            state = CASE WHEN j.owes THEN j.state ELSE 2 END,
            shelf = NULL,
            attempt = CASE WHEN j.owes THEN j.attempt ELSE j.attempt + 1 END,
            started = CASE WHEN j.owes THEN j.started ELSE j.suspect END,
            running_at = CASE WHEN j.owes THEN j.running_at ELSE now_ms END,
            progress = CASE WHEN j.owes THEN j.progress END,
            token = number * 4096 + p.ord - 1
        FROM unnest(picks) WITH ORDINALITY AS p (place, ord)
        WHERE j.ctid = p.place
        RETURNING j.id, j.token, j.lane, j.owes, j.priority, j.attempt, j.max_attempts, j.lost_count, j.enqueued_at,
            now_ms - j.enqueued_at, j.on_failure, CASE WHEN j.owes THEN j.errors[cardinality(j.errors)] END, j.meta,
            j.payload;
END $$;

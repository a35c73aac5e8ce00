-- Stores jobs; for each the job that holds its key if that kept it out. `special` says whether any has a key or an id to be
-- taken. Keys, then taken ids, then jobs are touched in their order, so that pushes of the same ones wait and never deadlock.
CREATE OR REPLACE FUNCTION {p}push(
    ids uuid[], lanes integer[], priorities smallint[], delays bigint[], max_attempts bigint[], on_failures boolean[],
    metas bytea[], payloads bytea[], special boolean, keys text[], ttls bigint[], starts boolean[], onces bigint[],
    touched integer[]
) RETURNS uuid[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    now_ms bigint := {now};
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
        -- A key or an id may have been waited for, and be free only now: the job begins after the one that had it has ended.
        now_ms := {now};
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

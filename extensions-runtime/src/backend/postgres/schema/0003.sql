-- Ending and extending claims, upkeep, the operator's changes.

-- An error of an attempt as it is kept: the time is the server's, the rest comes from the client.
CREATE FUNCTION {p}add_error(errors bytea[], error bytea, now_ms bigint) RETURNS bytea[]
LANGUAGE plpgsql AS $$
DECLARE
    added constant bytea[] := array_append(errors, convert_to('{"at":' || now_ms || ',', 'UTF8') || error);
BEGIN
    RETURN CASE WHEN cardinality(added) > 20 THEN added[cardinality(added) - 19 : cardinality(added)] ELSE added END;
END $$;

-- Jobs left their claims, one element for each; a claim without jobs goes.
CREATE FUNCTION {p}leave_claims(left_claims bigint[]) RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    ended bigint;
BEGIN
    DELETE FROM {p}claims c USING (
        SELECT l.claim, count(*) AS jobs FROM unnest(left_claims) AS l (claim) GROUP BY l.claim ORDER BY l.claim
    ) l WHERE c.claim = l.claim AND c.remaining <= l.jobs;
    GET DIAGNOSTICS ended = ROW_COUNT;
    IF ended = 1 AND left_claims[1] = ALL (left_claims) THEN
        RETURN;
    END IF;
    UPDATE {p}claims c SET remaining = c.remaining - l.jobs FROM (
        SELECT l.claim, count(*) AS jobs FROM unnest(left_claims) AS l (claim) GROUP BY l.claim ORDER BY l.claim
    ) l WHERE c.claim = l.claim;
    DELETE FROM {p}claims c WHERE c.claim = ANY (left_claims) AND c.remaining <= 0;
END $$;

-- Lets go of a key. Where it is locked its time is over, and another job is just taking it.
CREATE FUNCTION {p}unlock(held_key text, holder uuid) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF held_key IS NOT NULL THEN
        DELETE FROM {p}locks l WHERE l.ctid = ANY (ARRAY(
            SELECT o.ctid FROM {p}locks o WHERE o.key = held_key AND o.job = holder FOR UPDATE SKIP LOCKED
        ));
    END IF;
END $$;

CREATE FUNCTION {p}wake(changed integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{c}', l.queue::text) FROM {p}lanes l WHERE l.lane = changed;
END $$;

-- Ends one claim the long way. Kinds: 0 complete, 1 complete and keep, 2 retry, 3 snooze, 4 release, 5 cancel, 6 cancel and keep,
-- 7 bury, 8 bury and owe on_failure, 9 callback done. Answers 0 for nothing done, 1 for the claim's end, 2 for the job's alone.
CREATE FUNCTION {p}settle_one(
    job uuid, lease bigint, kind smallint, delay bigint, error bytea, why bytea, outcome bytea, now_ms bigint
) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    held record;
BEGIN
    SELECT j.owes, j.state, j.lane, j.cancel, j.unique_key, j.callback_lost, j.lost_count, j.suspect INTO held
        FROM {p}jobs j WHERE j.id = job AND j.token = lease FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    IF held.owes THEN
        IF kind = 9 THEN
            UPDATE {p}jobs j SET owes = false, shelf = NULL, token = NULL WHERE j.id = job;
        ELSIF kind = 4 THEN
            UPDATE {p}jobs j SET shelf = 4, token = NULL, suspect = j.callback_lost > 0 WHERE j.id = job;
            PERFORM {p}wake(held.lane);
        ELSE
            RETURN 0;
        END IF;
        RETURN 1;
    END IF;
    IF held.state <> 2 OR kind = 9 THEN
        RETURN 0;
    END IF;
    IF kind IN (2, 7, 8) THEN
        UPDATE {p}jobs j SET errors = {p}add_error(j.errors, error, now_ms) WHERE j.id = job;
    END IF;
    IF kind IN (2, 3, 4) AND held.cancel IS NOT NULL THEN
        kind := 6;
    END IF;
    IF kind IN (0, 5) THEN
        DELETE FROM {p}jobs j WHERE j.id = job;
    ELSIF kind = 1 THEN
        UPDATE {p}jobs j SET state = 4, token = NULL, completed_at = now_ms, ended_at = now_ms, result = outcome
            WHERE j.id = job;
    ELSIF kind = 6 THEN
        UPDATE {p}jobs j SET state = 6, token = NULL, cancelled_at = now_ms, ended_at = now_ms,
            reason = coalesce(j.cancel, why) WHERE j.id = job;
    ELSIF kind = 7 THEN
        UPDATE {p}jobs j SET state = 5, token = NULL, dead_at = now_ms, ended_at = now_ms WHERE j.id = job;
    ELSIF kind = 8 THEN
        UPDATE {p}jobs j SET state = 5, owes = true, dead_at = now_ms, ended_at = now_ms WHERE j.id = job;
    ELSIF kind = 2 THEN
        UPDATE {p}jobs j SET state = 3, token = NULL, run_at = now_ms + delay, retryable_at = now_ms WHERE j.id = job;
    ELSIF kind = 3 THEN
        UPDATE {p}jobs j SET state = 0, token = NULL, run_at = now_ms + delay, scheduled_at = now_ms,
            attempt = greatest(j.attempt - 1, 0) WHERE j.id = job;
    ELSE
        UPDATE {p}jobs j SET state = 1, token = NULL, available_at = now_ms, attempt = greatest(j.attempt - 1, 0),
            shelf = CASE WHEN j.lost_count > 0 THEN 3 WHEN j.suspect THEN 2 ELSE 1 END WHERE j.id = job;
    END IF;
    IF kind IN (2, 3, 4) THEN
        PERFORM {p}wake(held.lane);
    ELSE
        PERFORM {p}unlock(held.unique_key, job);
    END IF;
    RETURN CASE WHEN kind = 8 THEN 2 ELSE 1 END;
END $$;

-- Ends claims: completed jobs to be deleted, completed jobs to be kept, and all others one by one. The answer has the tokens of
-- those that were not current; where a token may stand twice, as for a job buried and its callback done, in `others`, it is
-- the place in `others`, counted from -1 downwards. Without a number the call is part of a transaction of the application's: that
-- leaves the rows of the claims alone, or the other jobs under them could not be extended or settled until it ends.
CREATE FUNCTION {p}settle(
    which bigint, drop_ids uuid[], drop_tokens bigint[], keep_ids uuid[], keep_tokens bigint[], keep_results bytea[],
    ids uuid[], tokens bigint[], kinds smallint[], delays bigint[], errors bytea[], reasons bytea[]
) RETURNS bigint[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    now_ms constant bigint := {now};
    done bigint[];
    left_claims bigint[] := '{}';
    missed bigint[];
    one record;
    ended integer;
BEGIN
    IF cardinality(drop_ids) > 0 THEN
        WITH gone AS (
            DELETE FROM {p}jobs j USING unnest(drop_ids, drop_tokens) AS w (id, token)
            WHERE j.id = w.id AND j.token = w.token AND j.state = 2 AND j.unique_key IS NULL
            RETURNING j.token
        )
        SELECT array_agg(g.token), array_agg(g.token / 4096) INTO done, left_claims FROM gone g;
        left_claims := coalesce(left_claims, '{}');
        IF cardinality(left_claims) < cardinality(drop_ids) THEN
            FOR one IN SELECT w.id, w.token FROM unnest(drop_ids, drop_tokens) AS w (id, token)
                WHERE done IS NULL OR w.token <> ALL (done)
            LOOP
                IF {p}settle_one(one.id, one.token, 0::smallint, 0, NULL, NULL, NULL, now_ms) = 1 THEN
                    left_claims := left_claims || one.token / 4096;
                ELSE
                    missed := array_append(missed, one.token);
                END IF;
            END LOOP;
        END IF;
    END IF;
    IF cardinality(keep_ids) > 0 THEN
        WITH kept AS (
            UPDATE {p}jobs j SET state = 4, token = NULL, completed_at = now_ms, ended_at = now_ms, result = w.result
            FROM unnest(keep_ids, keep_tokens, keep_results) AS w (id, token, result)
            WHERE j.id = w.id AND j.token = w.token AND j.state = 2 AND j.unique_key IS NULL
            RETURNING w.token
        )
        SELECT array_agg(k.token) INTO done FROM kept k;
        left_claims := left_claims || ARRAY(SELECT d / 4096 FROM unnest(done) d);
        IF done IS NULL OR cardinality(done) < cardinality(keep_ids) THEN
            FOR one IN SELECT w.id, w.token, w.result FROM unnest(keep_ids, keep_tokens, keep_results) AS w (id, token, result)
                WHERE done IS NULL OR w.token <> ALL (done)
            LOOP
                IF {p}settle_one(one.id, one.token, 1::smallint, 0, NULL, NULL, one.result, now_ms) = 1 THEN
                    left_claims := left_claims || one.token / 4096;
                ELSE
                    missed := array_append(missed, one.token);
                END IF;
            END LOOP;
        END IF;
    END IF;
    IF cardinality(ids) > 0 THEN
        FOR one IN
            SELECT * FROM unnest(ids, tokens, kinds, delays, errors, reasons) WITH ORDINALITY
                AS w (id, token, kind, delay, error, reason, ord) ORDER BY w.ord
        LOOP
            ended := {p}settle_one(one.id, one.token, one.kind, one.delay, one.error, one.reason, NULL, now_ms);
            IF ended = 1 THEN
                left_claims := left_claims || one.token / 4096;
            ELSIF ended = 0 THEN
                missed := array_append(missed, -one.ord);
            END IF;
        END LOOP;
    END IF;
    IF which IS NOT NULL THEN
        IF cardinality(left_claims) > 0 THEN
            PERFORM {p}leave_claims(left_claims);
        END IF;
        INSERT INTO {p}settled (call, at, lost) VALUES (which, now_ms, missed);
    END IF;
    RETURN missed;
END $$;

-- Gives back what is still held under a claim, but for what a transaction of the application's is settling.
CREATE FUNCTION {p}release_claim(given bigint) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    one record;
    now_ms constant bigint := {now};
    ended integer;
BEGIN
    FOR one IN
        SELECT j.id, j.token FROM {p}claims c CROSS JOIN LATERAL unnest(c.ids) WITH ORDINALITY AS w (id, ord)
        JOIN {p}jobs j ON j.id = w.id AND j.token = given * 4096 + w.ord - 1
        WHERE c.claim = given ORDER BY w.ord FOR UPDATE OF j SKIP LOCKED
    LOOP
        ended := {p}settle_one(one.id, one.token, 4::smallint, 0, NULL, NULL, NULL, now_ms);
    END LOOP;
    PERFORM {p}recount(ARRAY[given]);
END $$;

-- Gives back a claim whose answer did not arrive.
CREATE FUNCTION {p}release_call(which bigint) RETURNS void
LANGUAGE sql AS $$
    SELECT {p}release_claim(c.claim) FROM {p}claims c WHERE c.call = which
$$;

-- Says goodbye to a worker and gives back what it holds.
CREATE FUNCTION {p}leave(gone uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {p}workers w WHERE w.worker = gone;
    PERFORM {p}release_claim(c.claim) FROM {p}claims c WHERE c.worker = gone;
END $$;

-- Extends claims; for each 0 held, 1 cancellation asked for, 2 lost. A claim of which all is extended keeps one time for all.
CREATE FUNCTION {p}extend(ids uuid[], tokens bigint[], notes bytea[], lease bigint) RETURNS integer[]
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    until constant bigint := {now} + lease;
    answers integer[];
    held bigint[];
    part record;
BEGIN
    PERFORM 1 FROM {p}claims c
        WHERE c.claim IN (SELECT t / 4096 FROM unnest(tokens) t) ORDER BY c.claim FOR UPDATE;
    SELECT
        array_agg(CASE WHEN j.id IS NULL THEN 2 WHEN j.cancel IS NOT NULL THEN 1 ELSE 0 END ORDER BY w.ord),
        array_agg(j.token) FILTER (WHERE j.id IS NOT NULL)
        INTO answers, held
        FROM unnest(ids, tokens) WITH ORDINALITY AS w (id, token, ord)
        LEFT JOIN {p}jobs j ON j.id = w.id AND j.token = w.token;
    FOR part IN
        SELECT t / 4096 AS claim, array_agg(DISTINCT (t % 4096)::integer + 1) AS places FROM unnest(held) t GROUP BY 1 ORDER BY 1
    LOOP
        UPDATE {p}claims c SET lease_until = until, leases = NULL
            WHERE c.claim = part.claim AND c.remaining <= cardinality(part.places);
        CONTINUE WHEN FOUND;
        UPDATE {p}claims c SET lease_until = least(c.lease_until, until), leases = (
            SELECT array_agg(
                CASE WHEN place = ANY (part.places) THEN until ELSE coalesce(c.leases[place], c.lease_until) END ORDER BY place
            ) FROM generate_series(1, cardinality(c.ids)) place
        ) WHERE c.claim = part.claim;
    END LOOP;
    -- Jobs that a transaction is settling go without.
    UPDATE {p}jobs j SET progress = n.note FROM (
        SELECT o.ctid AS place, w.note FROM unnest(ids, tokens, notes) AS w (id, token, note)
        JOIN {p}jobs o ON o.id = w.id AND o.token = w.token
        WHERE w.note IS NOT NULL FOR UPDATE OF o SKIP LOCKED
    ) n WHERE j.ctid = n.place;
    RETURN answers;
END $$;

-- The jobs under these claims whose leases have ended. The caller has locked the claims.
CREATE FUNCTION {p}lost(given bigint[]) RETURNS TABLE (
    id uuid, worker uuid, attempt bigint, owes boolean, started boolean, lost_count integer, callback_lost integer,
    asked boolean, on_failure boolean
)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    now_ms constant bigint := {now};
BEGIN
    RETURN QUERY
        SELECT j.id, c.worker, j.attempt, j.owes, j.started, j.lost_count, j.callback_lost, j.cancel IS NOT NULL, j.on_failure
        FROM {p}claims c CROSS JOIN LATERAL unnest(c.ids) WITH ORDINALITY AS w (id, ord)
        JOIN {p}jobs j ON j.id = w.id AND j.token = c.claim * 4096 + w.ord - 1
        WHERE c.claim = ANY (given) AND coalesce(c.leases[w.ord], c.lease_until) <= now_ms
        FOR UPDATE OF j SKIP LOCKED;
END $$;

-- Ends the claims of lost jobs. Fates: 0 available again, 1 cancelled as asked, 2 quarantined, 3 callback owed again,
-- 4 callback dropped.
CREATE FUNCTION {p}lose(ids uuid[], fates smallint[], counts integer[], errors bytea[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    now_ms constant bigint := {now};
    one record;
    held record;
BEGIN
    FOR one IN SELECT * FROM unnest(ids, fates, counts, errors) AS w (id, fate, losses, error) LOOP
        SELECT j.lane, j.unique_key INTO held FROM {p}jobs j WHERE j.id = one.id;
        IF one.fate = 0 THEN
            UPDATE {p}jobs j SET state = 1, token = NULL, available_at = now_ms, attempt = greatest(j.attempt - 1, 0),
                suspect = true, lost_count = one.losses, shelf = CASE WHEN one.losses > 0 THEN 3 ELSE 2 END
                WHERE j.id = one.id;
        ELSIF one.fate = 1 THEN
            UPDATE {p}jobs j SET state = 6, token = NULL, cancelled_at = now_ms, ended_at = now_ms, reason = j.cancel,
                suspect = true, lost_count = one.losses WHERE j.id = one.id;
        ELSIF one.fate = 2 THEN
            UPDATE {p}jobs j SET state = 8, token = NULL, quarantined_at = now_ms, ended_at = now_ms, suspect = true,
                lost_count = one.losses, owes = j.on_failure, shelf = CASE WHEN j.on_failure THEN 4 END,
                errors = {p}add_error(j.errors, one.error, now_ms) WHERE j.id = one.id;
        ELSIF one.fate = 3 THEN
            UPDATE {p}jobs j SET shelf = 4, token = NULL, suspect = true, callback_lost = one.losses WHERE j.id = one.id;
        ELSE
            UPDATE {p}jobs j SET owes = false, shelf = NULL, token = NULL, callback_lost = one.losses,
                errors = {p}add_error(j.errors, one.error, now_ms) WHERE j.id = one.id;
        END IF;
        IF one.fate IN (1, 2) THEN
            PERFORM {p}unlock(held.unique_key, one.id);
        END IF;
        PERFORM {p}wake(held.lane);
    END LOOP;
END $$;

-- Counts anew what is still held under these claims.
CREATE FUNCTION {p}recount(given bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT c.claim, count(j.id) AS jobs, min(coalesce(c.leases[w.ord], c.lease_until)) FILTER (WHERE j.id IS NOT NULL) AS first
        FROM {p}claims c CROSS JOIN LATERAL unnest(c.ids) WITH ORDINALITY AS w (id, ord)
        LEFT JOIN {p}jobs j ON j.id = w.id AND j.token = c.claim * 4096 + w.ord - 1
        WHERE c.claim = ANY (given) GROUP BY c.claim
    LOOP
        IF one.jobs = 0 THEN
            DELETE FROM {p}claims c WHERE c.claim = one.claim;
        ELSE
            UPDATE {p}claims c SET remaining = one.jobs, lease_until = one.first WHERE c.claim = one.claim;
        END IF;
    END LOOP;
END $$;

-- Promotes and forgets what is over; how many were promoted, and whether a lease has ended.
CREATE FUNCTION {p}maintain(OUT promoted bigint, OUT ended boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    now_ms constant bigint := {now};
BEGIN
    promoted := {p}promote(now_ms, 2000);
    DELETE FROM {p}workers w WHERE w.live_till < now_ms - 3600000;
    DELETE FROM {p}taken t WHERE t.ctid = ANY (ARRAY(
        SELECT o.ctid FROM {p}taken o WHERE o.until <= now_ms ORDER BY o.until LIMIT 2000 FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM {p}settled s WHERE s.ctid = ANY (ARRAY(
        SELECT o.ctid FROM {p}settled o WHERE o.at <= now_ms - 60000 ORDER BY o.at LIMIT 10000 FOR UPDATE SKIP LOCKED
    ));
    ended := EXISTS (SELECT 1 FROM {p}claims c WHERE c.lease_until <= now_ms);
END $$;

-- Deletes jobs that ended at least so long ago (completed, cancelled, dead or quarantined), at most so many; how many.
CREATE FUNCTION {p}prune(completed bigint, cancelled bigint, dead bigint, most bigint) RETURNS bigint
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    now_ms constant bigint := {now};
    old record;
    pruned bigint := 0;
    gone bigint;
BEGIN
    FOR old IN SELECT * FROM (VALUES (4, completed), (6, cancelled), (5, dead), (8, dead)) AS v (state, kept) LOOP
        EXIT WHEN pruned >= most;
        DELETE FROM {p}jobs j WHERE j.ctid = ANY (ARRAY(
            SELECT o.ctid FROM {p}jobs o
            WHERE o.ended_at IS NOT NULL AND o.state = old.state AND o.ended_at <= now_ms - old.kept
                AND NOT o.owes AND o.token IS NULL
            ORDER BY o.ended_at LIMIT most - pruned FOR UPDATE SKIP LOCKED
        ));
        GET DIAGNOSTICS gone = ROW_COUNT;
        pruned := pruned + gone;
    END LOOP;
    RETURN pruned;
END $$;

-- The operator's changes. Outcomes: 0 done, 1 asked for, 2 not there, 3 wrong state, 4 key held by `other`.
CREATE FUNCTION {p}retry(asked uuid[]) RETURNS TABLE (outcome integer, state smallint, lane integer, other uuid)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    now_ms constant bigint := {now};
    want uuid;
    job record;
    holder uuid;
BEGIN
    FOREACH want IN ARRAY asked LOOP
        SELECT j.* INTO job FROM {p}jobs j WHERE j.id = want FOR UPDATE;
        IF NOT FOUND THEN
            RETURN QUERY SELECT 2, NULL::smallint, NULL::integer, NULL::uuid;
        ELSIF job.state IN (0, 3) THEN
            UPDATE {p}jobs j SET state = 1, run_at = now_ms, available_at = now_ms,
                shelf = CASE WHEN j.lost_count > 0 THEN 3 WHEN j.suspect THEN 2 ELSE 1 END WHERE j.id = want;
            PERFORM {p}wake(job.lane);
            RETURN QUERY SELECT 0, job.state, job.lane, NULL::uuid;
        ELSIF job.state IN (5, 6, 8) AND job.token IS NULL THEN
            holder := NULL;
            IF job.unique_key IS NOT NULL THEN
                holder := {p}take_lock(job.unique_key, want, now_ms + job.unique_ttl, now_ms);
            END IF;
            IF holder IS NOT NULL THEN
                RETURN QUERY SELECT 4, job.state, job.lane, holder;
                CONTINUE;
            END IF;
            UPDATE {p}jobs j SET state = 1, shelf = 1, run_at = now_ms, available_at = now_ms, attempt = 0, lost_count = 0,
                callback_lost = 0, suspect = false, started = false, owes = false, ended_at = NULL, cancel = NULL,
                reason = NULL, progress = NULL, result = NULL WHERE j.id = want;
            PERFORM {p}wake(job.lane);
            RETURN QUERY SELECT 0, job.state, job.lane, NULL::uuid;
        ELSE
            RETURN QUERY SELECT 3, job.state, job.lane, NULL::uuid;
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION {p}cancel(asked uuid[], why bytea) RETURNS TABLE (outcome integer, state smallint, lane integer, other uuid)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    now_ms constant bigint := {now};
    want uuid;
    job record;
BEGIN
    FOREACH want IN ARRAY asked LOOP
        SELECT j.* INTO job FROM {p}jobs j WHERE j.id = want FOR UPDATE;
        IF NOT FOUND THEN
            RETURN QUERY SELECT 2, NULL::smallint, NULL::integer, NULL::uuid;
        ELSIF job.state = 2 THEN
            UPDATE {p}jobs j SET cancel = why WHERE j.id = want;
            RETURN QUERY SELECT 1, job.state, job.lane, NULL::uuid;
        ELSIF job.state IN (0, 1, 3) THEN
            UPDATE {p}jobs j SET state = 6, shelf = NULL, cancelled_at = now_ms, ended_at = now_ms, reason = why
                WHERE j.id = want;
            PERFORM {p}unlock(job.unique_key, want);
            RETURN QUERY SELECT 0, job.state, job.lane, NULL::uuid;
        ELSE
            RETURN QUERY SELECT 3, job.state, job.lane, NULL::uuid;
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION {p}forget(asked uuid[]) RETURNS TABLE (outcome integer, state smallint, lane integer, other uuid)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    want uuid;
    job record;
BEGIN
    FOREACH want IN ARRAY asked LOOP
        SELECT j.state, j.lane, j.token INTO job FROM {p}jobs j WHERE j.id = want FOR UPDATE;
        IF NOT FOUND THEN
            RETURN QUERY SELECT 2, NULL::smallint, NULL::integer, NULL::uuid;
        ELSIF job.state IN (4, 5, 6, 8) AND job.token IS NULL THEN
            DELETE FROM {p}jobs j WHERE j.id = want;
            RETURN QUERY SELECT 0, job.state, job.lane, NULL::uuid;
        ELSE
            RETURN QUERY SELECT 3, job.state, job.lane, NULL::uuid;
        END IF;
    END LOOP;
END $$;

-- Stops and starts all claims from a queue.
CREATE FUNCTION {p}pause(wanted text, stop boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM {p}make_lanes(ARRAY[wanted], ARRAY[NULL]::text[], ARRAY[NULL]::bigint[]);
    UPDATE {p}queues q SET paused = stop WHERE q.name = wanted;
    IF NOT stop THEN
        PERFORM pg_notify('{c}', q.queue::text) FROM {p}queues q WHERE q.name = wanted;
    END IF;
END $$;

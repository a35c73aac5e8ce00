-- The server reads and compiles the checks of a table anew for each statement that writes to it, which took a third of the time of a
-- push of one job. What they ask for holds by the types of those who write.
DO $$
DECLARE
    found name;
BEGIN
    FOR found IN
        SELECT c.conname FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
         WHERE c.conrelid = '{p}jobs'::regclass AND c.contype = 'c'
           AND a.attname IN ('priority', 'attempt', 'max_attempts', 'lost_count', 'callback_lost')
    LOOP
        EXECUTE format('ALTER TABLE {p}jobs DROP CONSTRAINT %I', found);
    END LOOP;
END
$$;

-- A job that was pushed to run at once stands in its queue's common line, `line` being minus the queue's number: so the jobs of one fire lie
-- side by side in the index. A claim by a worker that cannot run it moves it to the line of its lane, where `line` is nothing.
ALTER TABLE extensions_jobs ADD COLUMN line INTEGER;
DROP INDEX extensions_jobs_shelf;
CREATE INDEX extensions_jobs_shelf ON extensions_jobs (shelf, coalesce(line, lane), priority, run_at, seq, lane) WHERE shelf IS NOT NULL;

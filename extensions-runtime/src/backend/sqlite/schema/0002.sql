-- `result` is what a completed job kept of its work. `limit_key` and `batch` are not used yet: no table of jobs has to be written anew
-- for them.
ALTER TABLE extensions_jobs ADD COLUMN result ANY;
ALTER TABLE extensions_jobs ADD COLUMN limit_key TEXT;
ALTER TABLE extensions_jobs ADD COLUMN batch BLOB;

-- Ids that stay taken although no record of the job may remain.
CREATE TABLE extensions_taken (
    id    BLOB PRIMARY KEY CHECK (length(id) = 16),
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX extensions_taken_until ON extensions_taken (until);

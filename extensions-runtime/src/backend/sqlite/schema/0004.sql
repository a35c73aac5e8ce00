-- Whether somebody may wait for the next change: a claim sets it, the change that it hears of clears it. The changes in between are not
-- numbered, so that a push writes no row but the job's.
ALTER TABLE extensions_queues ADD COLUMN awaited INTEGER NOT NULL DEFAULT 1;

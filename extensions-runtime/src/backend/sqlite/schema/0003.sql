-- What workers said was done, by the minute of the beat, for two days. Times in µs, but `minute` in ms.
CREATE TABLE extensions_history (
    minute    INTEGER NOT NULL,
    queue     TEXT NOT NULL,
    handler   TEXT NOT NULL,
    started   INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    retried   INTEGER NOT NULL,
    dead      INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    run_time  INTEGER NOT NULL,
    longest   INTEGER NOT NULL,
    wait      INTEGER NOT NULL,
    PRIMARY KEY (minute, queue, handler)
) STRICT, WITHOUT ROWID;

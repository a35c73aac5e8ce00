-- What workers said was done, by the minute of the beat, for two days. Times in µs, but `minute` in ms.
CREATE TABLE {p}history (
    minute    bigint NOT NULL,
    queue     text NOT NULL,
    handler   text NOT NULL,
    started   bigint NOT NULL,
    completed bigint NOT NULL,
    failed    bigint NOT NULL,
    retried   bigint NOT NULL,
    dead      bigint NOT NULL,
    cancelled bigint NOT NULL,
    run_time  bigint NOT NULL,
    longest   bigint NOT NULL,
    wait      bigint NOT NULL,
    CONSTRAINT {x}history_key PRIMARY KEY (minute, queue, handler)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000);

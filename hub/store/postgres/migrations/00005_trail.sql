-- +goose Up

-- A leaf of the log that retention has erased is empty: no other is. What it said stays in
-- a dead row until that is vacuumed: soon, and not only once a fifth of the log is dead.
ALTER TABLE log_entries SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 500);

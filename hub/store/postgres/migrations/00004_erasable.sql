-- +goose Up

-- What opens an alert's token, by the alert's row. A token of which something is to be
-- erased is stored encrypted; its key is replaced or deleted with it, so that no dead row
-- of alerts can be read. Those of this table are few and small, and vacuumed soon.
CREATE TABLE erasable_keys (
    n   bigint PRIMARY KEY,
    key bytea  NOT NULL CHECK (length(key) = 32)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
ALTER TABLE erasable_keys ALTER COLUMN key SET STORAGE PLAIN;
ALTER TABLE alerts RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
    toast.autovacuum_vacuum_scale_factor, toast.autovacuum_vacuum_threshold);

-- erased counts what was erased, scrubbed is what that was when no key was left of it in
-- the table's file. clear: something that is to be erased was stored in the clear, and the
-- table has not been rewritten since.
CREATE TABLE shrouded (
    single   smallint PRIMARY KEY CHECK (single = 1),
    clear    boolean NOT NULL,
    erased   bigint  NOT NULL,
    scrubbed bigint  NOT NULL
) WITH (fillfactor = 10);
INSERT INTO shrouded SELECT 1, EXISTS (SELECT FROM alerts WHERE erase_at > 0), 0, 0;

-- What is stored is looked at once: it gets its key, and the time of what ends first in it,
-- which an earlier schema did not know of.
UPDATE alerts SET erase_at = 1 WHERE erase_at > 0 AND NOT over;

-- What a member takes up: of its alerts those of which something is to be erased, and that
-- no later version has ended, and the bytes of their tokens; and first revisions of
-- statements, counted from this schema on.
CREATE TABLE used (
    member     text   COLLATE "C" PRIMARY KEY,
    alerts     bigint NOT NULL,
    bytes      bigint NOT NULL,
    statements bigint NOT NULL
) WITH (fillfactor = 20);
INSERT INTO used SELECT originator, count(*), sum(length(token)), 0 FROM alerts WHERE erase_at > 0 AND NOT over GROUP BY originator;

-- Who holds an earlier version and was handed nothing of the last, for it was withheld or
-- dropped before there were notices, is to be told that what is held is over.
INSERT INTO deliveries (id, recipient, alert, state, follows)
    SELECT (SELECT deliveries FROM log_head) + row_number() OVER (ORDER BY alert, recipient), recipient, alert, 0, true
    FROM (SELECT DISTINCT d.alert, d.recipient FROM deliveries d JOIN alerts a ON a.id = d.alert
        WHERE d.follows AND d.state = 3
            AND NOT EXISTS (SELECT FROM deliveries o WHERE o.alert = d.alert AND o.recipient = d.recipient AND o.state <> 3)
            AND NOT EXISTS (SELECT FROM alerts n WHERE n.alert = a.alert AND n.originator = a.originator AND n.version > a.version)) t;
UPDATE deliveries d SET state = 0 WHERE state = 2 AND follows
    AND NOT EXISTS (SELECT FROM deliveries o WHERE o.alert = d.alert AND o.recipient = d.recipient AND o.state = 1)
    AND NOT EXISTS (SELECT FROM alerts a JOIN alerts n ON n.alert = a.alert AND n.originator = a.originator AND n.version > a.version
        WHERE a.id = d.alert);
UPDATE log_head SET deliveries = greatest(deliveries, (SELECT coalesce(max(id), 0) FROM deliveries));
UPDATE feeds f SET pending = (SELECT count(*) FROM deliveries d WHERE d.recipient = f.recipient AND d.state = 0);

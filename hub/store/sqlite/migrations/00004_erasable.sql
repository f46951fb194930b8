-- +goose Up

-- What opens an alert's token, by the alert's row. A token of which something is to be
-- erased is stored encrypted, and erased by overwriting its key: rows are added at the end
-- alone, a key takes the place of another of its size, and none is deleted.
CREATE TABLE erasable_keys (
    n   INTEGER PRIMARY KEY REFERENCES alerts (id),
    key BLOB    NOT NULL CHECK (length(key) = 32)
) STRICT;

-- clear: something that is to be erased was stored in the clear, and the file has not been
-- rewritten since. seen: a moment at which the clock was believed, in seconds since
-- 1970-01-01 UTC.
CREATE TABLE shrouded (
    single INTEGER PRIMARY KEY CHECK (single = 1),
    clear  INTEGER NOT NULL CHECK (clear IN (0, 1)),
    seen   INTEGER NOT NULL
) STRICT;
INSERT INTO shrouded SELECT 1, EXISTS (SELECT 1 FROM alerts WHERE erase_at > 0), 0;

-- What is stored is looked at once: it gets its key, and the time of what ends first in it,
-- which an earlier schema did not know of.
UPDATE alerts SET erase_at = 1 WHERE erase_at > 0 AND over = 0;

-- What a member takes up: of its alerts those of which something is to be erased, and that
-- no later version has ended, and the bytes of their tokens; and first revisions of
-- statements, counted from this schema on.
CREATE TABLE used (
    member     TEXT    PRIMARY KEY,
    alerts     INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    statements INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO used SELECT originator, count(*), sum(length(token)), 0 FROM alerts WHERE erase_at > 0 AND over = 0 GROUP BY originator;

-- Who holds an earlier version and was handed nothing of the last, for it was withheld or
-- dropped before there were notices, is to be told that what is held is over.
INSERT INTO deliveries (id, recipient, alert, state, follows)
    SELECT (SELECT deliveries FROM log_head) + row_number() OVER (ORDER BY alert, recipient), recipient, alert, 0, 1
    FROM (SELECT DISTINCT d.alert, d.recipient FROM deliveries d JOIN alerts a ON a.id = d.alert
        WHERE d.follows = 1 AND d.state = 3
            AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.alert = d.alert AND o.recipient = d.recipient AND o.state <> 3)
            AND NOT EXISTS (SELECT 1 FROM alerts n WHERE n.alert = a.alert AND n.originator = a.originator AND n.version > a.version));
UPDATE deliveries SET state = 0 WHERE state = 2 AND follows = 1
    AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.alert = deliveries.alert AND o.recipient = deliveries.recipient AND o.state = 1)
    AND NOT EXISTS (SELECT 1 FROM alerts a JOIN alerts n ON n.alert = a.alert AND n.originator = a.originator AND n.version > a.version
        WHERE a.id = deliveries.alert);
UPDATE log_head SET deliveries = (SELECT max(log_head.deliveries, coalesce(max(id), 0)) FROM deliveries);
UPDATE feeds SET pending = (SELECT count(*) FROM deliveries d WHERE d.recipient = feeds.recipient AND d.state = 0);

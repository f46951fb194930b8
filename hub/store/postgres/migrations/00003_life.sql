-- +goose Up

-- erase_at: when something of the token is to be erased next, in seconds since
-- 1970-01-01 UTC; 0: nothing is left that could be. over: a later version has ended
-- it, and all of it is to go. recall: it ends the alert. refers: it is feedback to
-- another.
ALTER TABLE alerts
    ADD COLUMN erase_at bigint  NOT NULL DEFAULT 0 CHECK (erase_at >= 0),
    ADD COLUMN over     boolean NOT NULL DEFAULT false,
    ADD COLUMN recall   boolean NOT NULL DEFAULT false,
    ADD COLUMN refers   boolean NOT NULL DEFAULT false;
UPDATE alerts a SET erase_at = greatest(1, CASE WHEN l.last > a.version THEN a.accepted_at ELSE a.expires END),
        over = l.last > a.version
    FROM (SELECT alert, originator, max(version) AS last FROM alerts GROUP BY alert, originator) l
    WHERE l.alert = a.alert AND l.originator = a.originator;
CREATE INDEX alerts_erase ON alerts (erase_at, id) WHERE erase_at > 0;
-- An expression, so that no look-up by name is ever planned through it.
CREATE INDEX alerts_published ON alerts ((originator || ''), log_index, id);

-- What an erasure replaced stays in dead rows until they are vacuumed: soon, and not
-- only once a fifth of a large table is dead.
ALTER TABLE alerts SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 200);

-- follows: the recipient was handed over an earlier version. Who was so has a delivery
-- of the latest one, and of the others nothing waits any more.
ALTER TABLE deliveries ADD COLUMN follows boolean NOT NULL DEFAULT false;
UPDATE deliveries d SET follows = true FROM alerts a
    WHERE a.id = d.alert AND EXISTS (SELECT FROM alerts e JOIN deliveries h ON h.alert = e.id
        WHERE h.recipient = d.recipient AND h.state = 1
            AND e.alert = a.alert AND e.originator = a.originator AND e.version < a.version);
UPDATE deliveries d SET state = 3 FROM alerts a WHERE a.id = d.alert AND a.over AND d.state IN (0, 2);
INSERT INTO deliveries (id, recipient, alert, state, follows)
    SELECT (SELECT deliveries FROM log_head) + row_number() OVER (ORDER BY alert, recipient), recipient, alert, 0, true
    FROM (SELECT DISTINCT l.id AS alert, h.recipient
        FROM alerts e JOIN deliveries h ON h.alert = e.id AND h.state = 1
        JOIN alerts l ON l.alert = e.alert AND l.originator = e.originator AND l.version > e.version AND NOT l.over
        WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.alert = l.id AND d.recipient = h.recipient)) n;
UPDATE log_head SET deliveries = greatest(deliveries, (SELECT coalesce(max(id), 0) FROM deliveries));
UPDATE feeds f SET pending = (SELECT count(*) FROM deliveries d WHERE d.recipient = f.recipient AND d.state = 0);
CREATE INDEX deliveries_follows ON deliveries (alert, recipient) WHERE follows;

-- What recipients have erased, in their signed words. Portions may be many: their
-- SHA-256 stands for them in the key.
CREATE TABLE purges (
    alert           bigint NOT NULL,
    recipient       text   COLLATE "C" NOT NULL,
    cause           text   COLLATE "C" NOT NULL,
    portions_digest bytea  NOT NULL CHECK (length(portions_digest) = 32),
    portions        bytea  NOT NULL,
    at              bigint NOT NULL,
    receipt         bytea  NOT NULL,
    PRIMARY KEY (alert, recipient, cause, portions_digest)
);

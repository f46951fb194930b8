-- +goose Up

-- erase_at: when something of the token is to be erased next, in seconds since
-- 1970-01-01 UTC; 0: nothing is left that could be. over: a later version has ended
-- it, and all of it is to go. recall: it ends the alert. refers: it is feedback to
-- another. The token comes last, so that reading the rest touches one page: the table
-- is made again, and with it those that refer to it.
CREATE TABLE alerts_next (
    id            INTEGER PRIMARY KEY,
    originator    TEXT    NOT NULL,
    alert         TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    digest        BLOB    NOT NULL CHECK (length(digest) = 32),
    signed_digest TEXT    NOT NULL,
    previous      TEXT    NOT NULL,
    issued_at     INTEGER NOT NULL,
    expires       INTEGER NOT NULL,
    accepted_at   INTEGER NOT NULL,
    log_index     INTEGER NOT NULL REFERENCES log_entries (idx),
    erase_at      INTEGER NOT NULL CHECK (erase_at >= 0),
    over          INTEGER NOT NULL CHECK (over IN (0, 1)),
    recall        INTEGER NOT NULL CHECK (recall IN (0, 1)),
    refers        INTEGER NOT NULL CHECK (refers IN (0, 1)),
    token         BLOB    NOT NULL,
    UNIQUE (alert, originator, version)
) STRICT;
INSERT INTO alerts_next SELECT id, originator, alert, version, digest, signed_digest, previous, issued_at, expires,
        accepted_at, log_index, max(1, iif(ended, accepted_at, expires)), ended, 0, 0, token
    FROM (SELECT *, EXISTS (SELECT 1 FROM alerts n
        WHERE n.alert = a.alert AND n.originator = a.originator AND n.version > a.version) AS ended FROM alerts a)
    ORDER BY id;

CREATE TABLE portions_next (
    alert    INTEGER NOT NULL REFERENCES alerts_next (id),
    position INTEGER NOT NULL,
    portion  TEXT    NOT NULL,
    label    INTEGER NOT NULL REFERENCES labels (id),
    PRIMARY KEY (alert, position)
) STRICT, WITHOUT ROWID;
INSERT INTO portions_next SELECT alert, position, portion, label FROM portions ORDER BY alert, position;
DROP TABLE portions;
ALTER TABLE portions_next RENAME TO portions;
CREATE INDEX portions_label ON portions (label, alert, position);

-- As before, but for follows: the recipient was handed over an earlier version. Who
-- was so has a delivery of the latest one, and of the others nothing waits any more.
CREATE TABLE deliveries_next (
    id        INTEGER PRIMARY KEY,
    recipient TEXT    NOT NULL,
    alert     INTEGER NOT NULL REFERENCES alerts_next (id),
    state     INTEGER NOT NULL CHECK (state IN (0, 1, 2, 3)),
    seq       INTEGER,
    chain     TEXT,
    digest    TEXT,
    facts     BLOB,
    receipt   BLOB,
    seen      INTEGER NOT NULL DEFAULT 0,
    renewed   INTEGER NOT NULL DEFAULT 0 CHECK (renewed IN (0, 1)),
    lost      INTEGER NOT NULL DEFAULT 0 CHECK (lost IN (0, 1)),
    follows   INTEGER NOT NULL DEFAULT 0 CHECK (follows IN (0, 1)),
    CHECK (state = 1 OR lost = 0),
    CHECK ((state = 1) = (seq IS NOT NULL)),
    CHECK (seq IS NOT NULL AND chain IS NOT NULL AND digest IS NOT NULL AND facts IS NOT NULL
        OR seq IS NULL AND chain IS NULL AND digest IS NULL AND facts IS NULL AND receipt IS NULL)
) STRICT;
INSERT INTO deliveries_next (id, recipient, alert, state, seq, chain, digest, facts, receipt, seen, renewed, lost, follows)
    SELECT d.id, d.recipient, d.alert,
        iif(d.state IN (0, 2) AND EXISTS (SELECT 1 FROM alerts n
            WHERE n.alert = a.alert AND n.originator = a.originator AND n.version > a.version), 3, d.state),
        d.seq, d.chain, d.digest, d.facts, d.receipt, d.seen, d.renewed, d.lost,
        EXISTS (SELECT 1 FROM alerts e JOIN deliveries h ON h.alert = e.id AND h.recipient = d.recipient AND h.state = 1
            WHERE e.alert = a.alert AND e.originator = a.originator AND e.version < a.version)
    FROM deliveries d JOIN alerts a ON a.id = d.alert ORDER BY d.id;
INSERT INTO deliveries_next (id, recipient, alert, state, follows)
    SELECT (SELECT deliveries FROM log_head) + row_number() OVER (ORDER BY alert, recipient), recipient, alert, 0, 1
    FROM (SELECT DISTINCT l.id AS alert, h.recipient
        FROM alerts e JOIN deliveries h ON h.alert = e.id AND h.state = 1
        JOIN alerts l ON l.alert = e.alert AND l.originator = e.originator AND l.version > e.version
        WHERE l.version = (SELECT max(n.version) FROM alerts n WHERE n.alert = e.alert AND n.originator = e.originator)
            AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.alert = l.id AND d.recipient = h.recipient));
UPDATE log_head SET deliveries = (SELECT max(deliveries, coalesce(max(id), 0)) FROM deliveries_next);
DROP TABLE deliveries;
ALTER TABLE deliveries_next RENAME TO deliveries;
CREATE INDEX deliveries_pending ON deliveries (recipient, id) WHERE state = 0;
CREATE UNIQUE INDEX deliveries_seq ON deliveries (recipient, seq) WHERE seq IS NOT NULL;
CREATE INDEX deliveries_alert ON deliveries (alert, recipient, seq);
CREATE UNIQUE INDEX deliveries_claim ON deliveries (alert, recipient) WHERE state IN (0, 2);
CREATE INDEX deliveries_unsent ON deliveries (id) WHERE seq IS NULL AND state <> 3;
CREATE INDEX deliveries_seen ON deliveries (seen, id) WHERE seq IS NOT NULL;
CREATE INDEX deliveries_follows ON deliveries (alert, recipient) WHERE follows = 1;
UPDATE feeds SET pending = (SELECT count(*) FROM deliveries d WHERE d.recipient = feeds.recipient AND d.state = 0);

DROP TABLE alerts;
ALTER TABLE alerts_next RENAME TO alerts;
CREATE INDEX alerts_erase ON alerts (erase_at, id) WHERE erase_at > 0;
CREATE INDEX alerts_published ON alerts (originator, log_index, id);

-- What recipients have erased, in their signed words. Portions may be many: their
-- SHA-256 stands for them in the key.
CREATE TABLE purges (
    alert           INTEGER NOT NULL REFERENCES alerts (id),
    recipient       TEXT    NOT NULL,
    cause           TEXT    NOT NULL,
    portions_digest BLOB    NOT NULL CHECK (length(portions_digest) = 32),
    portions        BLOB    NOT NULL,
    at              INTEGER NOT NULL,
    receipt         BLOB    NOT NULL,
    PRIMARY KEY (alert, recipient, cause, portions_digest)
) STRICT, WITHOUT ROWID;

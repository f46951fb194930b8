-- +goose Up

ALTER TABLE log_head ADD COLUMN proposals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_head ADD COLUMN bundles   INTEGER NOT NULL DEFAULT 0;

-- The decision up to which a label's alerts are settled, as the hub encodes it.
ALTER TABLE labels ADD COLUMN audience BLOB;

CREATE INDEX portions_label ON portions (label, alert, position);

-- An alert may be handed over to a recipient more than once, each time with more
-- of it; but only one delivery of it is pending or withheld. SQLite can not drop
-- a constraint: the table is made again.
-- state: 0 pending, 1 handed over, 2 withheld, 3 dropped. A receipt means
-- acknowledged. seen: the last statement that was known to the decision which
-- brought the delivery into its state. renewed: it was made or taken back by a
-- later decision than that of its alert's admission. lost: it was handed over, and
-- served again without content.
CREATE TABLE deliveries_next (
    id        INTEGER PRIMARY KEY,
    recipient TEXT    NOT NULL,
    alert     INTEGER NOT NULL REFERENCES alerts (id),
    state     INTEGER NOT NULL CHECK (state IN (0, 1, 2, 3)),
    seq       INTEGER,
    chain     TEXT,
    digest    TEXT,
    facts     BLOB,
    receipt   BLOB,
    seen      INTEGER NOT NULL DEFAULT 0,
    renewed   INTEGER NOT NULL DEFAULT 0 CHECK (renewed IN (0, 1)),
    lost      INTEGER NOT NULL DEFAULT 0 CHECK (lost IN (0, 1)),
    CHECK (state = 1 OR lost = 0),
    CHECK ((state = 1) = (seq IS NOT NULL)),
    CHECK (seq IS NOT NULL AND chain IS NOT NULL AND digest IS NOT NULL AND facts IS NOT NULL
        OR seq IS NULL AND chain IS NULL AND digest IS NULL AND facts IS NULL AND receipt IS NULL)
) STRICT;
INSERT INTO deliveries_next (id, recipient, alert, state, seq, chain, digest, facts, receipt)
    SELECT id, recipient, alert, state, seq, chain, digest, facts, receipt FROM deliveries ORDER BY id;
DROP TABLE deliveries;
ALTER TABLE deliveries_next RENAME TO deliveries;
CREATE INDEX deliveries_pending ON deliveries (recipient, id) WHERE state = 0;
CREATE UNIQUE INDEX deliveries_seq ON deliveries (recipient, seq) WHERE seq IS NOT NULL;
CREATE INDEX deliveries_alert ON deliveries (alert, recipient, seq);
CREATE UNIQUE INDEX deliveries_claim ON deliveries (alert, recipient) WHERE state IN (0, 2);
CREATE INDEX deliveries_unsent ON deliveries (id) WHERE seq IS NULL AND state <> 3;
CREATE INDEX deliveries_seen ON deliveries (seen, id) WHERE seq IS NOT NULL;

-- Statements that wait for further signatures; edition counts the changes.
CREATE TABLE proposals (
    id       INTEGER PRIMARY KEY,
    digest   TEXT    NOT NULL UNIQUE,
    edition  INTEGER NOT NULL CHECK (edition > 0),
    type     TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    by       TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    raw      BLOB    NOT NULL
) STRICT;
CREATE INDEX proposals_subject ON proposals (type, subject, revision);

-- Policy bundles. The bytes come last, so that reading the rest touches one page.
CREATE TABLE bundles (
    id       INTEGER PRIMARY KEY,
    digest   TEXT    NOT NULL UNIQUE,
    revision INTEGER NOT NULL CHECK (revision > 0),
    by       TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    raw      BLOB    NOT NULL
) STRICT;

-- How far standing alerts have been decided again: up to a statement's position,
-- and a moment in seconds since 1970-01-01 UTC.
CREATE TABLE settled (
    single   INTEGER PRIMARY KEY CHECK (single = 1),
    position INTEGER NOT NULL CHECK (position >= 0),
    at       INTEGER NOT NULL CHECK (at >= 0)
) STRICT;
INSERT INTO settled VALUES (1, 0, 0);

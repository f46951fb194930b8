-- +goose Up
-- n is the order in which they were verified; position is where the hub had them.
CREATE TABLE statements (
    n        INTEGER PRIMARY KEY AUTOINCREMENT,
    position INTEGER NOT NULL,
    digest   BLOB    NOT NULL UNIQUE, -- SHA-256 of raw
    raw      BLOB    NOT NULL
) STRICT;

-- n is the order of queuing, and so of sending.
CREATE TABLE outbox (
    n          INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    token      TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('queued', 'accepted', 'refused')),
    queued_at  INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC
    attempts   INTEGER NOT NULL DEFAULT 0,
    last_error TEXT    NOT NULL DEFAULT '',
    problem    TEXT    NOT NULL DEFAULT '',
    codes      TEXT    NOT NULL DEFAULT '[]',
    receipt    TEXT    NOT NULL DEFAULT '',
    UNIQUE (id, version),
    CHECK ((state = 'accepted') = (receipt <> '')),
    CHECK ((state = 'refused') = (problem <> ''))
) STRICT;
CREATE INDEX outbox_state ON outbox (state, n);

-- A withheld item has no delivery and names no alert.
CREATE TABLE inbox (
    seq           INTEGER PRIMARY KEY CHECK (seq > 0),
    digest        TEXT    NOT NULL,
    received_at   INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC
    delivery      BLOB,
    originator    TEXT,
    id            TEXT,
    version       INTEGER,
    signed_digest TEXT,
    CHECK ((delivery IS NULL) = (originator IS NULL)),
    CHECK ((delivery IS NULL) = (id IS NULL)),
    CHECK ((delivery IS NULL) = (version IS NULL)),
    CHECK ((delivery IS NULL) = (signed_digest IS NULL))
) STRICT;
CREATE INDEX inbox_alert ON inbox (originator, id, version, seq) WHERE delivery IS NOT NULL;

CREATE TABLE acks (
    seq     INTEGER PRIMARY KEY REFERENCES inbox (seq),
    token   TEXT NOT NULL,
    refused TEXT NOT NULL DEFAULT '' -- why the hub does not take it
) STRICT;
CREATE INDEX acks_waiting ON acks (seq) WHERE refused = '';

CREATE TABLE position (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    seq        INTEGER NOT NULL,
    chain      TEXT    NOT NULL,
    head_at    INTEGER NOT NULL, -- seconds since 1970-01-01 UTC
    checkpoint BLOB    NOT NULL,
    head       TEXT    NOT NULL  -- as the hub signed it
) STRICT;
INSERT INTO position (one, seq, chain, head_at, checkpoint, head) VALUES (1, 0, '', 0, x'', '');

CREATE TABLE alarms (
    n        INTEGER PRIMARY KEY,
    kind     TEXT    NOT NULL,
    at       INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC
    detail   TEXT    NOT NULL,
    evidence BLOB    NOT NULL,
    UNIQUE (kind, detail)
) STRICT;

CREATE TABLE probe (writes INTEGER NOT NULL) STRICT;
INSERT INTO probe (writes) VALUES (0);

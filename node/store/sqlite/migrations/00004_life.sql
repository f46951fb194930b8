-- +goose Up
-- kept is the digest of what is left of a delivery since something of it was erased, ''
-- while it is as it was received; due is when something of it is to be erased next, in
-- seconds since 1970-01-01 UTC, 0 where nothing is left; recall is the mode of a version
-- that is a recall. What was received before this schema is looked at once.
ALTER TABLE inbox ADD COLUMN kept   TEXT    NOT NULL DEFAULT '';
ALTER TABLE inbox ADD COLUMN due    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inbox ADD COLUMN recall TEXT    NOT NULL DEFAULT '';
ALTER TABLE inbox ADD COLUMN key    INTEGER NOT NULL DEFAULT 0; -- of erasable_keys; 0: in the clear
UPDATE inbox SET due = 1 WHERE originator IS NOT NULL;
CREATE INDEX inbox_due ON inbox (due, seq) WHERE due > 0;
CREATE INDEX inbox_recall ON inbox (originator, id, recall) WHERE recall <> '';

-- What opens what is stored: rows are only ever added at the end, and a key is overwritten
-- in its place by another of its size.
CREATE TABLE erasable_keys (
    n   INTEGER PRIMARY KEY,
    key BLOB    NOT NULL CHECK (length(key) = 32)
) STRICT;

-- clear: something was stored in the clear, and the file has not been rewritten since.
CREATE TABLE shrouded (clear INTEGER NOT NULL) STRICT;
INSERT INTO shrouded SELECT EXISTS (SELECT 1 FROM inbox) OR EXISTS (SELECT 1 FROM outbox);

-- What was erased of what was received, and the signed word of it. n is the order.
CREATE TABLE purges (
    n          INTEGER PRIMARY KEY AUTOINCREMENT,
    originator TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    digest     TEXT    NOT NULL,            -- of the version's signed part
    cause      TEXT    NOT NULL CHECK (cause IN ('recalled', 'superseded', 'ended')),
    portions   TEXT    NOT NULL,            -- JSON, sorted
    at         INTEGER NOT NULL,            -- seconds since 1970-01-01 UTC
    token      TEXT    NOT NULL DEFAULT '', -- '' until it is signed
    taken      INTEGER NOT NULL DEFAULT 0 CHECK (taken IN (0, 1)),
    refused    TEXT    NOT NULL DEFAULT ''  -- why the hub does not take it
) STRICT;
CREATE INDEX purges_alert ON purges (originator, id, version, n);
CREATE INDEX purges_waiting ON purges (token = '', n) WHERE taken = 0 AND refused = '';

-- An acknowledgement whose token is '' is to be signed yet; chain is what it names.
ALTER TABLE acks ADD COLUMN chain TEXT NOT NULL DEFAULT '';
CREATE INDEX acks_unsigned ON acks (seq) WHERE token = '';

-- A version that the hub has refused may be followed by another of the same number.
-- due is as above.
CREATE TABLE outgoing (
    n          INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    token      BLOB    NOT NULL,
    key        INTEGER NOT NULL DEFAULT 0, -- as in inbox
    digest     TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('queued', 'accepted', 'refused')),
    queued_at  INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC
    attempts   INTEGER NOT NULL DEFAULT 0,
    last_error TEXT    NOT NULL DEFAULT '',
    problem    TEXT    NOT NULL DEFAULT '',
    codes      TEXT    NOT NULL DEFAULT '[]',
    receipt    TEXT    NOT NULL DEFAULT '',
    due        INTEGER NOT NULL DEFAULT 0,
    CHECK ((state = 'accepted') = (receipt <> '')),
    CHECK ((state = 'refused') = (problem <> ''))
) STRICT;
INSERT INTO outgoing (n, id, version, token, digest, state, queued_at, attempts, last_error, problem, codes, receipt, due)
    SELECT n, id, version, CAST(token AS BLOB), digest, state, queued_at, attempts, last_error, problem, codes, receipt, 1 FROM outbox;
DROP TABLE outbox;
ALTER TABLE outgoing RENAME TO outbox;
CREATE INDEX outbox_state ON outbox (state, n);
CREATE UNIQUE INDEX outbox_version ON outbox (id, version) WHERE state <> 'refused';
CREATE INDEX outbox_refused ON outbox (id, version, n) WHERE state = 'refused';
CREATE INDEX outbox_due ON outbox (due, n) WHERE due > 0 AND state <> 'queued';

-- +goose Up

-- The one row that all commits pass through: the audit log's head, and the last
-- numbers given to rows. The root of an empty log is SHA-256("").
CREATE TABLE log_head (
    single     INTEGER PRIMARY KEY CHECK (single = 1),
    size       INTEGER NOT NULL CHECK (size >= 0),
    root       BLOB    NOT NULL CHECK (length(root) = 32),
    alerts     INTEGER NOT NULL,
    labels     INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    statements INTEGER NOT NULL
) STRICT;
INSERT INTO log_head VALUES
    (1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0, 0, 0, 0);

CREATE TABLE log_entries (
    idx  INTEGER PRIMARY KEY,
    leaf BLOB NOT NULL
) STRICT;

CREATE TABLE log_hashes (
    idx  INTEGER PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- The token comes last, so that reading the rest touches one page.
CREATE TABLE alerts (
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
    token         BLOB    NOT NULL,
    UNIQUE (alert, originator, version)
) STRICT;

-- A key may be long: its SHA-256 stands for it in the index.
CREATE TABLE labels (
    id         INTEGER PRIMARY KEY,
    originator TEXT NOT NULL,
    key_digest BLOB NOT NULL CHECK (length(key_digest) = 32),
    key        BLOB NOT NULL,
    UNIQUE (originator, key_digest)
) STRICT;

CREATE TABLE portions (
    alert    INTEGER NOT NULL REFERENCES alerts (id),
    position INTEGER NOT NULL,
    portion  TEXT    NOT NULL,
    label    INTEGER NOT NULL REFERENCES labels (id),
    PRIMARY KEY (alert, position)
) STRICT, WITHOUT ROWID;

-- state: 0 pending, 1 handed over, 2 withheld. A receipt means acknowledged.
CREATE TABLE deliveries (
    id        INTEGER PRIMARY KEY,
    recipient TEXT    NOT NULL,
    alert     INTEGER NOT NULL REFERENCES alerts (id),
    state     INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    seq       INTEGER,
    chain     TEXT,
    digest    TEXT,
    facts     BLOB,
    receipt   BLOB,
    UNIQUE (alert, recipient),
    CHECK ((state = 1) = (seq IS NOT NULL)),
    CHECK (seq IS NOT NULL AND chain IS NOT NULL AND digest IS NOT NULL AND facts IS NOT NULL
        OR seq IS NULL AND chain IS NULL AND digest IS NULL AND facts IS NULL AND receipt IS NULL)
) STRICT;
CREATE INDEX deliveries_pending ON deliveries (recipient, id) WHERE state = 0;
CREATE UNIQUE INDEX deliveries_seq ON deliveries (recipient, seq) WHERE seq IS NOT NULL;

CREATE TABLE feeds (
    recipient TEXT PRIMARY KEY,
    seq       INTEGER NOT NULL,
    chain     TEXT    NOT NULL,
    acked     INTEGER NOT NULL CHECK (acked <= seq),
    pending   INTEGER NOT NULL CHECK (pending >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE statements (
    position INTEGER PRIMARY KEY,
    type     TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    digest   TEXT    NOT NULL,
    previous TEXT    NOT NULL,
    raw      BLOB    NOT NULL,
    UNIQUE (type, subject, revision)
) STRICT;

-- Written to by Ping, which asks whether writing works.
CREATE TABLE probe (
    single INTEGER PRIMARY KEY CHECK (single = 1),
    writes INTEGER NOT NULL
) STRICT;
INSERT INTO probe VALUES (1, 0);

-- +goose Up

-- Texts that name something compare by bytes (COLLATE "C"), as they do in Go
-- and in SQLite. Tables with rows that change keep room for the new versions on
-- the page (fillfactor), so that updates need not touch the indexes.
--
-- No foreign keys: rows are never deleted, and each row that refers to another
-- is written by the transaction that wrote or read that other one under the lock
-- on log_head. Checking row by row again would cost a fifth of the throughput.
-- The same code runs on SQLite, where the keys are checked.

-- The one row that all commits pass through: the audit log's head, and the last
-- numbers given to rows. The root of an empty log is SHA-256("").
CREATE TABLE log_head (
    single       smallint PRIMARY KEY CHECK (single = 1),
    size       bigint NOT NULL CHECK (size >= 0),
    root       bytea  NOT NULL CHECK (length(root) = 32),
    alerts     bigint NOT NULL,
    labels     bigint NOT NULL,
    deliveries bigint NOT NULL,
    statements bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO log_head VALUES
    (1, 0, '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0, 0, 0, 0);

CREATE TABLE log_entries (
    idx  bigint PRIMARY KEY,
    leaf bytea NOT NULL
);

CREATE TABLE log_hashes (
    idx  bigint PRIMARY KEY,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);

-- Tokens are base64url of signed and random bytes, which pglz does not shrink:
-- no compression, and out of line only above 8 KB.
CREATE TABLE alerts (
    id            bigint  PRIMARY KEY,
    originator    text    COLLATE "C" NOT NULL,
    alert         text    COLLATE "C" NOT NULL,
    version       integer NOT NULL,
    digest        bytea   NOT NULL CHECK (length(digest) = 32),
    signed_digest text    COLLATE "C" NOT NULL,
    previous      text    COLLATE "C" NOT NULL,
    issued_at     bigint  NOT NULL,
    expires       bigint  NOT NULL,
    accepted_at   bigint  NOT NULL,
    log_index     bigint  NOT NULL,
    token         bytea   NOT NULL,
    UNIQUE (alert, originator, version)
) WITH (toast_tuple_target = 8160);
ALTER TABLE alerts ALTER COLUMN token SET STORAGE EXTERNAL;

-- A key may be long: its SHA-256 stands for it in the index.
CREATE TABLE labels (
    id         bigint PRIMARY KEY,
    originator text   COLLATE "C" NOT NULL,
    key_digest bytea  NOT NULL CHECK (length(key_digest) = 32),
    key        bytea  NOT NULL,
    UNIQUE (originator, key_digest)
);

CREATE TABLE portions (
    alert    bigint  NOT NULL,
    position integer NOT NULL,
    portion  text    COLLATE "C" NOT NULL,
    label    bigint  NOT NULL,
    PRIMARY KEY (alert, position)
);

-- state: 0 pending, 1 handed over, 2 withheld. A receipt means acknowledged.
CREATE TABLE deliveries (
    id        bigint   PRIMARY KEY,
    recipient text     COLLATE "C" NOT NULL,
    alert     bigint   NOT NULL,
    state     smallint NOT NULL CHECK (state IN (0, 1, 2)),
    seq       bigint,
    chain     text,
    digest    text,
    facts     bytea,
    receipt   bytea,
    UNIQUE (alert, recipient),
    CHECK ((state = 1) = (seq IS NOT NULL)),
    CHECK (seq IS NOT NULL AND chain IS NOT NULL AND digest IS NOT NULL AND facts IS NOT NULL
        OR seq IS NULL AND chain IS NULL AND digest IS NULL AND facts IS NULL AND receipt IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX deliveries_pending ON deliveries (recipient, id) WHERE state = 0;
CREATE UNIQUE INDEX deliveries_seq ON deliveries (recipient, seq) WHERE seq IS NOT NULL;

CREATE TABLE feeds (
    recipient text   COLLATE "C" PRIMARY KEY,
    seq       bigint NOT NULL,
    chain     text   NOT NULL,
    acked     bigint NOT NULL CHECK (acked <= seq),
    pending   bigint NOT NULL CHECK (pending >= 0)
) WITH (fillfactor = 20);

CREATE TABLE statements (
    position bigint PRIMARY KEY,
    type     text   COLLATE "C" NOT NULL,
    subject  text   COLLATE "C" NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    digest   text   COLLATE "C" NOT NULL,
    previous text   COLLATE "C" NOT NULL,
    raw      bytea  NOT NULL,
    UNIQUE (type, subject, revision)
);

-- Written to by Ping, which asks whether writing works.
CREATE TABLE probe (
    single   smallint PRIMARY KEY CHECK (single = 1),
    writes bigint   NOT NULL
) WITH (fillfactor = 10);
INSERT INTO probe VALUES (1, 0);

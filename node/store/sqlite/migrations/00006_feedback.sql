-- +goose Up
-- Alerts that refer to another, by what their signed part says: it stays when what was
-- disclosed of them is erased. A version that is delivered again has one row.
CREATE TABLE feedback (
    n                INTEGER PRIMARY KEY,
    originator       TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    version          INTEGER NOT NULL,
    digest           TEXT    NOT NULL, -- outbox.digest, or inbox.signed_digest
    own              INTEGER NOT NULL CHECK (own IN (0, 1)), -- 1: in the outbox, 0: in the inbox
    act              TEXT    NOT NULL,
    about_originator TEXT    NOT NULL,
    about_id         TEXT    NOT NULL,
    precedence       TEXT    NOT NULL,
    due              INTEGER NOT NULL, -- seconds since 1970-01-01 UTC; 0: it is no request
    expires          INTEGER NOT NULL, -- seconds since 1970-01-01 UTC
    written_by       TEXT    NOT NULL,
    UNIQUE (originator, id, version, digest),
    CHECK ((act = 'request') = (due <> 0))
) STRICT;
CREATE INDEX feedback_about ON feedback (about_originator, about_id, act);
CREATE INDEX feedback_requests ON feedback (expires) WHERE act = 'request';

-- Who is asked by a request: of the member's own all, of others the member itself.
CREATE TABLE asked (
    n      INTEGER NOT NULL, -- of the request in feedback
    member TEXT    NOT NULL,
    PRIMARY KEY (n, member)
) STRICT, WITHOUT ROWID;

-- +goose Up
-- Alerts that ask another member to publish what they say as its own, by what their signed
-- part says: it stays when what was disclosed of them is erased. They have one version.
CREATE TABLE delegations (
    n                INTEGER PRIMARY KEY,
    originator       TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    digest           TEXT    NOT NULL, -- outbox.digest, or inbox.signed_digest
    own              INTEGER NOT NULL CHECK (own IN (0, 1)), -- 1: in the outbox, 0: in the inbox
    recipient        TEXT    NOT NULL,
    precedence       TEXT    NOT NULL,
    due              INTEGER NOT NULL, -- seconds since 1970-01-01 UTC
    expires          INTEGER NOT NULL, -- seconds since 1970-01-01 UTC
    written_by       TEXT    NOT NULL,
    published        TEXT    NOT NULL DEFAULT '', -- outbox.id of what was made of one received
    published_digest TEXT    NOT NULL DEFAULT '', -- outbox.digest of it: one that was refused is another
    answer           BLOB,                        -- what is queued when the hub has accepted that; sealed
    answer_key       INTEGER NOT NULL DEFAULT 0,  -- of erasable_keys
    UNIQUE (originator, id, own)
) STRICT;
CREATE INDEX delegations_published ON delegations (published) WHERE published <> '';

-- The alert that an answer to a delegation names.
ALTER TABLE feedback ADD COLUMN published TEXT NOT NULL DEFAULT '';
CREATE INDEX feedback_published ON feedback (published) WHERE published <> '';

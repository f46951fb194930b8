-- +goose Up
-- Alerts that one user has written and another is to let go. The body is there while a
-- draft is pending; the labels stay, to judge by who may know of it.
CREATE TABLE drafts (
    id         TEXT    PRIMARY KEY, -- sorts by time
    author     TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    body       BLOB,
    portions   TEXT    NOT NULL,    -- JSON
    created_at INTEGER NOT NULL,    -- microseconds since 1970-01-01 UTC
    expires_at INTEGER NOT NULL,    -- likewise
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'released', 'rejected', 'withdrawn')),
    ended_by   TEXT    NOT NULL DEFAULT '',
    ended_at   INTEGER NOT NULL DEFAULT 0,
    reason     TEXT    NOT NULL DEFAULT '',
    alert      TEXT,
    version    INTEGER, -- as it was released: see outbox.draft
    CHECK ((state = 'pending') = (body IS NOT NULL)),
    CHECK ((state = 'pending') = (ended_by = '')),
    CHECK ((state = 'released') = (alert IS NOT NULL)),
    CHECK ((state = 'released') = (version IS NOT NULL)),
    CHECK (state <> 'released' OR ended_by <> author)
) STRICT, WITHOUT ROWID;
CREATE INDEX drafts_state ON drafts (state, id);
CREATE INDEX drafts_pending ON drafts (author, expires_at) WHERE state = 'pending';
CREATE INDEX drafts_expiry ON drafts (expires_at) WHERE state <> 'released';

-- The draft that was released, who wrote and who released it; '' where one person
-- published. An alert that is renumbered stays that of its draft.
ALTER TABLE outbox ADD COLUMN draft TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN released_by TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX outbox_draft ON outbox (draft) WHERE draft <> '';

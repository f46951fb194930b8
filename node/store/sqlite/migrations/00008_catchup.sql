-- +goose Up
-- What a version in the outbox says as a recall, as JSON; '' where it is none; NULL where
-- it was stored before this schema and has not been looked at: opening the database does.
ALTER TABLE outbox ADD COLUMN recall TEXT;
UPDATE outbox SET recall = '' WHERE version = 1;
CREATE INDEX outbox_unread ON outbox (n) WHERE recall IS NULL;

-- Whether a queued alert goes before those that are not urgent.
ALTER TABLE outbox ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0 CHECK (urgent IN (0, 1));
CREATE INDEX outbox_queue ON outbox (urgent DESC, n) WHERE state = 'queued';

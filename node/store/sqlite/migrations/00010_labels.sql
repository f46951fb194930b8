-- +goose Up
-- The labels of all that a version in the outbox disclosed, as JSON, from when something of
-- it is erased until the alert expires, in seconds since 1970-01-01 UTC: by them it is judged
-- who may recall it. null and 0: nothing is kept beside the token.
ALTER TABLE outbox ADD COLUMN labels TEXT NOT NULL DEFAULT 'null';
ALTER TABLE outbox ADD COLUMN labels_until INTEGER NOT NULL DEFAULT 0;
CREATE INDEX outbox_labels ON outbox (labels_until) WHERE labels_until > 0;

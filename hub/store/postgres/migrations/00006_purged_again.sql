-- +goose Up

-- What was handed over again is erased again: a receipt of another moment is another.
ALTER TABLE purges DROP CONSTRAINT purges_pkey, ADD PRIMARY KEY (alert, recipient, cause, portions_digest, at);

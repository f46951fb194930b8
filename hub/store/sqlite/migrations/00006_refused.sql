-- +goose Up

-- What a member was refused, by the SHA-256 of the token, and why: the same bytes sent again
-- are not taken in.
CREATE TABLE refused (
    originator TEXT NOT NULL,
    digest     BLOB NOT NULL CHECK (length(digest) = 32),
    reason     BLOB NOT NULL,
    PRIMARY KEY (originator, digest)
) STRICT, WITHOUT ROWID;

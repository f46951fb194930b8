-- +goose Up

-- What a member was refused, by the SHA-256 of the token, and why: the same bytes sent again
-- are not taken in.
CREATE TABLE refused (
    originator text  COLLATE "C" NOT NULL,
    digest     bytea NOT NULL CHECK (octet_length(digest) = 32),
    reason     bytea NOT NULL,
    PRIMARY KEY (originator, digest)
);

-- +goose Up

-- What a member was refused, by the SHA-256 of the token, for as long as the log has the
-- entry: the same bytes sent again are not taken in.
CREATE TABLE refused (
    originator text   COLLATE "C" NOT NULL,
    digest     bytea  NOT NULL CHECK (octet_length(digest) = 32),
    log_index  bigint NOT NULL,
    PRIMARY KEY (originator, digest)
);
CREATE INDEX refused_by_index ON refused (log_index);

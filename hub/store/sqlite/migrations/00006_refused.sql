-- +goose Up

-- What a member was refused, by the SHA-256 of the token, for as long as the log has the
-- entry: the same bytes sent again are not taken in.
CREATE TABLE refused (
    originator TEXT    NOT NULL,
    digest     BLOB    NOT NULL CHECK (length(digest) = 32),
    log_index  INTEGER NOT NULL,
    PRIMARY KEY (originator, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX refused_by_index ON refused (log_index);

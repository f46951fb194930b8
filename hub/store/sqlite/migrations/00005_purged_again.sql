-- +goose Up

-- What was handed over again is erased again: a receipt of another moment is another.
CREATE TABLE purges_next (
    alert           INTEGER NOT NULL REFERENCES alerts (id),
    recipient       TEXT    NOT NULL,
    cause           TEXT    NOT NULL,
    portions_digest BLOB    NOT NULL CHECK (length(portions_digest) = 32),
    portions        BLOB    NOT NULL,
    at              INTEGER NOT NULL,
    receipt         BLOB    NOT NULL,
    PRIMARY KEY (alert, recipient, cause, portions_digest, at)
) STRICT, WITHOUT ROWID;
INSERT INTO purges_next SELECT * FROM purges;
DROP TABLE purges;
ALTER TABLE purges_next RENAME TO purges;

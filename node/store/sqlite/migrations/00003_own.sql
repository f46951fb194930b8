-- +goose Up
-- Statements that the node has signed and of which it does not know yet whether the hub
-- has taken them; n is the order in which they were signed.
CREATE TABLE own (
    n      INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB    NOT NULL UNIQUE, -- SHA-256 of raw
    raw    BLOB    NOT NULL
) STRICT;

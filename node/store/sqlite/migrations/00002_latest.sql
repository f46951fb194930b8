-- +goose Up
-- Which delivery of an alert version is the latest is told by indexes alone. So they
-- say which items are deliveries by a column that they hold.
DROP INDEX inbox_alert;
CREATE INDEX inbox_alert ON inbox (originator, id, version, seq) WHERE originator IS NOT NULL;
CREATE INDEX inbox_order ON inbox (seq, originator, id, version) WHERE originator IS NOT NULL;

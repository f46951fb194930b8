-- +goose Up

ALTER TABLE log_head ADD COLUMN proposals bigint NOT NULL DEFAULT 0, ADD COLUMN bundles bigint NOT NULL DEFAULT 0;

-- The decision up to which a label's alerts are settled, as the hub encodes it.
ALTER TABLE labels ADD COLUMN audience bytea;

CREATE INDEX portions_label ON portions (label, alert, position);

-- An alert may be handed over to a recipient more than once, each time with more
-- of it; but only one delivery of it is pending or withheld.
-- state: 0 pending, 1 handed over, 2 withheld, 3 dropped. A receipt means
-- acknowledged. seen: the last statement that was known to the decision which
-- brought the delivery into its state. renewed: it was made or taken back by a
-- later decision than that of its alert's admission. lost: it was handed over, and
-- served again without content.
ALTER TABLE deliveries
    ADD COLUMN seen bigint NOT NULL DEFAULT 0,
    ADD COLUMN renewed boolean NOT NULL DEFAULT false,
    ADD COLUMN lost boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT deliveries_alert_recipient_key,
    DROP CONSTRAINT deliveries_state_check,
    ADD CONSTRAINT deliveries_state_check CHECK (state IN (0, 1, 2, 3)),
    ADD CONSTRAINT deliveries_lost_check CHECK (state = 1 OR NOT lost);
-- The two last indexes say in other words which rows they hold, lest the planner,
-- who believes at first that few rows are in any state, walks them whole for one
-- row.
CREATE INDEX deliveries_alert ON deliveries (alert, recipient, seq);
CREATE UNIQUE INDEX deliveries_claim ON deliveries (alert, recipient) WHERE state IN (0, 2);
CREATE INDEX deliveries_unsent ON deliveries (id) WHERE seq IS NULL AND state <> 3;
CREATE INDEX deliveries_seen ON deliveries (seen, id) WHERE seq IS NOT NULL;

-- Statements that wait for further signatures; edition counts the changes.
CREATE TABLE proposals (
    id       bigint PRIMARY KEY,
    digest   text   COLLATE "C" NOT NULL UNIQUE,
    edition  bigint NOT NULL CHECK (edition > 0),
    type     text   COLLATE "C" NOT NULL,
    subject  text   COLLATE "C" NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    by       text   COLLATE "C" NOT NULL,
    at       bigint NOT NULL,
    raw      bytea  NOT NULL
);
CREATE INDEX proposals_subject ON proposals (type, subject, revision);

-- Policy bundles.
CREATE TABLE bundles (
    id       bigint PRIMARY KEY,
    digest   text   COLLATE "C" NOT NULL UNIQUE,
    revision bigint NOT NULL CHECK (revision > 0),
    by       text   COLLATE "C" NOT NULL,
    at       bigint NOT NULL,
    raw      bytea  NOT NULL
);

-- How far standing alerts have been decided again: up to a statement's position,
-- and a moment in seconds since 1970-01-01 UTC.
CREATE TABLE settled (
    single   smallint PRIMARY KEY CHECK (single = 1),
    position bigint   NOT NULL CHECK (position >= 0),
    at       bigint   NOT NULL CHECK (at >= 0)
) WITH (fillfactor = 10);
INSERT INTO settled VALUES (1, 0, 0);

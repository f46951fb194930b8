-- +goose Up
-- What ends earlier by the rules of this version of the program is looked at once: what is
-- held of a version before a later one, with what that has in its place; what is disclosed
-- in the outbox, with its label's retention or its recall. Drafts end with the first
-- retention among their labels, whose day is the last.
UPDATE inbox SET due = 1 WHERE due > 1
    AND EXISTS (SELECT 1 FROM inbox o WHERE o.originator = inbox.originator AND o.id = inbox.id AND o.version > inbox.version);
UPDATE outbox SET due = 1 WHERE due > 1;
UPDATE drafts SET expires_at = min(expires_at, coalesce((SELECT min(unixepoch(json_extract(p.value, '$.label.retention'), '+1 day')) * 1000000
    FROM json_each(drafts.portions) p), expires_at)) WHERE state = 'pending' AND json_valid(portions);

-- Recalls that are accepted, by alert: they end what was published before.
CREATE INDEX outbox_ended ON outbox (id) WHERE state = 'accepted' AND recall <> '';

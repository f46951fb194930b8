package sqlite

// SelectLatest is the query of Inbox, for a test of how it is answered.
const SelectLatest = selectLatest

// Migrations are the steps of the schema.
var Migrations = migrations

// SelectSendable is the query of Sendable.
const SelectSendable = selectSendable

// PurgedOutgoing is the condition of Outgoing.Purged.
const PurgedOutgoing = purgedOutgoing

package sqlite

// SelectLatest is the query of Inbox, for a test of how it is answered.
const SelectLatest = selectLatest

// Migrations are the steps of the schema.
var Migrations = migrations

// SelectSendable is the query of Sendable.
const SelectSendable = selectSendable

// EndOthers is what ends the versions that an accepted recall takes back.
const EndOthers = endOthers

// SelectQueued is the query of QueuedAfter.
const SelectQueued = selectQueued

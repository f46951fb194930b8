package sqlite

// SelectLatest is the query of Inbox, for a test of how it is answered.
const SelectLatest = selectLatest

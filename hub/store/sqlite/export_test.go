package sqlite

// Queries are all statements that stores run, for the test of their plans.
var Queries = append(opSQL[:],
	pendingSQL, deliveredSQL, deliveryOfSQL, originatorsSQL, statementsSQL, logHeadSQL, entriesSQL)

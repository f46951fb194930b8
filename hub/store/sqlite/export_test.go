package sqlite

// Queries are all statements that stores run, for the test of their plans.
var Queries = append(opSQL[:],
	pendingSQL, deliveredSQL, deliveryOfSQL, originatorsSQL, statementsSQL, logHeadSQL, entriesSQL,
	heldSQL, labelsSQL, standingSQL, standingAlertSQL, unsettledSQL, settledSQL, proposalsSQL, bundleSQL, bundlesSQL)

// Merging is the one query that sorts: as many rows as it returns from each of few
// ordered lists.
const Merging = unsettledSQL

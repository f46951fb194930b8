package sqlite

// Queries are all statements that stores run, for the test of their plans.
var Queries = append(opSQL[:],
	pendingSQL, deliveredSQL, deliveryOfSQL, originatorsSQL, statementsSQL, logHeadSQL, entriesSQL,
	heldSQL, labelsSQL, standingSQL, standingAlertSQL, unsettledSQL, settledSQL, proposalsSQL, bundleSQL, bundlesSQL,
	dueSQL, handedSQL, publishedSQL, holdersSQL, purgesSQL)

// Sorting are the queries that sort: as many rows as it returns from each of few
// ordered lists, and all that is asked for of one alert.
var Sorting = map[string]bool{unsettledSQL: true, holdersSQL: true, purgesSQL: true}

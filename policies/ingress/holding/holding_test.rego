package entente.ingress.holding_test

import data.entente.ingress.holding

directory := {"users": {"ann", "bob"}}

test_while_it_may_be_held if holding.permits == {"ann", "bob"} with input as {"ended": false, "directory": directory}

test_afterwards_nobody if holding.permits == set() with input as {"ended": true, "directory": directory}

test_nobody_where_it_is_not_said if holding.permits == set() with input as {"directory": directory}

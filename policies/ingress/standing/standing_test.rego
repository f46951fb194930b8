package entente.ingress.standing_test

import data.entente.ingress.standing

directory := {"users": {"ann", "bob"}, "active": {"ann"}}

test_active_users if standing.permits == {"ann"} with input as {"directory": directory}

test_nobody_without_a_directory if standing.permits == set() with input as {}

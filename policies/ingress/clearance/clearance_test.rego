package entente.ingress.clearance_test

import data.entente.ingress.clearance

question(level, ceiling) := {
	"release": "content",
	"label": {"classification": level},
	"ceiling": ceiling,
	"directory": {
		"users": {"ann", "bob"},
		"clearance": {"restricted": {"ann", "bob"}, "secret": {"ann"}},
	},
}

test_cleared_users if {
	clearance.permits == {"ann"} with input as question("secret", {"restricted", "secret"})
	clearance.permits == {"ann", "bob"} with input as question("restricted", {"restricted", "secret"})
}

test_bounded_by_the_members_ceiling if clearance.permits == set() with input as question("secret", {"restricted"})

test_an_unknown_level_is_for_nobody if clearance.permits == set() with input as question("cosmic", {"cosmic"})

test_existence_has_no_level if {
	clearance.permits == {"ann", "bob"} with input as {"release": "existence", "directory": {"users": {"ann", "bob"}}}
}

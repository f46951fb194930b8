package entente.release.clearance_test

import data.entente.release.clearance

cleared := {"restricted": {"XA", "XB"}, "secret": {"XA"}}

test_members_cleared_for_the_level if {
	clearance.permits == {"XA"} with input as {
		"label": {"classification": "secret"},
		"world": {"clearance": cleared},
	}
}

test_an_unknown_level_permits_nobody if {
	clearance.permits == set() with input as {
		"label": {"classification": "none"},
		"world": {"clearance": cleared},
	}
}

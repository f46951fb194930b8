package entente.ingress.agency_test

import data.entente.ingress.agency

question(categories) := {
	"release": "content",
	"label": {"categories": categories},
	"directory": {
		"users": {"ann", "bob", "cai"},
		"categories": {"smuggling": {"ann"}, "visa": {"bob"}, "health": {"cai"}},
	},
}

test_one_category_is_enough if {
	agency.permits == {"ann"} with input as question(["smuggling"])
	agency.permits == {"ann", "bob"} with input as question(["smuggling", "visa", "labour"])
}

test_nobodys_category if agency.permits == set() with input as question(["labour"])

test_a_label_without_categories_is_for_nobody if agency.permits == set() with input as question([])

test_existence_has_no_category if {
	agency.permits == {"ann", "bob", "cai"} with input as {
		"release": "existence",
		"directory": {"users": {"ann", "bob", "cai"}},
	}
}

test_no_other_kind if {
	agency.permits == set() with input as object.union(question(["smuggling"]), {"release": "none"})
}

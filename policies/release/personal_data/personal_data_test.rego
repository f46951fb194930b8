package entente.release.personal_data_test

import data.entente.release.personal_data

question(kind) := {
	"label": {
		"classification": "restricted",
		"tlp": "amber",
		"personal_data": kind,
		"categories": {"smuggling"},
		"purposes": {"prevention"},
	},
	"given": {"smuggling": {"prevention": {"restricted": {"none": {"XA", "XB"}, "personal": {"XA"}}}}},
	"recipients": {"XA", "XB", "XC"},
}

test_without_personal_data_nobody_is_refused if {
	personal_data.permits == {"XA", "XB", "XC"} with input as question("none")
}

test_refused_are_those_covered_but_for_the_personal_data if {
	personal_data.permits == {"XA", "XC"} with input as question("personal")
}

test_special_categories if personal_data.permits == {"XC"} with input as question("special-category")

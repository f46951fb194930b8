package entente.release.decision_test

import data.entente.release.decision

everybody := {"XA", "XB", "XC", "XD", "XE"}

question := {
	"originator": "XA",
	"alert": "one",
	"recipients": everybody - {"XA"},
	"label": {
		"policy": "urn:entente:policy:regional:1",
		"classification": "restricted",
		"tlp": "amber",
		"compartments": {"tf-one"},
		"releasable_to": {"members": {"XB", "XC", "XE"}, "communities": set()},
		"discoverable_to": {"members": set(), "communities": {"federation"}},
		"categories": {"smuggling"},
		"purposes": {"prevention"},
		"personal_data": "none",
		"originator_control": false,
		"handling": set(),
		"derived_from": set(),
	},
	"world": {
		"members": everybody,
		"active": everybody - {"XE"},
		"clearance": {"restricted": everybody - {"XD"}},
		"compartments": {"tf-one": everybody - {"XC"}},
		"communities": {"federation": everybody},
	},
	"given": {"smuggling": {"prevention": {"restricted": {"none": {"XB", "XC", "XD", "XE"}}}}},
	"consents": {},
}

others := question.recipients

test_the_whole_answer if {
	answer := decision.answer with input as question
	answer == {
		"content": {
			"active": everybody - {"XE"},
			"clearance": everybody - {"XD"},
			"need_to_know": everybody - {"XC"},
			"release_list": {"XB", "XC", "XE"},
			"tlp": others,
			"personal_data": others,
			"agreement": {"XB", "XC", "XD", "XE"},
			"originator_control": others,
			"third_party": others,
		},
		"existence": {
			"discoverers": everybody,
			"active": everybody - {"XE"},
			"originator_control": others,
			"third_party": others,
		},
		"onward": true,
	}
}

test_consent_binds_existence_too if {
	answer := decision.answer with input as object.union(question, {"label": {"originator_control": true}})
	answer.content.originator_control == set()
	answer.existence.originator_control == set()
}

test_the_label_says_whether_it_goes_onward if {
	answer := decision.answer with input as object.union(question, {"label": {"handling": {"H2"}}})
	answer.onward == false
}

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

none := {
	"active": set(),
	"clearance": set(),
	"need_to_know": set(),
	"release_list": set(),
	"tlp": set(),
	"personal_data": set(),
	"agreement": set(),
	"originator_control": set(),
	"third_party": set(),
}

test_the_whole_answer if {
	refused := object.union(none, {
		"active": {"XE"},
		"clearance": {"XD"},
		"need_to_know": {"XC"},
		"release_list": {"XD"},
	})
	answer := decision.answer with input as question
	answer == {"content": {"XB"}, "existence": {"XC", "XD"}, "onward": true, "refused": refused}
}

test_consent_binds_existence_too if {
	answer := decision.answer with input as object.union(question, {"label": {"originator_control": true}})
	answer.content == set()
	answer.existence == set()
}

test_the_label_says_whether_it_goes_onward if {
	answer := decision.answer with input as object.union(question, {"label": {"handling": {"H2"}}})
	answer.content == {"XB"}
	answer.onward == false
}

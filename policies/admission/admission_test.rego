package entente.admission_test

import data.entente.admission

base := {
	"issued_at": 1000 * 86400,
	"expires": 1100 * 86400,
	"world": {
		"members": {"XA", "XB", "XC"},
		"active": {"XA", "XB"},
		"clearance": {
			"unclassified": {"XA", "XB"},
			"restricted": {"XA", "XB", "XC"},
			"confidential": {"XA"},
			"secret": {"XB"},
		},
		"compartments": {"tf-one": {"XA", "XB", "XC"}, "tf-two": {"XB"}},
		"communities": {"federation": {"XA", "XB", "XC"}},
		"schemes": {"urn:entente:policy:regional:1": {
			"OPEN": "unclassified",
			"RESTRICTED": "restricted",
			"R": "restricted",
			"SECRET": "secret",
			"COSMIC": "none",
		}},
		"max_retention_days": 30,
	},
}

label := {
	"policy": "urn:entente:policy:regional:1",
	"marked_as": "RESTRICTED",
	"classification": "restricted",
	"tlp": "amber",
	"compartments": {"tf-one"},
	"releasable_to": {"members": {"XB"}, "communities": {"federation"}},
	"discoverable_to": {"members": set(), "communities": set()},
	"personal_data": "none",
}

# The first portion is sound, the second changed.
question(changes) := object.union(base, {
	"originator": "XA",
	"labels": [object.union(label, change) | some change in [{}, changes]],
})

second(code) := {{"code": code, "portion": 1}}

test_a_sound_alert_is_admitted if admission.refuse == set() with input as question({})

test_an_alert_for_nobody_is_admitted if {
	admission.refuse == set() with input as question({"releasable_to": {"members": set(), "communities": set()}})
}

test_a_suspended_originator_is_refused if {
	admission.refuse == {{"code": "originator-suspended"}} with input as object.union(question({}), {"originator": "XC"})
}

test_a_stranger_is_refused if {
	{"code": "originator-suspended"} in admission.refuse with input as object.union(question({}), {"originator": "XZ"})
}

test_an_unknown_scheme if {
	admission.refuse == second("unknown-scheme") with input as question({"policy": "urn:entente:policy:other:1"})
}

test_an_unknown_schemes_names_are_not_asked_for if {
	unknown := {"policy": "urn:entente:policy:other:1", "marked_as": "COSMIC"}
	admission.refuse == second("unknown-scheme") with input as question(unknown)
}

test_any_of_the_schemes_names_for_the_level if {
	every name in ["RESTRICTED", "R", ""] {
		admission.refuse == set() with input as question({"marked_as": name})
	}
}

test_names_that_the_scheme_does_not_have_for_the_level if {
	every name in ["SECRET", "restricted", "RESTRICTED ", "VERY"] {
		admission.refuse == second("unknown-marking") with input as question({"marked_as": name})
	}
}

test_a_level_without_a_name if {
	unnamed := {"classification": "confidential", "marked_as": ""}
	admission.refuse == second("unknown-marking") with input as question(unnamed)
	another := {"classification": "confidential", "marked_as": "SECRET"}
	admission.refuse == second("unknown-marking") with input as question(another)
}

test_a_label_that_does_not_say_how_it_is_marked if {
	unsaid := [object.remove(label, ["marked_as"])]
	one := object.union(object.remove(question({}), ["labels"]), {"labels": unsaid})
	admission.refuse == {{"code": "unknown-marking", "portion": 0}} with input as one
}

test_above_the_originators_ceiling if {
	secret := {"classification": "secret", "marked_as": "SECRET"}
	admission.refuse == second("originator-ceiling") with input as question(secret)
	none := {"classification": "none", "marked_as": "COSMIC"}
	admission.refuse == second("originator-ceiling") with input as question(none)
}

test_compartments_unknown_and_not_ones_own_look_alike if {
	admission.refuse == second("unknown-compartment") with input as question({"compartments": {"tf-none"}})
	admission.refuse == second("unknown-compartment") with input as question({"compartments": {"tf-two"}})
	admission.refuse == second("unknown-compartment") with input as question({"compartments": {"tf-two", "tf-none"}})
}

test_unknown_recipients if {
	every list in ["releasable_to", "discoverable_to"] {
		every entries in [
			{"members": {"XZ"}, "communities": set()},
			{"members": set(), "communities": {"nowhere"}},
		] {
			admission.refuse == second("unknown-recipient") with input as question({list: entries})
		}
	}
}

test_retention_of_personal_data if {
	admission.refuse == set() with input as question({"personal_data": "personal", "retention_ends": 1030 * 86400})
	admission.refuse == second("retention-missing") with input as question({"personal_data": "personal"})
	admission.refuse == second("retention-missing") with input as question({"personal_data": "special-category"})
	too_long := {"personal_data": "personal", "retention_ends": (1030 * 86400) + 1}
	admission.refuse == second("retention-too-long") with input as question(too_long)
	admission.refuse == set() with input as question({"retention_ends": 2000 * 86400})
}

test_retention_in_the_past if {
	admission.refuse == second("retention-past") with input as question({"retention_ends": 1000 * 86400})
	admission.refuse == set() with input as question({"retention_ends": (1000 * 86400) + 1})
}

test_clear_is_unclassified if {
	admission.refuse == second("tlp-conflict") with input as question({"tlp": "clear"})
	open := {"tlp": "clear", "classification": "unclassified", "marked_as": "OPEN"}
	admission.refuse == set() with input as question(open)
}

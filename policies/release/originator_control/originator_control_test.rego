package entente.release.originator_control_test

import data.entente.release.originator_control

question(controlled) := {
	"originator": "XA",
	"label": {"originator_control": controlled},
	"recipients": {"XB", "XC", "XD"},
	"world": {"communities": {"east": {"XC"}}},
}

consent := {"consent": {"originator": "XA", "recipients": {"members": {"XB"}, "communities": {"east"}}}}

test_without_originator_control_everybody if {
	originator_control.permits == {"XB", "XC", "XD"} with input as question(false)
}

test_consent_is_needed if originator_control.permits == set() with input as question(true)

test_those_in_the_consent if {
	originator_control.permits == {"XB", "XC"} with input as object.union(question(true), consent)
}

test_consent_to_a_source_does_not_count if {
	other := {"consents": {"two": consent.consent}}
	originator_control.permits == set() with input as object.union(question(true), other)
}

package entente.release.originator_control_test

import data.entente.release.originator_control

question(controlled, consents) := {
	"originator": "XA",
	"alert": "one",
	"label": {"originator_control": controlled},
	"consents": consents,
	"recipients": {"XB", "XC", "XD"},
	"world": {"communities": {"east": {"XC"}}},
}

consent(originator) := {"originator": originator, "recipients": {"members": {"XB"}, "communities": {"east"}}}

test_without_originator_control_everybody if {
	originator_control.permits == {"XB", "XC", "XD"} with input as question(false, {})
}

test_consent_is_needed if originator_control.permits == set() with input as question(true, {})

test_those_in_the_consent if {
	originator_control.permits == {"XB", "XC"} with input as question(true, {"one": consent("XA")})
}

test_consent_to_another_alert_does_not_count if {
	originator_control.permits == set() with input as question(true, {"two": consent("XA")})
}

test_consent_of_another_member_does_not_count if {
	originator_control.permits == set() with input as question(true, {"one": consent("XD")})
}

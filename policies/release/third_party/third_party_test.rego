package entente.release.third_party_test

import data.entente.release.third_party

consents := {
	"one": {"originator": "XB", "recipients": {"members": {"XC"}, "communities": {"east"}}},
	"two": {"originator": "XC", "recipients": {"members": {"XD"}, "communities": set()}},
	"self": {"originator": "XA", "recipients": {"members": {"XC"}, "communities": set()}},
	"old": {"originator": "XS", "recipients": {"members": {"XC"}, "communities": set()}},
}

question(sources) := {
	"originator": "XA",
	"alert": "self",
	"label": {"derived_from": sources},
	"consents": consents,
	"recipients": {"XB", "XC", "XD", "XS"},
	"world": {"active": {"XA", "XB", "XC", "XD"}, "communities": {"east": {"XD"}}},
}

test_without_sources_everybody if {
	third_party.permits == {"XB", "XC", "XD", "XS"} with input as question(set())
}

test_those_consented_and_the_source_itself if {
	third_party.permits == {"XB", "XC", "XD"} with input as question({"one"})
}

test_every_source_must_consent if third_party.permits == {"XC", "XD"} with input as question({"one", "two"})

test_a_source_without_consent_permits_nobody if {
	third_party.permits == set() with input as question({"three"})
	third_party.permits == set() with input as question({"one", "three"})
}

test_a_suspended_source_permits_nobody if third_party.permits == set() with input as question({"old"})

test_an_alert_is_no_source_of_its_own if third_party.permits == set() with input as question({"self"})

test_a_question_without_a_label_permits_nobody if {
	third_party.permits == set() with input as {"recipients": {"XA"}}
}

package entente.egress_test

import data.entente.egress

test_limits_are_data if {
	# regal ignore:unresolved-reference
	egress.limits == {"require_retention": true} with data.egress as {"require_retention": true}
}

label := {
	"classification": "restricted",
	"releasable_to": ["XB", "federation"],
	"categories": ["smuggling"],
	"personal_data": "none",
}

question(changes) := {"originator": "XA", "labels": [object.union(label, change) | some change in [{}, changes]]}

codes(reasons) := {[reason.portion, reason.code] | some reason in reasons}

test_without_limits_everything_leaves if {
	codes(egress.deny) == set() with egress.limits as {} with input as question({"personal_data": "special-category"})
}

test_classification if {
	codes(egress.deny) == {[1, "egress-classification"]} with egress.limits as {"max_classification": "restricted"}
		with input as question({"classification": "secret"})
	codes(egress.deny) == set() with egress.limits as {"max_classification": "top-secret"}
		with input as question({"classification": "secret"})
	codes(egress.deny) == {[1, "egress-classification"]} with egress.limits as {"max_classification": "restricted"}
		with input as question({"classification": "unheard-of"})
}

test_blocked_members if {
	limits := {"blocked_members": ["XC"]}
	codes(egress.deny) == {[0, "egress-recipient"]} with egress.limits as limits
		with input as question({"releasable_to": ["XB"]})
	codes(egress.deny) == {[0, "egress-recipient"], [1, "egress-recipient"]} with egress.limits as limits
		with input as question({"releasable_to": ["XB", "XC"]})
	codes(egress.deny) == {[0, "egress-recipient"], [1, "egress-recipient"]} with egress.limits as limits
		with input as question({"releasable_to": ["XB"], "discoverable_to": ["XC"]})
	codes(egress.deny) == set() with egress.limits as {"blocked_members": []} with input as question({})
}

test_categories_kept_in if {
	codes(egress.deny) == {[1, "egress-category"]} with egress.limits as {"categories_kept_in": ["visa"]}
		with input as question({"categories": ["smuggling", "visa"]})
}

test_handling_of_personal_data if {
	limits := {"require_handling_for_personal_data": true}
	codes(egress.deny) == {[1, "egress-handling"]} with egress.limits as limits
		with input as question({"personal_data": "personal"})
	codes(egress.deny) == set() with egress.limits as limits
		with input as question({"personal_data": "personal", "handling": ["H1"]})
	codes(egress.deny) == set() with egress.limits as {"require_handling_for_personal_data": false}
		with input as question({"personal_data": "personal"})
}

test_retention if {
	limits := {"require_retention": true}
	codes(egress.deny) == {[0, "egress-retention"]} with egress.limits as limits
		with input as question({"retention": "2027-03-31"})
}

package entente.release.agreement_test

import data.entente.release.agreement

given := {
	"smuggling": {
		"prevention": {
			"restricted": {"none": {"XA", "XB"}, "personal": {"XA"}},
			"unclassified": {"none": {"XA", "XB"}},
		},
		"investigation": {"restricted": {"none": {"XC"}}},
	},
	"trafficking": {"prevention": {"restricted": {"none": {"XB", "XC"}}}},
}

base := {
	"classification": "restricted",
	"tlp": "amber",
	"personal_data": "none",
	"categories": {"smuggling"},
	"purposes": {"prevention"},
}

question(changes) := {
	"label": object.union(base, changes),
	"given": given,
	"recipients": {"XA", "XB", "XC", "XD"},
}

test_covered_members if agreement.permits == {"XA", "XB"} with input as question({})

test_any_of_the_purposes_will_do if {
	agreement.permits == {"XA", "XB", "XC"} with input as question({"purposes": {"prevention", "investigation"}})
}

test_every_category_must_be_covered if {
	agreement.permits == {"XB"} with input as question({"categories": {"smuggling", "trafficking"}})
}

test_categories_may_rest_on_different_agreements if {
	both := {"categories": {"smuggling", "trafficking"}, "purposes": {"prevention"}}
	agreement.permits == {"XB"} with input as question(both)
}

test_agreements_must_share_a_purpose if {
	# XC has smuggling for investigation and trafficking for prevention only.
	agreement.permits == {"XB"} with input as question({
		"categories": {"smuggling", "trafficking"},
		"purposes": {"prevention", "investigation"},
	})
}

test_personal_data_need_to_be_covered if {
	agreement.permits == {"XA"} with input as question({"personal_data": "personal"})
}

test_what_no_agreement_names_is_covered_by_none if {
	agreement.permits == set() with input as question({"categories": {"visa"}})
	agreement.permits == set() with input as question({"purposes": {"humanitarian"}})
	agreement.permits == set() with input as question({"classification": "secret"})
	agreement.permits == set() with input as question({"personal_data": "special-category"})
}

test_membership_suffices_for_what_is_open if {
	every tlp in ["", "clear", "green", "amber", "red"] {
		agreement.permits == {"XA", "XB", "XC", "XD"} with input as question({"classification": "unclassified", "tlp": tlp})
	}
}

test_membership_does_not_suffice_otherwise if {
	agreement.permits == {"XA", "XB"} with input as question({"tlp": "green"})
	personal := {"classification": "unclassified", "tlp": "green", "personal_data": "personal"}
	agreement.permits == set() with input as question(personal)
}

test_a_question_without_a_label_permits_nobody if {
	agreement.permits == set() with input as {"recipients": {"XA"}}
}

package entente.release.tlp_test

import data.entente.release.tlp

question(colour) := {
	"label": {"tlp": colour, "releasable_to": {"members": {"XA"}, "communities": {"federation"}}},
	"recipients": {"XA", "XB"},
}

test_red_is_for_those_named_themselves if tlp.permits == {"XA"} with input as question("red")

test_other_labels_narrow_nothing_here if {
	every colour in ["", "clear", "green", "amber", "amber+strict"] {
		tlp.permits == {"XA", "XB"} with input as question(colour)
	}
}

test_a_question_without_a_label_permits_nobody if tlp.permits == set() with input as {"recipients": {"XA"}}

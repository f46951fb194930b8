package entente.release.onward_test

import data.entente.release.onward

label := {"originator_control": false, "handling": {"H0", "H1", "H3"}, "tlp": "amber"}

question(changes) := {"label": object.union(label, changes)}

test_nothing_on_the_label_forbids_it if {
	onward.permitted with input as question({})
	onward.permitted with input as question({"handling": set()})
}

test_no_tlp_and_the_wider_labels_permit_it if {
	every colour in ["", "clear", "green", "amber"] {
		onward.permitted with input as question({"tlp": colour})
	}
}

test_strict_red_and_unknown_labels_do_not if {
	every colour in ["amber+strict", "red", "purple"] {
		not onward.permitted with input as question({"tlp": colour})
	}
}

test_h2_does_not if {
	not onward.permitted with input as question({"handling": {"H2"}})
	not onward.permitted with input as question({"handling": {"H1", "H2"}})
}

test_originator_control_does_not if not onward.permitted with input as question({"originator_control": true})

test_a_label_without_a_field_does_not if {
	every field in ["originator_control", "handling", "tlp"] {
		answer := onward.permitted with input as {"label": object.remove(label, [field])}
		answer == false
	}
}

package entente.ingress.tlp_test

import data.entente.ingress.tlp

directory := {"users": {"ann", "bob", "cai"}, "focal_point": {"ann", "bob"}, "red": {"bob", "cai"}}

question(colour) := {"release": "content", "label": {"tlp": colour}, "directory": directory}

test_red_is_for_those_named_at_the_focal_point if tlp.permits == {"bob"} with input as question("red")

test_amber_strict_stays_with_the_focal_point if {
	tlp.permits == {"ann", "bob"} with input as question("amber+strict")
}

test_the_others_narrow_nothing if {
	every colour in ["clear", "green", "amber"] {
		tlp.permits == {"ann", "bob", "cai"} with input as question(colour)
	}
}

test_nor_does_none if {
	tlp.permits == {"ann", "bob", "cai"} with input as {"release": "content", "label": {}, "directory": directory}
}

test_an_unknown_colour_is_for_nobody if tlp.permits == set() with input as question("purple")

test_existence_has_no_colour if {
	tlp.permits == {"ann", "bob", "cai"} with input as {"release": "existence", "directory": directory}
}

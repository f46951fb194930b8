package entente.release.need_to_know_test

import data.entente.release.need_to_know

question(compartments) := {
	"label": {"compartments": compartments},
	"recipients": {"XA", "XB", "XC"},
	"world": {"compartments": {"tf-one": {"XA", "XB"}, "tf-two": {"XB", "XC"}}},
}

test_without_compartments_everybody if {
	need_to_know.permits == {"XA", "XB", "XC"} with input as question(set())
}

test_one_compartment if need_to_know.permits == {"XA", "XB"} with input as question({"tf-one"})

test_all_compartments_are_needed if {
	need_to_know.permits == {"XB"} with input as question({"tf-one", "tf-two"})
}

test_nobody_is_in_an_unknown_compartment if {
	need_to_know.permits == set() with input as question({"tf-none"})
	need_to_know.permits == set() with input as question({"tf-one", "tf-none"})
}

test_a_question_without_a_label_permits_nobody if {
	need_to_know.permits == set() with input as {"recipients": {"XA"}}
}

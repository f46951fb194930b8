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

emergency(members, compartments) := {"emergency": {"members": members, "compartments": compartments}}

test_an_emergency_excuses_whom_it_names_from_what_it_names if {
	both := question({"tf-one", "tf-two"})
	need_to_know.permits == {"XA", "XB"} with input as object.union(both, emergency({"XA"}, {"tf-two"}))
	need_to_know.permits == {"XB"} with input as object.union(both, emergency({"XA"}, {"tf-one"}))
	need_to_know.permits == {"XB"} with input as object.union(both, emergency({"XA", "XC"}, {"tf-three"}))
	need_to_know.permits == {"XB"} with input as object.union(both, emergency(set(), {"tf-one", "tf-two"}))
	every_one := emergency({"XA", "XC"}, {"tf-one", "tf-two"})
	need_to_know.permits == {"XA", "XB", "XC"} with input as object.union(both, every_one)
}

test_an_emergency_takes_nobody_out if {
	need_to_know.permits == {"XA", "XB"} with input as object.union(question({"tf-one"}), emergency({"XA"}, {"tf-one"}))
	need_to_know.permits == {"XA", "XB", "XC"} with input as object.union(question(set()), emergency({"XA"}, {"tf-one"}))
}

test_half_an_emergency_is_none if {
	one := question({"tf-one"})
	need_to_know.permits == {"XA", "XB"} with input as object.union(one, {"emergency": {}})
	need_to_know.permits == {"XA", "XB"} with input as object.union(one, {"emergency": {"members": {"XC"}}})
}

test_a_question_without_a_label_permits_nobody if {
	need_to_know.permits == set() with input as {"recipients": {"XA"}}
}

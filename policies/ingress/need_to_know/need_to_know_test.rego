package entente.ingress.need_to_know_test

import data.entente.ingress.need_to_know

question(compartments) := {
	"release": "content",
	"label": {"compartments": compartments},
	"emergency": set(),
	"directory": {
		"users": {"ann", "bob", "cai", "dee"},
		"focal_point": {"dee"},
		"task_forces": {"tf-one": {"ann", "bob"}, "tf-two": {"bob", "cai"}},
	},
}

everybody := {"ann", "bob", "cai", "dee"}

test_without_compartments_everybody if {
	need_to_know.permits == everybody with input as question([])
	need_to_know.permits == everybody with input as object.remove(question([]), ["emergency"])
	need_to_know.permits == everybody with input as object.union(object.remove(question([]), ["label"]), {"label": {}})
}

test_all_compartments_are_needed if {
	need_to_know.permits == {"ann", "bob"} with input as question(["tf-one"])
	need_to_know.permits == {"bob"} with input as question(["tf-one", "tf-two"])
}

test_nobody_is_in_an_unknown_compartment if {
	need_to_know.permits == set() with input as question(["tf-one", "tf-none"])
}

test_an_emergency_reaches_the_focal_point if {
	need_to_know.permits == {"bob", "dee"} with input as object.union(
		question(["tf-one", "tf-two"]),
		{"emergency": {"tf-one", "tf-two"}},
	)
	need_to_know.permits == {"ann", "bob", "dee"} with input as object.union(
		question(["tf-one"]),
		{"emergency": {"tf-one", "tf-two"}},
	)
	need_to_know.permits == {"dee"} with input as object.union(
		question(["tf-none"]),
		{"emergency": {"tf-none"}},
	)
}

test_an_emergency_opens_no_other_compartment if {
	need_to_know.permits == {"bob"} with input as object.union(
		question(["tf-one", "tf-two"]),
		{"emergency": {"tf-one"}},
	)
	need_to_know.permits == set() with input as object.union(
		question(["tf-none"]),
		{"emergency": {"tf-one", "tf-two"}},
	)
}

test_existence_has_no_compartments if {
	need_to_know.permits == everybody with input as object.union(
		object.remove(question([]), ["label"]),
		{"release": "existence"},
	)
}

test_content_without_a_label_is_for_nobody if {
	need_to_know.permits == set() with input as object.remove(question([]), ["label"])
}

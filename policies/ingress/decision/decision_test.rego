package entente.ingress.decision_test

import data.entente.ingress.decision

directory := {
	"users": {"ann", "bob", "cai", "dee"},
	"active": {"ann", "bob", "cai"},
	"focal_point": {"ann", "dee"},
	"red": {"ann"},
	"clearance": {"restricted": {"ann", "bob", "dee"}},
	"task_forces": {"tf-one": {"ann", "bob", "dee"}},
	"purposes": {"prevention": {"ann", "bob", "cai", "dee"}},
	"categories": {"smuggling": {"ann", "cai", "dee"}},
}

question := {
	"release": "content",
	"label": {
		"classification": "restricted",
		"tlp": "amber",
		"compartments": ["tf-one"],
		"categories": ["smuggling"],
	},
	"purposes": {"prevention"},
	"ended": false,
	"emergency": set(),
	"purpose": "prevention",
	"ceiling": {"restricted"},
	"directory": directory,
}

none := {
	"ingress-standing": set(),
	"ingress-purpose": set(),
	"ingress-existence": set(),
	"ingress-holding": set(),
	"ingress-clearance": set(),
	"ingress-need-to-know": set(),
	"ingress-agency": set(),
	"ingress-tlp": set(),
}

test_the_whole_answer if {
	answer := decision.answer with input as question
	answer == {"permitted": {"ann"}, "refused": object.union(none, {
		"ingress-standing": {"dee"},
		"ingress-clearance": {"cai"},
		"ingress-need-to-know": {"cai"},
		"ingress-agency": {"bob"},
	})}
}

test_existence if {
	answer := decision.answer with input as object.union(
		object.remove(question, ["label"]),
		{"release": "existence", "purposes": set()},
	)
	answer == {"permitted": {"ann"}, "refused": object.union(none, {
		"ingress-standing": {"dee"},
		"ingress-existence": {"bob", "cai"},
	})}
}

test_nothing_else_is_ever_read if {
	answer := decision.answer with input as object.union(object.remove(question, ["label"]), {"release": "none"})
	answer.permitted == set()
}

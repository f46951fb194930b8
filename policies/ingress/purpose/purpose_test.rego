package entente.ingress.purpose_test

import data.entente.ingress.purpose

question(stated, released) := {
	"release": "content",
	"purpose": stated,
	"purposes": released,
	"directory": {"purposes": {"prevention": {"ann", "bob"}, "investigation": {"bob"}}},
}

test_stated_and_released if {
	purpose.permits == {"bob"} with input as question("investigation", {"investigation", "prevention"})
}

test_not_released if purpose.permits == set() with input as question("investigation", {"prevention"})

test_nobodys_purpose if purpose.permits == set() with input as question("humanitarian", {"humanitarian"})

test_existence_needs_the_users_own_alone if {
	purpose.permits == {"ann", "bob"} with input as object.union(
		question("prevention", set()),
		{"release": "existence"},
	)
}

package entente.release.active_test

import data.entente.release.active

world := {"active": {"XA", "XB"}}

test_active_members_are_permitted if {
	active.permits == {"XA", "XB"} with input as {"originator": "XA", "world": world}
}

test_nobody_gets_anything_from_a_suspended_originator if {
	active.permits == set() with input as {"originator": "XC", "world": world}
}

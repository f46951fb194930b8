package entente.release.audience_test

import data.entente.release.audience

question(tlp) := {
	"label": {"tlp": tlp, "discoverable_to": {"members": {"XA"}, "communities": {"east", "nowhere"}}},
	"world": {"communities": {"east": {"XB"}}},
}

test_communities_are_expanded if audience.discoverers == {"XA", "XB"} with input as question("amber")

test_red_is_for_those_named_themselves if audience.discoverers == {"XA"} with input as question("red")

test_without_a_label_nobody if audience.discoverers == set() with input as {}

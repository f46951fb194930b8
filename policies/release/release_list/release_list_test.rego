package entente.release.release_list_test

import data.entente.release.release_list

question(members, communities) := {
	"label": {"releasable_to": {"members": members, "communities": communities}},
	"world": {"communities": {"east": {"XB", "XC"}, "west": {"XD"}}},
}

test_an_empty_list_is_nobody if release_list.permits == set() with input as question(set(), set())

test_members_by_name if release_list.permits == {"XA", "XB"} with input as question({"XA", "XB"}, set())

test_communities_are_expanded if {
	release_list.permits == {"XA", "XB", "XC", "XD"} with input as question({"XA"}, {"east", "west"})
}

test_an_unknown_community_is_nobody if {
	release_list.permits == {"XA"} with input as question({"XA"}, {"north"})
}

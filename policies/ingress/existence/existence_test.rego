package entente.ingress.existence_test

import data.entente.ingress.existence

directory := {"users": {"ann", "bob"}, "focal_point": {"ann"}}

test_the_focal_point if existence.permits == {"ann"} with input as {"release": "existence", "directory": directory}

test_content_is_for_the_others_to_judge if {
	existence.permits == {"ann", "bob"} with input as {"release": "content", "directory": directory}
}

test_no_other_kind if existence.permits == set() with input as {"release": "none", "directory": directory}

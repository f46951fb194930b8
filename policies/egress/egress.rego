# METADATA
# title: Egress
# description: |
#   A member's own rules on what leaves it, checked at its node. deny holds an
#   entry for every reason. The limits are the member's, in data.egress; one that
#   is not set limits nothing. A member may replace this module by its own.
#
#   input.originator  the member itself
#   input.labels      the portions' labels in their JSON form
package entente.egress

# regal ignore:unresolved-reference
limits := data.egress # given to the engine beside the rules

# METADATA
# title: Highest level that leaves
# description: data.egress.max_classification, a level.
# custom:
#   code: egress-classification
#   message: The classification is above what may leave.
#   order: 1
deny contains refusal(rego.metadata.rule(), portion) if {
	some portion, label in input.labels
	limit := limits.max_classification
	not within(label.classification, limit)
}

# METADATA
# title: Blocked members
# description: |
#   data.egress.blocked_members: none of them may be named in a list. A community
#   may have any of them in it, so that with a block in place lists name members.
# custom:
#   code: egress-recipient
#   message: A list names a blocked member, or a community that may hold one.
#   order: 2
deny contains refusal(rego.metadata.rule(), portion) if {
	some portion, label in input.labels
	some list in ["releasable_to", "discoverable_to"]
	some entry in label[list]
	blocked(entry)
}

# METADATA
# title: Categories kept in
# description: data.egress.categories_kept_in never leave.
# custom:
#   code: egress-category
#   message: A category of the portion is kept in.
#   order: 3
deny contains refusal(rego.metadata.rule(), portion) if {
	some portion, label in input.labels
	some category in label.categories
	category in limits.categories_kept_in
}

# METADATA
# title: Handling of personal data
# description: With data.egress.require_handling_for_personal_data they leave with a handling code only.
# custom:
#   code: egress-handling
#   message: Personal data leave with a handling code only.
#   order: 4
deny contains refusal(rego.metadata.rule(), portion) if {
	limits.require_handling_for_personal_data
	some portion, label in input.labels
	label.personal_data != "none"
	count(object.get(label, "handling", [])) == 0
}

# METADATA
# title: Retention
# description: With data.egress.require_retention every portion names how long it may be held.
# custom:
#   code: egress-retention
#   message: The portion does not name its retention.
#   order: 5
deny contains refusal(rego.metadata.rule(), portion) if {
	limits.require_retention
	some portion, label in input.labels
	not label.retention
}

refusal(rule, portion) := {"code": rule.custom.code, "message": rule.custom.message, "portion": portion}

within(level, limit) if rank[level] <= rank[limit]

rank := {"unclassified": 1, "restricted": 2, "confidential": 3, "secret": 4, "top-secret": 5}

blocked(entry) if entry in limits.blocked_members

# Communities are spelt in lower case, members in capitals.
blocked(entry) if {
	count(limits.blocked_members) > 0
	lower(entry) == entry
}

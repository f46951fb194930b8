# METADATA
# title: Agreement
# description: |
#   There must be one purpose of the portion for which each of its categories is
#   covered by an agreement in force from the originator to the recipient, at the
#   portion's level and for its kind of personal data. Categories may rest on
#   different agreements, but not on ones that share no purpose: the recipient
#   could use the portion for nothing.
# custom:
#   code: agreement
#   message: No agreement in force with the recipient covers the portion.
#   order: 7
package entente.release.agreement

default permits := set()

permits := input.recipients if membership_suffices

else := reached(input.label.personal_data)

# METADATA
# title: Membership suffices
# description: |
#   The one exception: what is unclassified and holds no personal data needs no
#   agreement. TLP has no say in it: it narrows an audience and never widens it.
membership_suffices if {
	input.label.classification == "unclassified"
	input.label.personal_data == "none"
}

# METADATA
# description: |
#   The members to whom agreements reach in every category for one purpose, for a
#   kind of personal data. What no agreement names reaches nobody.
reached(kind) := union({intersection({covered |
	some category in input.label.categories
	covered := object.get(input.given, [category, purpose, input.label.classification, kind], set())
}) |
	some purpose in input.label.purposes
})

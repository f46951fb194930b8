# METADATA
# title: Admission
# description: |
#   What the federation does not take in. refuse holds an entry for every reason,
#   with the portion's position where it concerns one.
#
#   input.originator, input.issued_at, input.expires   of the alert; times in
#   seconds since 1970-01-01 UTC
#   input.labels    the portions' labels, lists as sets; retention_ends where named
#   input.world     as for release
package entente.admission

# METADATA
# title: Originator in good standing
# description: Only a member that is not suspended publishes.
# custom:
#   code: originator-suspended
#   message: The originator is suspended or no member.
#   order: 1
refuse contains {"code": rego.metadata.rule().custom.code} if {
	not input.originator in input.world.active
}

# METADATA
# title: Known marking scheme
# description: Levels mean nothing under a marking scheme that the registry does not list.
# custom:
#   code: unknown-scheme
#   message: The marking scheme is not in use in the federation.
#   order: 2
refuse contains {"code": rego.metadata.rule().custom.code, "portion": portion} if {
	some portion, label in input.labels
	not input.world.schemes[label.policy]
}

# METADATA
# title: A name for the level
# description: |
#   A level goes by a name of the label's marking scheme. Where the label says which,
#   it must stand for the very level; where it does not, the scheme must have one.
#   What the scheme does not know is refused, never guessed.
# custom:
#   code: unknown-marking
#   message: The marking scheme has no such name for the level.
#   order: 10
refuse contains {"code": rego.metadata.rule().custom.code, "portion": portion} if {
	some portion, label in input.labels
	names := input.world.schemes[label.policy]
	not named(names, label)
}

# METADATA
# title: Originator's ceiling
# description: A member publishes nothing above its own ceiling.
# custom:
#   code: originator-ceiling
#   message: The classification is above the originator's ceiling.
#   order: 3
refuse contains {"code": rego.metadata.rule().custom.code, "portion": portion} if {
	some portion, label in input.labels
	not cleared(label.classification)
}

# METADATA
# title: Compartments of the originator's own
# description: |
#   A compartment that does not exist and one that the originator is not in are
#   refused alike: a member must not learn which task forces exist.
# custom:
#   code: unknown-compartment
#   message: The originator is in no such compartment.
#   order: 4
refuse contains {"code": rego.metadata.rule().custom.code, "portion": portion} if {
	some portion, label in input.labels
	some compartment in label.compartments
	not inside(compartment)
}

# METADATA
# title: Known recipients
# description: An entry that names nobody is more likely a mistake than a wish.
# custom:
#   code: unknown-recipient
#   message: A list names a member or community that does not exist.
#   order: 5
refuse contains {"code": rego.metadata.rule().custom.code, "portion": portion} if {
	some portion, label in input.labels
	some list in {label.releasable_to, label.discoverable_to}
	names_nobody(list)
}

# METADATA
# title: Personal data are held for a time
# description: A portion with personal data must say until when it may be held.
# custom:
#   code: retention-missing
#   message: A portion with personal data must name its retention.
#   order: 6
refuse contains {"code": rego.metadata.rule().custom.code, "portion": portion} if {
	some portion, label in input.labels
	label.personal_data != "none"
	not label.retention_ends
}

# METADATA
# title: Personal data are held no longer than the federation allows
# description: From the alert's iat to the end of the last day of holding.
# custom:
#   code: retention-too-long
#   message: The retention of personal data is longer than the federation allows.
#   order: 7
refuse contains {"code": rego.metadata.rule().custom.code, "portion": portion} if {
	some portion, label in input.labels
	label.personal_data != "none"
	label.retention_ends > input.issued_at + (((input.world.max_retention_days * 24) * 60) * 60)
}

# METADATA
# title: Retention lies ahead
# description: What may no longer be held when it is issued can not be shared.
# custom:
#   code: retention-past
#   message: The retention ended before the alert was issued.
#   order: 8
refuse contains {"code": rego.metadata.rule().custom.code, "portion": portion} if {
	some portion, label in input.labels
	label.retention_ends <= input.issued_at
}

# METADATA
# title: Classified is not for everyone
# description: TLP:CLEAR puts no limit on disclosure (FIRST TLP 2.0), a level above unclassified does.
# custom:
#   code: tlp-conflict
#   message: TLP:CLEAR contradicts a classification above unclassified.
#   order: 9
refuse contains {"code": rego.metadata.rule().custom.code, "portion": portion} if {
	some portion, label in input.labels
	label.tlp == "clear"
	label.classification != "unclassified"
}

cleared(level) if input.originator in input.world.clearance[level]

inside(compartment) if input.originator in input.world.compartments[compartment]

named(names, label) if names[label.marked_as] == label.classification

named(names, label) if {
	label.marked_as == ""
	some level in names
	level == label.classification
}

names_nobody(list) if count(list.members - input.world.members) > 0

names_nobody(list) if {
	some community in list.communities
	not input.world.communities[community]
}

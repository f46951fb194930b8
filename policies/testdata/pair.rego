# METADATA
# title: One pair
# description: |
#   The rules of release as one would write them without sets of members: may
#   this recipient have this portion? The benchmark measures the answer for all
#   recipients at once against it; a test holds it to the oracle.
package entente.pair

# regal ignore:unresolved-reference
world := data.world # given to the engine beside the rules

default kind := "none"

kind := "content" if count(refused) == 0

kind := "existence" if {
	count(refused) > 0
	count(refused & {"suspended", "originator-control", "third-party"}) == 0
	discovers
}

refused contains "suspended" if {
	some member in [input.originator, input.recipient]
	not world.members[member].active
}

refused contains "clearance" if world.members[input.recipient].ceiling < input.label.classification

refused contains "need-to-know" if {
	some compartment in input.label.compartments
	not world.task_forces[compartment][input.recipient]
	not compartment in excused
}

refused contains "release-list" if not listed(input.label.releasable_to)

refused contains "tlp" if {
	input.label.tlp == "red"
	not input.recipient in input.label.releasable_to
}

refused contains "agreement" if {
	not membership_suffices
	not input.label.personal_data in agreed
}

refused contains "personal-data" if {
	not membership_suffices
	not input.label.personal_data in agreed
	1 in agreed
}

refused contains "originator-control" if {
	input.label.originator_control
	not originator_consents
}

refused contains "third-party" if {
	some source in input.label.derived_from
	not source in consented
}

membership_suffices if {
	input.label.classification == 1
	input.label.personal_data == 1
}

agreed contains personal_data if {
	some personal_data in {1, input.label.personal_data}
	some purpose in input.label.purposes
	every category in input.label.categories {
		some agreement in world.agreements[input.originator][input.recipient]
		agreement.level >= input.label.classification
		agreement.personal_data >= personal_data
		purpose in agreement.purposes
		category in agreement.categories
	}
}

originator_consents if listed(world.consents[input.alert][input.originator])

consented contains source if {
	some source in input.label.derived_from
	source != input.alert
	owner := input.sources[source]
	world.members[owner].active
	reached(world.consents[source][owner], owner)
}

reached(list, _) if listed(list)

reached(_, owner) if input.recipient == owner

excused contains compartment if {
	emergency := world.emergencies[input.alert][input.originator]
	input.recipient in emergency.members
	some compartment in emergency.compartments
}

listed(list) if input.recipient in list

listed(list) if {
	some entry in list
	world.communities[entry][input.recipient]
}

discovers if {
	input.label.tlp == "red"
	input.recipient in input.label.discoverable_to
}

discovers if {
	input.label.tlp != "red"
	listed(input.label.discoverable_to)
}

# METADATA
# title: Need to know
# description: |
#   The recipient must be in every compartment of the label. Nobody is in an
#   unknown compartment.
# custom:
#   code: need-to-know
#   message: The recipient is not in every compartment of the portion.
#   order: 3
package entente.release.need_to_know

default permits := set()

permits := input.recipients if count(input.label.compartments) == 0

permits := intersection({object.get(input.world.compartments, compartment, set()) |
	some compartment in input.label.compartments
}) if {
	count(input.label.compartments) > 0
}

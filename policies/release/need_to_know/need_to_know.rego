# METADATA
# title: Need to know
# description: |
#   The recipient must be in every compartment of the label. Nobody is in an
#   unknown compartment. Where a life is threatened the originator may declare an
#   emergency for the alert: of the compartments that it names, the members that it
#   names need not be in. No other rule looks at it.
# custom:
#   code: need-to-know
#   message: The recipient is not in every compartment of the portion.
#   order: 3
package entente.release.need_to_know

default permits := set()

permits := input.recipients if count(input.label.compartments) == 0

permits := intersection({inside(compartment) | some compartment in input.label.compartments}) if {
	count(input.label.compartments) > 0
}

# METADATA
# description: The members that are in a compartment, or need not be.
inside(compartment) := object.get(input.world.compartments, compartment, set()) | excused(compartment)

default excused(_) := set()

excused(compartment) := input.emergency.members if compartment in input.emergency.compartments

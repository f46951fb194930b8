# METADATA
# title: Need to know
# description: |
#   The user must be in every compartment of the label. What was released only
#   because the originator has declared an emergency may lie in compartments that
#   the member has no user in: those that the emergency names do not keep it from the
#   focal point, whose duty it is to act. All others do.
# custom:
#   code: ingress-need-to-know
#   message: The user is not in every compartment of the portion.
#   order: 6
package entente.ingress.need_to_know

default permits := set()

permits := input.directory.users if input.release == "existence"

permits := input.directory.users if {
	input.release == "content"
	count(compartments) == 0
}

permits := intersection({inside(compartment) | some compartment in compartments}) if {
	input.release == "content"
	count(compartments) > 0
}

# Undefined without a label, and then nobody is permitted.
compartments := object.get(input.label, "compartments", [])

inside(compartment) := object.get(input.directory.task_forces, compartment, set()) | excused(compartment)

default excused(_) := set()

excused(compartment) := input.directory.focal_point if compartment in input.emergency

# METADATA
# title: Agencies that need it
# description: |
#   The user's agency must deal with at least one category of the portion. So
#   TLP:AMBER stays with the agencies that need it.
# custom:
#   code: ingress-agency
#   message: The user's agency deals with no category of the portion.
#   order: 7
package entente.ingress.agency

default permits := set()

permits := union({users | some category in input.label.categories; users := input.directory.categories[category]}) if {
	input.release == "content"
}

permits := input.directory.users if input.release == "existence"

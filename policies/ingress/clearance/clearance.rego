# METADATA
# title: Clearance
# description: |
#   The user's clearance must dominate the portion's level, and so must the
#   member's own ceiling, which bounds the clearances that the member gives.
# custom:
#   code: ingress-clearance
#   message: The classification is above the user's clearance or the member's ceiling.
#   order: 5
package entente.ingress.clearance

default permits := set()

permits := input.directory.clearance[input.label.classification] if input.label.classification in input.ceiling

permits := input.directory.users if input.release == "existence"

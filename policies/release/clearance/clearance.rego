# METADATA
# title: Clearance
# description: |
#   The recipient's ceiling must dominate the portion's level. A member without
#   a ceiling is cleared for nothing.
# custom:
#   code: clearance
#   message: The classification is above the recipient's ceiling.
#   order: 2
package entente.release.clearance

default permits := set()

permits := input.world.clearance[input.label.classification]

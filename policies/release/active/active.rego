# METADATA
# title: Members in good standing
# description: |
#   A suspended member gets nothing and gives nothing; so does whoever is no
#   member at all.
# custom:
#   code: suspended
#   message: The originator or the recipient is suspended or no member.
#   order: 1
package entente.release.active

default permits := set()

permits := input.world.active if input.originator in input.world.active

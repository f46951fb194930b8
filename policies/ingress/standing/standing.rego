# METADATA
# title: Users in good standing
# description: A suspended user reads nothing; nor does whoever is not in the directory.
# custom:
#   code: ingress-standing
#   message: The user is suspended.
#   order: 1
package entente.ingress.standing

default permits := set()

permits := input.directory.active

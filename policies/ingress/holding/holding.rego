# METADATA
# title: Lawful holding
# description: Where the time for which content may be held is over, nobody reads it.
# custom:
#   code: ingress-holding
#   message: The time for which the portion may be held is over.
#   order: 4
package entente.ingress.holding

default permits := set()

permits := input.directory.users if input.ended == false

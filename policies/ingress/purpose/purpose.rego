# METADATA
# title: Purpose limitation
# description: |
#   A user reads for a purpose of its own, and content only for one that its
#   release allows.
# custom:
#   code: ingress-purpose
#   message: The stated purpose is not one of the user's, or not one that the release allows.
#   order: 2
package entente.ingress.purpose

default permits := set()

permits := input.directory.purposes[input.purpose] if input.purpose in input.purposes

permits := input.directory.purposes[input.purpose] if input.release == "existence"

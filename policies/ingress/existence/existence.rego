# METADATA
# title: Existence
# description: |
#   A portion of which existence alone was released comes without a label by which
#   it could be judged: it is for the focal point, which can ask the originator.
# custom:
#   code: ingress-existence
#   message: Portions of which only existence was released are for the focal point.
#   order: 3
package entente.ingress.existence

default permits := set()

permits := input.directory.focal_point if input.release == "existence"

permits := input.directory.users if input.release == "content"

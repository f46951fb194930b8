# METADATA
# title: Traffic Light Protocol
# description: |
#   TLP:AMBER+STRICT stays with the organisation that received it: the focal point.
#   TLP:RED stays with those of it who are named for it, so that what is narrower
#   reaches nobody whom the wider would not (FIRST TLP 2.0). TLP:AMBER is for those
#   who need to know, which the rules on agencies and compartments see to; TLP:GREEN
#   and TLP:CLEAR narrow nothing.
# custom:
#   code: ingress-tlp
#   message: The Traffic Light Protocol label keeps the portion with the focal point or with users named for TLP:RED.
#   order: 8
package entente.ingress.tlp

default permits := set()

permits := input.directory.focal_point & input.directory.red if input.label.tlp == "red"

permits := input.directory.focal_point if input.label.tlp == "amber+strict"

permits := input.directory.users if object.get(input.label, "tlp", "") in {"", "clear", "green", "amber"}

permits := input.directory.users if input.release == "existence"

# METADATA
# title: Traffic Light Protocol
# description: |
#   TLP:RED is for the recipients that are named themselves, not for those of a
#   community (FIRST TLP 2.0). The other labels bind what happens inside and
#   after the recipient, and narrow nothing here. None widens the audience.
# custom:
#   code: tlp
#   message: TLP:RED is only for recipients that the release list names themselves.
#   order: 5
package entente.release.tlp

default permits := set()

permits := input.label.releasable_to.members if input.label.tlp == "red"

permits := input.recipients if input.label.tlp != "red"

# METADATA
# title: Originator control
# description: |
#   Under originator control the recipient must be listed in the originator's
#   own consent to the release of this alert.
# custom:
#   code: originator-control
#   message: The originator has not consented to a release to the recipient.
#   order: 8
package entente.release.originator_control

import data.entente.release.audience

default permits := set()

permits := input.recipients if input.label.originator_control == false

permits := audience.expand(input.consent.recipients) if input.label.originator_control

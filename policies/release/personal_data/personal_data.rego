# METADATA
# title: Personal data
# description: |
#   Refuses those whom agreements would cover but for the personal data. The
#   agreement rule refuses them too; this one says why. It is given first.
# custom:
#   code: personal-data
#   message: The agreements with the recipient do not cover this kind of personal data.
#   order: 6
package entente.release.personal_data

import data.entente.release.agreement

permits := input.recipients if input.label.personal_data == "none"

permits := input.recipients - (agreement.reached("none") - agreement.permits) if {
	input.label.personal_data != "none"
}

# METADATA
# title: Release
# description: |
#   Who gets content, who learns of existence only, and who is refused content
#   for which reasons: for all members at once. Each rule is a package beside
#   this one whose permits is the set of members that it lets through; a member
#   must be in all of them. And whether the label lets those who get content pass
#   it on. A set may be wider than the recipients; no one else gets anything.
#
#   input.originator  the member whose portion it is
#   input.alert       the alert's id; consent is given to an alert
#   input.label       the portion's label, lists as sets
#   input.recipients  everyone but the originator, to whom nothing is released
#   input.world       members, and sets of them by level, compartment, community
#   input.given       the originator's agreements in force: category, purpose,
#                     level and kind of personal data to the receivers covered
#   input.emergency   members, and compartments that they need not be in
#   input.consents    consents to the alert and to what it is derived from
package entente.release.decision

import data.entente.release.active
import data.entente.release.agreement
import data.entente.release.audience
import data.entente.release.clearance
import data.entente.release.need_to_know
import data.entente.release.onward
import data.entente.release.originator_control
import data.entente.release.personal_data
import data.entente.release.release_list
import data.entente.release.third_party
import data.entente.release.tlp

# METADATA
# title: Answer
# description: |
#   The whole answer. Content goes to the recipients that are in all sets of
#   content, which has one for every rule; the codes of the others are those of the
#   rules whose sets they are not in. Of the others, those that are in all sets of
#   existence learn of existence. Existence is no content: clearance, compartments
#   and agreements do not bind it. The originator chose who may learn of it;
#   standing and consents bind it all the same.
# entrypoint: true
answer := {
	"content": {
		"active": active.permits,
		"clearance": clearance.permits,
		"need_to_know": need_to_know.permits,
		"release_list": release_list.permits,
		"tlp": tlp.permits,
		"personal_data": personal_data.permits,
		"agreement": agreement.permits,
		"originator_control": originator_control.permits,
		"third_party": third_party.permits,
	},
	"existence": {
		"discoverers": audience.discoverers,
		"active": active.permits,
		"originator_control": originator_control.permits,
		"third_party": third_party.permits,
	},
	"onward": onward.permitted,
}

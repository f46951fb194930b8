# METADATA
# title: Release
# description: |
#   Who gets content, who learns of existence only, and who is refused content
#   for which reasons: for all members at once. Each rule is a package beside
#   this one whose permits is the set of members that it lets through; a member
#   must be in all of them. And whether the label lets those who get content pass
#   it on.
#
#   input.originator  the member whose portion it is
#   input.alert       the alert's id; consent is given to an alert
#   input.label       the portion's label, lists as sets
#   input.recipients  everyone but the originator, to whom nothing is released
#   input.world       members, and sets of them by level, compartment, community
#   input.given       the originator's agreements in force: category, purpose,
#                     level and kind of personal data to the receivers covered
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
#   The whole answer. refused holds an entry for every rule. Existence is no
#   content: clearance, compartments and agreements do not bind it. The originator
#   chose who may learn of it; standing and consents bind it all the same.
# entrypoint: true
answer := {"content": content, "existence": existence, "onward": onward.permitted, "refused": refused} if {
	refused := {
		"active": input.recipients - active.permits,
		"clearance": input.recipients - clearance.permits,
		"need_to_know": input.recipients - need_to_know.permits,
		"release_list": input.recipients - release_list.permits,
		"tlp": input.recipients - tlp.permits,
		"personal_data": input.recipients - personal_data.permits,
		"agreement": input.recipients - agreement.permits,
		"originator_control": input.recipients - originator_control.permits,
		"third_party": input.recipients - third_party.permits,
	}
	content := input.recipients - union({members | some members in refused})
	existence := ((audience.discoverers & input.recipients) - content) - union({
		refused.active,
		refused.originator_control,
		refused.third_party,
	})
}

# METADATA
# title: Ingress
# description: |
#   Who of the member's own users may have a portion that it holds, and who is
#   refused it for which reasons: for all users at once. Each rule is a package
#   beside this one whose permits is the set of users that it lets through; a user
#   must be in all of them.
#
#   input.release    "content", or "existence" where no more was released
#   input.label      the portion's label in its JSON form; with content only
#   input.purposes   the purposes for which the release allows the content
#   input.ended      whether the time for which it may be held is over
#   input.emergency  the compartments that an emergency opens; empty unless the
#                    content was released only because one was declared
#   input.purpose    what the user states to read for
#   input.ceiling    the levels that the member itself is cleared for
#   input.directory  users, and sets of them: active, focal_point, red (named for
#                    TLP:RED), and by level, task force, purpose and category
package entente.ingress.decision

import data.entente.ingress.agency
import data.entente.ingress.clearance
import data.entente.ingress.existence
import data.entente.ingress.holding
import data.entente.ingress.need_to_know
import data.entente.ingress.purpose
import data.entente.ingress.standing
import data.entente.ingress.tlp

# METADATA
# title: Answer
# description: The whole answer. refused holds an entry for every rule, by its code.
# entrypoint: true
answer := {"permitted": permitted, "refused": refused} if {
	refused := {
		"ingress-standing": input.directory.users - standing.permits,
		"ingress-purpose": input.directory.users - purpose.permits,
		"ingress-existence": input.directory.users - existence.permits,
		"ingress-holding": input.directory.users - holding.permits,
		"ingress-clearance": input.directory.users - clearance.permits,
		"ingress-need-to-know": input.directory.users - need_to_know.permits,
		"ingress-agency": input.directory.users - agency.permits,
		"ingress-tlp": input.directory.users - tlp.permits,
	}
	permitted := input.directory.users - union({users | some users in refused})
}

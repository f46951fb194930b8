# METADATA
# title: Third-party rule
# description: |
#   What is derived from another alert goes only to those to whom that alert's
#   originator, a member in good standing, has consented, and to that originator
#   itself. Without a consent on record for a source nobody is permitted, even
#   where the source is the originator's own. An alert is no source of its own.
# custom:
#   code: third-party
#   message: The originator of a source has not consented to a release to the recipient.
#   order: 9
package entente.release.third_party

import data.entente.release.audience

default permits := set()

permits := input.recipients if count(input.label.derived_from) == 0

permits := intersection({consented(source) | some source in input.label.derived_from}) if {
	count(input.label.derived_from) > 0
	not input.alert in input.label.derived_from
}

default consented(_) := set()

consented(source) := audience.expand(consent.recipients) | {consent.originator} if {
	consent := input.consents[source]
	consent.originator in input.world.active
}

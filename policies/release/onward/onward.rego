# METADATA
# title: Onward sharing
# description: |
#   Whether the label lets the recipient pass the portion on. It does not under
#   originator control, nor under the Europol handling code H2, which keeps the
#   portion with the recipient until the originator agrees; TLP:AMBER+STRICT and
#   TLP:RED go no further than the recipient (FIRST TLP 2.0). This is no reason
#   to refuse a release but binds whoever gets it, so that it has no code. An
#   agreement that the release rests on may forbid what the label permits.
# custom:
#   obligation: onward
package entente.release.onward

default permitted := false

permitted if {
	input.label.originator_control == false
	count(input.label.handling & {"H2"}) == 0
	input.label.tlp in {"", "clear", "green", "amber"}
}

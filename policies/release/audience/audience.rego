# METADATA
# title: Audience lists
# description: |
#   What an audience list stands for: the members that it names and those of the
#   communities that it names. An unknown entry stands for nobody.
package entente.release.audience

# METADATA
# description: The members that a list stands for.
expand(list) := list.members | union({members |
	some community in list.communities
	members := input.world.communities[community]
})

# METADATA
# description: The members that may learn of existence, as far as the list goes.
# scope: document
default discoverers := set()

# TLP:RED is for named recipients only, of existence too.
discoverers := input.label.discoverable_to.members if input.label.tlp == "red"

discoverers := expand(input.label.discoverable_to) if input.label.tlp != "red"

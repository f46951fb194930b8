# METADATA
# title: Release list
# description: |
#   The recipient must be named in the release list, itself or by a community.
#   An empty list is nobody but the originator.
# custom:
#   code: release-list
#   message: The release list does not name the recipient.
#   order: 4
package entente.release.release_list

import data.entente.release.audience

permits := audience.expand(input.label.releasable_to)

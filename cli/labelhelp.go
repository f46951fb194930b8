package cli

import (
	"fmt"
	"strings"

	"github.com/entente-hub/entente/api/alert"
)

// labelExample is a label file that has every field.
const labelExample = `  expires_in: 720h
  portions:
    - id: transport
      notice: A vehicle used for smuggling       # what a hit may say
      label:
        policy: urn:entente:policy:xa:1          # the marking scheme
        marked_as: XA-VERTRAULICH                # what the scheme calls the level
        classification: confidential             # unclassified … top-secret
        tlp: amber                               # clear, green, amber, amber+strict, red
        compartments: [tf-river]                 # recipients must be in all
        releasable_to: [XB, federation]          # recipients must be in one
        discoverable_to: [XC]                    # may learn that it exists
        categories: [smuggling]
        purposes: [investigation]
        personal_data: personal                  # none, personal, special-category
        handling: [H1, H3]                       # Europol codes, H0 to H3
        handling_text: Ask XA before an arrest   # goes with H3
        originator_control: true                 # each release needs your consent
        retention: 2030-12-31                    # last day of lawful holding
        derived_from: [01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e]   # alerts it draws on
      grading: { scheme: 4x4, source: A, information: "1" }   # or admiralty, 3x5x2
      objects: [x-vehicle, indicator--d76f8ecb-4e6d-525c-a7ea-aea6549171d2]
    - id: summary
      label:
        marked_as: XA-NfD                        # in your own scheme
        releasable_to: [federation]
        categories: [smuggling]
        purposes: [prevention]
        personal_data: none
      objects: ["*"]                             # types, ids, or "*": all the rest
`

// labelFileHelp explains label files to those who publish and preview.
func labelFileHelp() string {
	return fmt.Sprintf(`A label file says how the objects become portions and who may have each:

%s
A portion needs id, label and objects; its label needs classification or marked_as,
categories, purposes and personal_data. Without releasable_to nobody gets it.
A name in marked_as stands for the level that the registry maps it to in the
marking scheme that policy names; one that is not mapped, or that contradicts the
classification beside it, is refused. Without policy it is your member's own scheme.
Readers get the level by its name in theirs, with yours beside it.
Personal data needs retention: an alert that has it without is refused.

Categories: %s.
Purposes: %s.`, labelExample, wrapped(alert.Categories), wrapped(alert.Purposes))
}

// wrapped lists names, four a line.
func wrapped[T ~string](names []T) string {
	var b strings.Builder
	for i, n := range names {
		switch {
		case i == 0:
		case i%4 == 0:
			b.WriteString(",\n  ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(n))
	}
	return b.String()
}

package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
)

func holdersCommand() *cobra.Command {
	var f nodeFlags
	var late bool
	c := &cobra.Command{
		Use:   "holders ALERT",
		Short: "See who holds an alert of your member's own, who has erased it, and who is late",
		Long: `Lists every member to which anything of an alert of your member's own was handed over: the
latest version that it was handed, whether it has acknowledged that, what it still holds of
which version, and what it says with signed receipts to have erased. That something was
handed over is the hub's word. That something was received or erased is the member's own:
your node verifies each acknowledgement and each receipt up to that member's root, and one
that does not hold counts for nothing and is listed as such.

A member is late that for more than a day has held what a recall, a later version or time has
ended, or has not fetched the first version after the one that it has. It need not be its fault: its node may be switched off, or the hub
may hide its receipts. With --late only those are listed. Each question leaves an entry in
the hub's audit log.`,
		Example: "  entente holders 01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --config nodes/XA/node.yaml",
		Args:    oneArg("the id of an alert"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := alert.ParseID(args[0])
			if err != nil {
				return usage("%v", err)
			}
			return f.with(func(node *asked) error {
				list, err := node.Holders(cmd.Context(), id)
				if err != nil {
					return err
				}
				if late {
					list.Members = slices.DeleteFunc(list.Members, func(h nodeapi.Holder) bool { return !h.Late })
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				return printHolders(cmd.OutOrStdout(), list)
			})
		},
	}
	f.addAs(c)
	c.Flags().BoolVar(&late, "late", false, "only those who are late")
	return c
}

func printHolders(w io.Writer, list *nodeapi.HolderList) error {
	printf(w, "alert %s, version %d\n", list.Id, list.Version)
	if list.Recall != nil {
		printf(w, "%s\n", recalled(*list.Recall))
	}
	if len(list.Members) == 0 {
		return printf(w, "nobody\n")
	}
	var rows [][]string
	for _, h := range list.Members {
		rows = append(rows, []string{h.Member, handed(h), acknowledged(h), holdsStill(h), lateness(h), signatures(h)})
		for _, line := range details(h) {
			rows = append(rows, []string{"", "", "", "", "", indent + line})
		}
	}
	return table(w, []string{"MEMBER", "HANDED OVER", "ACKNOWLEDGED", "HOLDS", "LATE", "SIGNATURES"}, rows)
}

// recalled says in a line that an alert is recalled, how and why.
func recalled(r alert.Recall) verbatim {
	words := string(r.Mode)
	switch r.Mode {
	case alert.Purge:
		words = "to be erased by all who have it"
	case alert.CeaseUse:
		words = "nobody is to use it any more"
	}
	return verbatim("RECALLED, " + plain(words) + ": " + quoted(r.Reason))
}

// handed names the latest version that a member was handed, and when that was.
func handed(h nodeapi.Holder) string {
	if h.HandedOverAt == nil {
		return "nothing"
	}
	return fmt.Sprintf("version %d, %s", h.Version, moment(*h.HandedOverAt))
}

func acknowledged(h nodeapi.Holder) string {
	if h.Acknowledged {
		return "yes"
	}
	return "no"
}

// holdsStill says whether a member holds anything for all that it has signed.
func holdsStill(h nodeapi.Holder) string {
	switch {
	case len(h.Held) == 0:
		return "nothing"
	case slices.ContainsFunc(h.Held, func(v nodeapi.HeldVersion) bool { return v.Ended }):
		return "what it is to erase"
	}
	return "it"
}

func lateness(h nodeapi.Holder) string {
	if h.Late {
		return "LATE"
	}
	return "no"
}

// signatures says how the signatures under a member's word hold.
func signatures(h nodeapi.Holder) string {
	switch {
	case len(h.Faults) > 0:
		return "NOT VERIFIED"
	case !h.Acknowledged && len(h.Purged) == 0:
		return "none"
	}
	return "verified"
}

// details says in lines of their own what a member holds still, what it has erased, and
// what of its word does not hold.
func details(h nodeapi.Holder) []string {
	var out []string
	for _, v := range h.Held {
		line := fmt.Sprintf("holds %s of version %d", strings.Join(v.Portions, " "), v.Version)
		if v.Ended {
			line += ", of which it is to erase some"
		}
		out = append(out, line)
	}
	for _, p := range h.Purged {
		out = append(out, fmt.Sprintf("has erased %s of version %d, %s (%s)", strings.Join(p.Portions, " "), p.Version, moment(p.At), p.Cause))
	}
	for _, fault := range h.Faults {
		out = append(out, "does not hold: "+fault)
	}
	return out
}

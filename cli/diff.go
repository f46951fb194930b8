package cli

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/nodeapi"
)

func diffCommand() *cobra.Command {
	var f nodeFlags
	var from, to int32
	c := &cobra.Command{
		Use:   "diff ORIGINATOR/ID",
		Short: "See what has changed between two versions of an alert",
		Long: `Compares two versions of an alert that are here, the latest with the one before unless
--from and --to say otherwise: a received one, as far as it was released, or one of your
member's own. Lines that begin with - stand in the older version alone, those with + in the
newer one alone.

A portion that the newer version does not release to your member is listed as not released
any more. What was held of it has been erased, and is not shown again.`,
		Example: "  entente diff XA/01954c7e-8f5e-7d3a-9c1b-2f4a6b8c0d1e --from 1 --to 2 --config nodes/XB/node.yaml",
		Args:    oneArg("an alert as ORIGINATOR/ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			originator, id, err := parseVersionless(args[0])
			if err != nil {
				return err
			}
			if from < 0 || to < 0 || from != 0 && from == to {
				return usage("--from and --to are versions, which count from 1, and not the same")
			}
			return f.with(func(node *asked) error {
				d, err := node.Diff(cmd.Context(), originator, id, int(from), int(to))
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), d)
				}
				return printDiff(cmd.OutOrStdout(), d)
			})
		},
	}
	f.addAs(c)
	c.Flags().Int32Var(&from, "from", 0, "the older version (default: the one before --to)")
	c.Flags().Int32Var(&to, "to", 0, "the newer version (default: the latest that is here)")
	return c
}

// parseVersionless reads ORIGINATOR/ID.
func parseVersionless(s string) (alert.MemberID, alert.ID, error) {
	from, name, ok := strings.Cut(s, "/")
	if !ok {
		return "", "", usage("%q is not ORIGINATOR/ID", s)
	}
	originator, err := alert.ParseMemberID(from)
	if err != nil {
		return "", "", usage("%v", err)
	}
	id, err := alert.ParseID(name)
	if err != nil {
		return "", "", usage("%v; entente diff wants ORIGINATOR/ID and the versions as --from and --to", err)
	}
	return originator, id, nil
}

func printDiff(w io.Writer, d *nodeapi.Diff) error {
	err := printf(w, "--- %s/%s/%d\n+++ %s/%s/%d\n", d.Originator, d.Id, d.From, d.Originator, d.Id, d.To)
	if d.Recall != nil {
		err = printf(w, "%s\n", recalled(*d.Recall))
	}
	if !d.ExpiresBefore.Equal(d.ExpiresAfter) {
		err = printf(w, "- expires %s\n+ expires %s\n", moment(d.ExpiresBefore), moment(d.ExpiresAfter))
	}
	for _, p := range d.Portions {
		err = printPortionDiff(w, p)
	}
	if len(d.Portions) == 0 && d.Recall == nil {
		err = printf(w, "what is held of both is the same\n")
	}
	return err
}

// changes says in words what has become of a portion or an object.
var changes = map[string]string{
	"added": "new", "removed": "not released any more", "changed": "changed",
	"erased": "one of the versions is erased, so that nothing tells what has changed",
}

func printPortionDiff(w io.Writer, p nodeapi.PortionDiff) error {
	err := printf(w, "\nportion %s: %s\n", p.Portion, changes[p.Change])
	if p.Change != "erased" && given(p.Before) != given(p.After) {
		if p.Before != nil {
			err = printf(w, "- release %s\n", *p.Before)
		}
		if p.After != nil {
			err = printf(w, "+ release %s\n", *p.After)
		}
	}
	if len(p.Fields) > 0 {
		err = printFields(w, p.Fields)
	}
	for _, o := range p.Objects {
		switch o.Change {
		case "added":
			err = printf(w, "+ %s\n", o.Id)
		case "removed":
			err = printf(w, "- %s\n", o.Id)
		default:
			err = printf(w, "  %s\n", o.Id)
		}
		if len(o.Fields) > 0 {
			err = printFields(w, o.Fields)
		}
	}
	return err
}

// printFields writes each value that differs, the older one and the newer one.
func printFields(w io.Writer, fields []nodeapi.FieldDiff) error {
	var err error
	for _, f := range fields {
		if f.Old != nil {
			err = printf(w, "-   %s: %s\n", f.Path, json.RawMessage(*f.Old))
		}
		if f.New != nil {
			err = printf(w, "+   %s: %s\n", f.Path, json.RawMessage(*f.New))
		}
	}
	return err
}

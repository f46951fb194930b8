package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/cli/setup"
)

func initCommand() *cobra.Command {
	var dir, dsn string
	var members []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "init --dir DIR",
		Short: "Make a federation for a trial: keys, certificates, statements, configuration",
		Long: `Makes a whole federation in a fresh folder: the authority's key and a signed
registry, a hub, members with root and node keys, a task force, agreements
countersigned by their parties, and a configuration file for each part, on free
loopback ports. Nothing is ever overwritten.

All private keys lie in one folder here, which is right for a trial and for
nothing else: in a real federation every party makes its own keys and only
signed statements are exchanged.

Without --member it is the federation of the demo (XA, XB, XC, XD). With it, the
members named get one agreement that covers all categories up to confidential,
without personal data.`,
		Example: "  entente init --dir federation\n  entente init --dir federation --member XA=secret --member XB=confidential",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usage("--dir is needed")
			}
			spec := setup.Trial()
			if len(members) > 0 {
				var err error
				if spec, err = specOf(spec, members); err != nil {
					return err
				}
			}
			spec.Postgres = dsn
			layout, err := setup.Make(cmd.Context(), dir, spec)
			if err != nil {
				return err
			}
			return printLayout(cmd, layout, spec, asJSON)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "fresh folder to make the federation in")
	c.Flags().StringVar(&dsn, "postgres", "", "connection string of the hub's PostgreSQL database (default: SQLite)")
	c.Flags().StringArrayVar(&members, "member", nil, "member and ceiling, as XA=secret; repeatable")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// specOf is a plain federation of the members given as ID=ceiling.
func specOf(trial setup.Spec, members []string) (setup.Spec, error) {
	spec := setup.Spec{Name: trial.Name, Hub: trial.Hub, Schemes: trial.Schemes}
	var ids []alert.MemberID
	for _, m := range members {
		name, level, ok := strings.Cut(m, "=")
		if !ok {
			return spec, usage("--member %q: say XA=secret", m)
		}
		id, err := alert.ParseMemberID(name)
		if err != nil {
			return spec, usage("--member: %v", err)
		}
		ceiling, err := alert.ParseClassification(level)
		if err != nil {
			return spec, usage("--member %s: %v", name, err)
		}
		spec.Members = append(spec.Members, setup.Member{ID: id, Name: "Member " + name, Ceiling: ceiling})
		ids = append(ids, id)
	}
	if len(ids) > 1 {
		regional := trial.Agreements[len(trial.Agreements)-1]
		regional.Parties = slices.Clone(ids)
		spec.Agreements = append(spec.Agreements, regional)
	}
	return spec, nil
}

func printLayout(cmd *cobra.Command, l setup.Layout, spec setup.Spec, asJSON bool) error {
	out := cmd.OutOrStdout()
	nodes := make(map[alert.MemberID]string)
	for _, m := range spec.Members {
		nodes[m.ID] = l.NodeConfig(m.ID)
	}
	if asJSON {
		return printJSON(out, struct {
			Hub        string                    `json:"hub_config"`
			Nodes      map[alert.MemberID]string `json:"node_configs"`
			Statements string                    `json:"statements"`
		}{l.HubConfig(), nodes, l.Statements()})
	}
	fmt.Fprintf(out, "The federation %s is in %s. Start each part in a terminal of its own:\n\n  entente hub --config %s\n", spec.Name, string(l), l.HubConfig())
	for _, m := range spec.Members {
		fmt.Fprintf(out, "  entente node --config %s\n", nodes[m.ID])
	}
	return nil
}

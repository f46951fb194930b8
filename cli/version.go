package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/policies"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and the digest of the policy that this binary carries",
		Long: `Prints the version, the commit that the binary was built from, and the digest of
the release policy that it carries. A hub decides only by a policy whose digest
the federation's officers have signed: this tells whether it is that one.`,
		Example: "  entente version --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := policies.Load()
			if err != nil {
				return err
			}
			v := struct {
				Version string `json:"version"`
				Commit  string `json:"commit,omitempty"`
				Go      string `json:"go"`
				Policy  string `json:"policy_digest"`
			}{Version: "devel", Go: runtime.Version(), Policy: engine.Digest()}
			if info, ok := debug.ReadBuildInfo(); ok {
				if info.Main.Version != "" && info.Main.Version != "(devel)" {
					v.Version = info.Main.Version
				}
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v.Commit = s.Value
					}
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), v)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "entente %s %s %s\npolicy %s\n", v.Version, v.Commit, v.Go, v.Policy)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

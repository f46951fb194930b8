package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
)

func policyActivateCommand() *cobra.Command {
	var f nodeFlags
	var k keyFlags
	var file, digest string
	c := &cobra.Command{
		Use:   "activate (--bundle FILE | --sign DIGEST) --keys DIR --kid OFFICER",
		Short: "Bring a bundle of rules into force, with two policy officers",
		Long: `The first policy officer brings a signed bundle to the hub and signs a statement that
names its digest and revision. It decides nothing until a second officer has signed
that statement too, with --sign and the whole digest of the proposal: the bundle that
the hub has is read and held against what is signed, and all that is signed is shown:
the bundle, the one that it replaces, which codes of rules are new and which are gone. Then it is in force at once, and
alerts are decided again. Before that the second officer fetches the bundle with
entente policy fetch, verifies it, tests it and simulates it.`,
		Example: `  entente policy activate --bundle release-2.signed.tar.gz --config nodes/XA/node.yaml --keys authority/keys --kid officer-1
  entente policy activate --sign 3q2-7wEjRWeJqrvM3e7_ABEiM0RVZneImaq7zN3u_xE --config nodes/XA/node.yaml --keys authority/keys --kid officer-2`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (file == "") == (digest == "") {
				return usage("one of --bundle and --sign is needed")
			}
			return f.with(func(node *asked) error {
				if file != "" {
					return node.activate(cmd, file, &k, f.asJSON)
				}
				return node.signActivation(cmd, digest, &k, f.asJSON)
			})
		},
	}
	f.add(c)
	k.add(c, "a policy officer")
	c.Flags().StringVar(&file, "bundle", "", "a signed bundle, from the first officer")
	c.Flags().StringVar(&digest, "sign", "", "whole digest of the proposal, from the second officer")
	return c
}

// activate brings a bundle and proposes it, as the first officer.
func (n *asked) activate(cmd *cobra.Command, file string, k *keyFlags, asJSON bool) error {
	raw, err := readBundle(file)
	if err != nil {
		return err
	}
	b, err := bundle.Parse(raw)
	if err != nil {
		return bundleError(file, err)
	}
	if _, err := policies.Compile(b.Modules); err != nil {
		return bundleError(file, err)
	}
	signer, err := k.officer()
	if err != nil {
		return err
	}
	if err := n.SubmitBundle(cmd.Context(), raw); err != nil {
		return err
	}
	state, err := n.propose(cmd.Context(), federation.TypePolicy,
		&federation.Policy{Name: hub.PolicyName, Digest: b.Digest, Bundle: b.Revision}, signer)
	if err != nil {
		return err
	}
	return printState(cmd.OutOrStdout(), fmt.Sprintf("bundle %d, digest of its rules %s", b.Revision, b.Digest), state, asJSON)
}

func policyHistoryCommand() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use:   "history",
		Short: "List which bundles of rules the officers have brought into force",
		Long: `Lists, oldest first, every statement of the policy officers that the node has
verified: the bundle's number, the digest of its rules, when it was signed and by
whom, and which is in force; then what waits for a second officer. Where the hub is away
that is left out, and that is said.`,
		Example: "  entente policy history --config nodes/XA/node.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(func(node *asked) error {
				all, err := node.Policies(cmd.Context())
				if err != nil {
					return err
				}
				waiting, err := node.waiting(cmd, federation.TypePolicy)
				if err != nil {
					return err
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), struct {
						Policies  []nodeapi.PolicyChange `json:"policies"`
						Proposals []nodeapi.Proposed     `json:"proposals"`
					}{all, waiting})
				}
				return printPolicies(cmd.OutOrStdout(), all, waiting)
			})
		},
	}
	f.add(c)
	return c
}

func printPolicies(w io.Writer, all []nodeapi.PolicyChange, waiting []nodeapi.Proposed) error {
	var rows [][]string
	for _, p := range all {
		state := "replaced"
		if p.InForce {
			state = "in force"
		}
		rows = append(rows, []string{p.Name, strconv.FormatInt(p.Bundle, 10), p.BundleDigest, p.SignedAt.Format(time.RFC3339),
			state, strings.Join(owners(p.Signers), ", "), p.Digest})
	}
	for _, w := range waiting {
		p, err := readProposal(w)
		if err != nil {
			rows = append(rows, []string{"?", "?", "", "", "NOT VERIFIED: " + err.Error(), "", w.Digest})
			continue
		}
		if b, ok := p.Body.(*federation.Policy); ok {
			rows = append(rows, []string{b.Name, strconv.FormatInt(b.Bundle, 10), b.Digest, day(p.IssuedAt),
				"waits for " + strings.Join(value(p.Missing), ", "), strings.Join(owners(value(p.Signers)), ", "), p.Proposed.Digest})
		}
	}
	return table(w, []string{"RULES", "BUNDLE", "DIGEST OF RULES", "SIGNED", "STATE", "BY", "STATEMENT"}, rows)
}

// owners shortens key ids to whose they are.
func owners(kids []string) []string {
	out := make([]string, len(kids))
	for i, kid := range kids {
		out[i], _, _ = strings.Cut(kid, "/")
	}
	return out
}

package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/nodeapi"
	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/hub"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
)

func policyFetchCommand() *cobra.Command {
	var f nodeFlags
	var out string
	var inForce bool
	c := &cobra.Command{
		Use:   "fetch (DIGEST | --in-force) --out FILE",
		Short: "Fetch a bundle of rules from the hub, such as one that waits for a second officer",
		Long: `Writes the bundle that the hub has of the rules of a digest to a file, byte for byte
as an officer brought it. The digest is that of the rules, as entente policy history
lists it for what is in force, was, or waits for a second officer; --in-force takes the
one that the node has verified to be in force. What the hub hands over is held
against the digest, and nothing is written where they differ.

Who has signed the bundle is for entente policy verify to say. Then try it, with
entente policy test and entente policy simulate, before you sign.

Rules that the program itself carries can be in force without a bundle of them at
the hub: entente policy build --embedded makes one.`,
		Example: `  entente policy fetch ewR1PmDEzOqlONrwkESOR8WZ-rK65FspvA4-BwrIeZ4 --out proposed.tar.gz --config nodes/XB/node.yaml
  entente policy fetch --in-force --out rules.tar.gz --config nodes/XB/node.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case inForce == (len(args) == 1) || len(args) > 1:
				return usage("one of a digest and --in-force is needed; see entente policy fetch --help")
			case len(args) == 1 && !isDigest(args[0]):
				return usage("%q is not a whole digest, 43 characters of base64url", args[0])
			case out == "":
				return usage("--out is needed")
			}
			return f.with(func(node *asked) error {
				digest := ""
				if len(args) == 1 {
					digest = args[0]
				} else {
					p, err := node.policyInForce(cmd.Context())
					if err != nil {
						return err
					}
					digest = p.BundleDigest
				}
				raw, b, err := node.bundleOf(cmd.Context(), digest)
				if err != nil {
					return err
				}
				return writeBundle(cmd, out, raw, b, f.asJSON)
			})
		},
	}
	f.add(c)
	c.Flags().StringVar(&out, "out", "", "file to write; one that exists is not written over")
	c.Flags().BoolVar(&inForce, "in-force", false, "the rules in force, instead of a digest")
	return c
}

// policyInForce finds the rules in force, as the node has verified them.
func (n *asked) policyInForce(ctx context.Context) (nodeapi.PolicyChange, error) {
	all, err := n.Policies(ctx)
	if err != nil {
		return nodeapi.PolicyChange{}, err
	}
	at := slices.IndexFunc(all, func(p nodeapi.PolicyChange) bool { return p.Name == hub.PolicyName && p.InForce })
	if at < 0 {
		return nodeapi.PolicyChange{}, problem.New(problem.NotFound, "the policy officers have brought no rules into force yet")
	}
	return all[at], nil
}

// bundleOf fetches the bundle of the rules of a digest, and sees that it is.
func (n *asked) bundleOf(ctx context.Context, digest string) ([]byte, *bundle.Bundle, error) {
	raw, err := n.Bundle(ctx, digest)
	if problem.KindOf(err) == problem.NotFound {
		return nil, nil, noBundle(digest)
	}
	if err != nil {
		return nil, nil, err
	}
	b, err := bundle.Parse(raw)
	if err != nil {
		return nil, nil, problem.New(problem.BadSignature, "what the hub hands over is no bundle: %w", err)
	}
	if b.Digest != digest {
		return nil, nil, problem.New(problem.BadSignature, "what the hub hands over has rules of digest %s, not %s", b.Digest, digest)
	}
	return raw, b, nil
}

// noBundle says that the hub has no bundle of some rules, and where they are to be
// had if they are this program's own.
func noBundle(digest string) error {
	carried, err := policies.Load()
	if err != nil {
		return err
	}
	if carried.Digest() != digest {
		return problem.New(problem.NotFound, "the hub has no bundle of the rules %s", digest)
	}
	return problem.New(problem.NotFound, "the rules %s are those that this program carries, and nobody has brought a bundle of them to the hub: "+
		"entente policy build --embedded writes one", digest)
}

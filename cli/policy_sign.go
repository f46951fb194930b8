package cli

import (
	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
)

func policySignCommand() *cobra.Command {
	var k keyFlags
	var out string
	var asJSON bool
	c := &cobra.Command{
		Use:   "sign BUNDLE --keys DIR [--secret-file FILE] [--kid OFFICER] --out FILE",
		Short: "Sign a bundle with a policy officer's key",
		Long: `Adds .signatures.json to an unsigned bundle: a JWT, signed with EdDSA or ES256 as
the officer's key is, that names every file with its SHA-256 as opa expects it. The
rules must compile. The bundle that was read is not changed.

Signing a bundle does not bring it into force: that takes a quorum of the policy
officers, who sign its digest (entente policy activate).`,
		Example: "  entente policy sign release-2.tar.gz --keys authority/keys --kid officer-1 --out release-2.signed.tar.gz",
		Args:    oneBundle,
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usage("--out is needed")
			}
			raw, err := readBundle(args[0])
			if err != nil {
				return err
			}
			b, err := bundle.Parse(raw)
			if err != nil {
				return bundleError(args[0], err)
			}
			if _, err := policies.Compile(b.Modules); err != nil {
				return bundleError(args[0], err)
			}
			signer, err := k.officer()
			if err != nil {
				return err
			}
			signed, err := bundle.Sign(cmd.Context(), raw, signer)
			if err != nil {
				return bundleError(args[0], err)
			}
			b.SignedBy = signer.Public().KeyID()
			return writeBundle(cmd, out, signed, b, asJSON)
		},
	}
	k.add(c, "a policy officer")
	c.Flags().StringVar(&out, "out", "", "file to write; one that exists is not written over")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

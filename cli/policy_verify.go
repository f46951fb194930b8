package cli

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
)

func policyVerifyCommand() *cobra.Command {
	var files []string
	var config, keyOut string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify BUNDLE (--officers FILE … | --config hub.yaml)",
		Short: "Verify a bundle's signature and say which rules are in it",
		Long: `Verifies that a policy officer has signed exactly the files in a bundle, compiles
the rules, and prints digest, revision, signer, and each rule's code and message.

Who the officers are is said by files with their public keys (--officers: a JWK or
a JWK set, repeated as need be), or by the registry among the signed statements in
the folder of a hub, verified up to the authority's key (--config). A bundle that
is unsigned, altered or signed by somebody else ends with exit code 3.

With --key-out the signer's public key is written as PEM, for opa itself:
  opa build --bundle FILE --verification-key KEY.pem --verification-key-id KID \
    --signing-alg EdDSA --output /dev/null`,
		Example: "  entente policy verify release-2.signed.tar.gz --config hub/hub.yaml",
		Args:    oneBundle,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(files) == 0) == (config == "") {
				return usage("one of --officers and --config is needed")
			}
			raw, err := readBundle(args[0])
			if err != nil {
				return err
			}
			officers, err := readOfficers(files, config)
			if err != nil {
				return err
			}
			b, err := bundle.Open(raw, officers.lookup)
			if err != nil {
				return bundleError(args[0], err)
			}
			engine, err := policies.Compile(b.Modules)
			if err != nil {
				return bundleError(args[0], err)
			}
			if keyOut != "" {
				if err := writePEM(keyOut, officers[b.SignedBy]); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), describe(b, engine))
			}
			return describe(b, engine).print(cmd.OutOrStdout())
		},
	}
	c.Flags().StringArrayVar(&files, "officers", nil, "file with a policy officer's public key, a JWK or a JWK set; may be repeated")
	c.Flags().StringVar(&config, "config", "", "configuration file of a hub whose registry says who the officers are")
	c.Flags().StringVar(&keyOut, "key-out", "", "file to write the signer's public key to, as PEM")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// writePEM writes a public key as a new file in PEM (RFC 7468 section 13).
func writePEM(file string, k keys.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(k.Key())
	if err != nil {
		return fmt.Errorf("--key-out: %w", err)
	}
	return keys.WriteNewFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644)
}

// bundleReport says what a verified bundle holds.
type bundleReport struct {
	Revision int64        `json:"revision"`
	Digest   string       `json:"digest"`
	SignedBy string       `json:"signed_by"`
	Modules  []string     `json:"modules"`
	Rules    []bundleRule `json:"rules"`
}

type bundleRule struct {
	Of      string `json:"of"` // release or admission
	Code    string `json:"code"`
	Title   string `json:"title"`
	Message string `json:"message"`
}

func describe(b *bundle.Bundle, e *policies.Engine) bundleReport {
	r := bundleReport{Revision: b.Revision, Digest: b.Digest, SignedBy: b.SignedBy, Modules: slices.Sorted(maps.Keys(b.Modules))}
	add := func(of string, rules []policies.Rule) {
		for _, rule := range rules {
			r.Rules = append(r.Rules, bundleRule{Of: of, Code: rule.Code, Title: rule.Title, Message: rule.Message})
		}
	}
	add("release", e.Rules())
	add("admission", e.AdmissionRules())
	return r
}

// print writes the report for people. Officers have signed the texts, but as Rego
// may write them: control characters are shown, not sent to the terminal.
func (r bundleReport) print(w io.Writer) error {
	err := table(w, nil, [][]string{{"revision", strconv.FormatInt(r.Revision, 10)}, {"digest", r.Digest},
		{"signed by", r.SignedBy}, {"modules", strconv.Itoa(len(r.Modules))}})
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, rule := range r.Rules {
		rows = append(rows, []string{rule.Of, rule.Code, rule.Message})
	}
	return table(w, []string{"OF", "CODE", "MESSAGE"}, rows)
}

// officerKeys are the policy officers' public keys, by key id.
type officerKeys map[string]keys.PublicKey

func (o officerKeys) lookup(kid string) (keys.PublicKey, error) {
	k, ok := o[kid]
	if !ok {
		return keys.PublicKey{}, fmt.Errorf("%w: not that of a policy officer", keys.ErrKeyUnknown)
	}
	return k, nil
}

// add reads keys, each a JWK.
func (o officerKeys) add(jwks ...json.RawMessage) error {
	for _, raw := range jwks {
		k, err := keys.ParsePublicKey(raw)
		if err != nil {
			return err
		}
		o[k.KeyID()] = k
	}
	return nil
}

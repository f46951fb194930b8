package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/problem"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/policies"
	"github.com/entente-hub/entente/policies/bundle"
)

func policyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Build, sign, verify, test and activate bundles of the release and admission rules",
		Long: `The rules of release and admission are Rego, packed as a bundle with a revision
and signed by a policy officer, in OPA's own format: opa and regal work on it. A
hub decides by a bundle only when a quorum of policy officers has named its digest.

To change the rules: unpack the bundle of the rules in force, edit them, test them,
build the bundle with the next revision, and sign it.`,
		Example: `  entente policy build --embedded --revision 1 --out release-1.tar.gz
  mkdir -p rules/entente && tar -xzf release-1.tar.gz -C rules/entente
  regal lint rules
  entente policy test rules/entente
  entente policy build --from rules/entente --revision 2 --out release-2.tar.gz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("unknown command %q; see entente policy --help", args[0])
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(
		policyBuildCommand(),
		policySignCommand(),
		policyVerifyCommand(),
		policyTestCommand(),
		policySimulateCommand(),
		policyActivateCommand(),
		policyHistoryCommand(),
		policyFetchCommand(),
	)
	return c
}

// builtBundle is what is said of a bundle that was written.
type builtBundle struct {
	File     string `json:"file"`
	Revision int64  `json:"revision"`
	Digest   string `json:"digest"`
	Modules  int    `json:"modules"`
	Bytes    int    `json:"bytes"`
	SignedBy string `json:"signed_by,omitempty"`
}

// writeBundle writes a bundle to a new file and says what is in it.
func writeBundle(cmd *cobra.Command, file string, raw []byte, b *bundle.Bundle, asJSON bool) error {
	if err := keys.WriteNewFile(file, raw, 0o644); err != nil {
		return err
	}
	out := builtBundle{File: file, Revision: b.Revision, Digest: b.Digest, Modules: len(b.Modules), Bytes: len(raw), SignedBy: b.SignedBy}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), out)
	}
	rows := [][]string{{"file", file}, {"revision", strconv.FormatInt(b.Revision, 10)}, {"digest", b.Digest},
		{"modules", strconv.Itoa(len(b.Modules))}, {"bytes", strconv.Itoa(len(raw))}}
	if b.SignedBy != "" {
		rows = append(rows, []string{"signed by", b.SignedBy})
	}
	return table(cmd.OutOrStdout(), nil, rows)
}

// bundleError says of an error of package bundle or policies whether the file is at fault,
// who signed it, or neither: it may be the machine.
func bundleError(file string, err error) error {
	switch {
	case errors.Is(err, bundle.ErrUnsigned), errors.Is(err, bundle.ErrSignature):
		return problem.New(problem.BadSignature, "%s: %w", file, err)
	case errors.Is(err, bundle.ErrSigned):
		return problem.New(problem.Conflict, "%s: %w", file, err)
	case errors.Is(err, policies.ErrTooLong):
		return problem.New(problem.Unavailable, "%s: %w", file, err)
	case errors.Is(err, bundle.ErrMalformed), errors.Is(err, bundle.ErrTooLarge), errors.Is(err, policies.ErrPolicy):
		return usage("%s: %w", file, err)
	}
	return fmt.Errorf("%s: %w", file, err)
}

// oneBundle wants the file of one bundle as the argument.
func oneBundle(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("name one bundle; see %s --help", cmd.CommandPath())
	}
	return nil
}

// readBundle reads the bytes of a bundle, no more than a bundle may have.
func readBundle(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, usage("%v", err)
	}
	if !info.Mode().IsRegular() {
		return nil, usage("%s is not a regular file", file)
	}
	if info.Size() > bundle.MaxCompressed {
		return nil, bundleError(file, bundle.ErrTooLarge)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("%v", err)
	}
	return raw, nil
}

func policyBuildCommand() *cobra.Command {
	var from, out string
	var carried, asJSON bool
	var revision int64
	c := &cobra.Command{
		Use:   "build (--from DIR | --embedded) --revision N --out FILE",
		Short: "Pack rules as an unsigned bundle",
		Long: `Packs the modules (*.rego) below release/ and admission/ of a folder, or those
that this binary carries, as a bundle with a revision. The rules must compile.

Left out are tests (*_test.rego), *.md, the folder scenarios and what begins with
a dot in the folder itself; any other file is an error, data files above all: what
rules rest on comes from signed statements. The same rules and revision make the
same bytes. A file that exists is not written over.`,
		Example: "  entente policy build --from rules/entente --revision 2 --out release-2.tar.gz",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case (from == "") != carried:
				return usage("one of --from and --embedded is needed")
			case revision < 1:
				return usage("--revision is needed, from 1: one more than that of the bundle in force")
			case out == "":
				return usage("--out is needed")
			}
			modules, where := policies.Embedded(), "the embedded rules"
			if from != "" {
				var err error
				if modules, err = bundle.Modules(os.DirFS(from)); err != nil {
					return folderError(from, err)
				}
				where = from
			}
			if _, err := policies.Compile(modules); err != nil {
				return bundleError(where, err)
			}
			raw, err := bundle.Pack(modules, revision)
			if err != nil {
				return bundleError(where, err)
			}
			b, err := bundle.Parse(raw)
			if err != nil {
				return bundleError(where, err)
			}
			return writeBundle(cmd, out, raw, b, asJSON)
		},
	}
	c.Flags().StringVar(&from, "from", "", "folder with release/ and admission/")
	c.Flags().BoolVar(&carried, "embedded", false, "pack the rules that this binary carries")
	c.Flags().Int64Var(&revision, "revision", 0, "the bundle's number; none follows one with a higher number")
	c.Flags().StringVar(&out, "out", "", "file to write")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// folderError says of an error in reading a folder of rules that the folder is at
// fault, also where the file system has it.
func folderError(dir string, err error) error { return usage("%s: %w", dir, err) }

// Package cli is the entente command: thin commands over the hub's and the
// node's own packages.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/problem"
)

// Exit codes, for scripts.
const (
	exitOK          = 0
	exitFailed      = 1 // anything not listed below
	exitUsage       = 2 // unknown command or flag, or a file that does not parse
	exitRefused     = 3 // policy, a signature or a conflict: trying again will not help
	exitUnavailable = 4 // not reachable or not ready: trying again may help
	exitNotVerified = 5 // audit verify: the log does not hold
)

// errUsage marks what the caller can mend in the command line or a file.
var errUsage = errors.New("usage")

// errNotVerified marks a log that does not hold.
var errNotVerified = errors.New("not verified")

func usage(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errUsage}, args...)...)
}

// Main runs the command and returns its exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(digestsLast(root, args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "entente:", message(err))
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "entente",
		Short: "Share signed, classified intelligence between states",
		Long: `Entente is a federation hub for signed, classified intelligence between states.

Each member state runs a node; a shared hub decides by policy who may have which
part of each alert, and relays exactly that. Try it: entente demo

Exit codes: 0 done; 1 failed; 2 wrong usage or an unreadable file; 3 refused by
policy, signature or conflict; 4 not reachable or not ready; 5 the audit log
does not verify.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("unknown command %q; see entente --help", args[0])
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(demoCommand(), initCommand(), hubCommand(), nodeCommand(), publishCommand(), draftCommand(), previewCommand(),
		inboxCommand(), showCommand(), diffCommand(), outboxCommand(), recallCommand(), holdersCommand(),
		statusCommand(), agreementCommand(), consentCommand(), emergencyCommand(), explainCommand(),
		feedbackCommand(), requestCommand(), answerCommand(), refuseCommand(), requestsCommand(), delegationCommand(),
		auditCommand(), holdCommand(), backupCommand(), restoreCommand(),
		exportCommand(), courierCommand(), importCommand(), policyCommand(), versionCommand())
	for _, c := range root.Commands() {
		if c.Args == nil {
			c.Args = noArgs
		}
	}
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument %q", cmd.CommandPath(), args[0])
	}
	return nil
}

func exitCode(err error) int {
	var p *problem.Error
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errNotVerified):
		return exitNotVerified
	case errors.As(err, &p):
		switch p.Kind {
		case problem.Unavailable, problem.RateLimited:
			return exitUnavailable
		case problem.Internal:
			return exitFailed
		}
		return exitRefused
	}
	return exitFailed
}

// message is what a person reads of an error. What a node or hub has answered is one
// line, whatever it says.
func message(err error) string {
	var p *problem.Error
	if !errors.As(err, &p) {
		return lines(err.Error())
	}
	s := err.Error()
	if len(p.Codes) > 0 {
		s += fmt.Sprintf(" %v", p.Codes)
	}
	return plain(s)
}

// newLogger writes structured logs; what commands answer goes to standard output.
func newLogger(w io.Writer, asJSON bool) *slog.Logger {
	if asJSON {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/alert"
	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/crypto/keys"
	"github.com/entente-hub/entente/trust"
)

func holdCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "hold",
		Short: "Keep entries of the audit log from being erased, as an auditor",
		Long: `Where the registry says after how many days the hub erases what the entries of its
audit log say, an auditor can place a legal hold: what it is on stays for as long as it
stands. It holds nothing else: alerts end, expire and are recalled as ever, and nobody
gets anything because of it.

Each auditor that the registry lists can place a hold, and change or lift anybody's. No
member is shown holds.`,
		Example: `  entente hold place case-2026-7 --members XA,XB --reason "Proceedings 7/2026" --keys auditor/keys --out case.json --node nodes/XA/node.yaml
  entente hold lift case.json --reason "Proceedings closed" --keys auditor/keys --out lifted.json --node nodes/XA/node.yaml
  entente hold list --config hub/hub.yaml`,
	}, holdPlaceCommand(), holdLiftCommand(), holdBringCommand(), holdListCommand())
}

// holdFlags are what signing a hold takes.
type holdFlags struct {
	keyFlags
	reason, out, node string
}

func (f *holdFlags) add(c *cobra.Command) {
	f.keyFlags.add(c, "an auditor")
	c.Flags().StringVar(&f.reason, "reason", "", "why: the proceedings concerned")
	c.Flags().StringVar(&f.out, "out", "", "file to make, of the signed statement: lifting the hold takes it")
	c.Flags().StringVar(&f.node, "node", "", "configuration file of a node over whose connection it is brought to the hub (default: it is not, see entente hold bring)")
}

// auditor opens the key of an auditor: of somebody who is neither the authority nor a
// member.
func (f *keyFlags) auditor() (keys.Signer, error) {
	return f.signer("an auditor", func(owner string) bool { return !isMember(owner) && owner != trust.AuthorityOwner })
}

// sign signs what follows head, writes it, and brings it where a node is named.
func (f *holdFlags) sign(cmd *cobra.Command, h *federation.LegalHold, head trust.Statement, what string) error {
	if f.out == "" || strings.TrimSpace(f.reason) == "" {
		return usage("--reason and --out are needed")
	}
	signer, err := f.auditor()
	if err != nil {
		return err
	}
	raw, err := trust.Sign(cmd.Context(), federation.TypeLegalHold, h, head, time.Now(), signer)
	if err != nil {
		return err
	}
	if err = keys.WriteNewFile(f.out, raw, 0o600); errors.Is(err, keys.ErrExists) {
		return usage("%s exists already; nothing is overwritten", f.out)
	} else if err != nil {
		return err
	}
	if f.node == "" {
		return printf(cmd.OutOrStdout(), "%s is signed, by %s; it counts for nothing until it is brought to the hub: entente hold bring %s\n", f.out, signer.Public().KeyID(), f.out)
	}
	if err := bringHold(cmd.Context(), f.node, raw); err != nil {
		return fmt.Errorf("%s is signed; bring it with entente hold bring: %w", f.out, err)
	}
	return printf(cmd.OutOrStdout(), "hold %s %s, signed by %s\n", h.ID, what, signer.Public().KeyID())
}

// bringHold hands a signed hold to the hub over a node's connection. The node itself
// learns nothing of it.
func bringHold(ctx context.Context, node string, raw []byte) error {
	cfg, err := loadNodeConfig(node)
	if err != nil {
		return err
	}
	client, err := hubClient(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.SubmitStatement(ctx, raw)
}

func holdPlaceCommand() *cobra.Command {
	var f holdFlags
	var all bool
	var members, alerts []string
	var from, until string
	c := &cobra.Command{
		Use:   "place ID (--all | --members XA,XB | --alerts ALERT,...) --reason TEXT --keys DIR --out FILE",
		Short: "Place a legal hold on entries of the audit log",
		Long: `Signs a new hold. --members holds the entries that name one of these members, --alerts
those that name one of these alerts, --all every entry. --from and --until are a date or
a time; left out, the hold stands at once, and until it is lifted.`,
		Example: `  entente hold place case-2026-7 --members XA,XB --reason "Proceedings 7/2026" --keys auditor/keys --out case.json --node nodes/XA/node.yaml`,
		Args:    oneArg("an id for the hold"),
		RunE: func(cmd *cobra.Command, args []string) error {
			h := &federation.LegalHold{Reason: f.reason, Scope: federation.HoldScope{All: all}}
			if err := h.ID.UnmarshalText([]byte(args[0])); err != nil {
				return usage("%v", err)
			}
			for _, name := range members {
				m, err := alert.ParseMemberID(name)
				if err != nil {
					return usage("--members: %v", err)
				}
				h.Scope.Members = append(h.Scope.Members, m)
			}
			for _, name := range alerts {
				id, err := alert.ParseID(name)
				if err != nil {
					return usage("--alerts: %v", err)
				}
				h.Scope.Alerts = append(h.Scope.Alerts, id)
			}
			var err error
			if h.ValidFrom, err = holdTime("--from", from); err != nil {
				return err
			}
			if h.ValidUntil, err = holdTime("--until", until); err != nil {
				return err
			}
			if _, err := federation.NewStatement(federation.TypeLegalHold, h, 1, "", time.Now().Unix()); err != nil {
				return usage("%v", err)
			}
			return f.sign(cmd, h, trust.Statement{}, "is taken by the hub")
		},
	}
	f.add(c)
	c.Flags().BoolVar(&all, "all", false, "hold every entry")
	c.Flags().StringSliceVar(&members, "members", nil, "members, separated by commas")
	c.Flags().StringSliceVar(&alerts, "alerts", nil, "ids of alerts, separated by commas")
	c.Flags().StringVar(&from, "from", "", "when the hold begins (default: at once)")
	c.Flags().StringVar(&until, "until", "", "when the hold ends (default: when it is lifted)")
	return c
}

// holdTime reads a date or a time, in seconds since 1970-01-01 UTC; 0 for none.
func holdTime(flag, s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	t, err := dateOrTime(s)
	if err != nil {
		return 0, usage("%s %q: a date or an RFC 3339 time", flag, s)
	}
	return t.Unix(), nil
}

func holdLiftCommand() *cobra.Command {
	var f holdFlags
	c := &cobra.Command{
		Use:   "lift FILE --reason TEXT --keys DIR --out FILE",
		Short: "Lift a legal hold",
		Long: `Signs that the hold in a file, of its last signed statement, is lifted. Whatever has
outlived the registry's rule is then erased, unless another hold is on it. The file is
the one that entente hold place has made; entente hold list --json has the statement too.`,
		Example: `  entente hold lift case.json --reason "Proceedings closed" --keys auditor/keys --out lifted.json --node nodes/XA/node.yaml`,
		Args:    oneArg("the file of a signed hold"),
		RunE: func(cmd *cobra.Command, args []string) error {
			head, h, err := readHold(args[0])
			if err != nil {
				return err
			}
			lifted := *h
			lifted.Lifted, lifted.Reason = true, f.reason
			return f.sign(cmd, &lifted, head, "is lifted")
		},
	}
	f.add(c)
	return c
}

// readHold reads a signed hold, whoever has signed it: the hub judges that.
func readHold(file string) (trust.Statement, *federation.LegalHold, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return trust.Statement{}, nil, usage("%v", err)
	}
	s, err := trust.Parse(bytes.TrimSpace(raw))
	if err != nil {
		return trust.Statement{}, nil, usage("%s: %v", file, err)
	}
	h, ok := s.Body.(*federation.LegalHold)
	if !ok {
		return trust.Statement{}, nil, usage("%s: a statement of type %s, not of a legal hold", file, s.Type)
	}
	return s, h, nil
}

func holdBringCommand() *cobra.Command {
	var node string
	c := &cobra.Command{
		Use:   "bring FILE --node node.yaml",
		Short: "Bring a signed legal hold, or its lifting, to the hub",
		Long: `Hands a signed hold to the hub over the connection of a member's node. Any member's
will do: the auditor's signature is what counts. An operator can also put the file into
the hub's folder of statements, which it reads when it starts.`,
		Example: "  entente hold bring case.json --node nodes/XA/node.yaml",
		Args:    oneArg("the file of a signed hold"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, h, err := readHold(args[0])
			if err != nil {
				return err
			}
			if err := bringHold(cmd.Context(), node, s.Raw); err != nil {
				return err
			}
			return printf(cmd.OutOrStdout(), "the hub has taken hold %s, revision %d\n", h.ID, s.Revision)
		},
	}
	c.Flags().StringVar(&node, "node", "node.yaml", "configuration file of a node over whose connection it is brought")
	return c
}

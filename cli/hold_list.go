package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-hub/entente/api/federation"
	"github.com/entente-hub/entente/hub"
	hubserver "github.com/entente-hub/entente/hub/server"
	"github.com/entente-hub/entente/trust"
)

func holdListCommand() *cobra.Command {
	var config string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list --config hub.yaml",
		Short: "List legal holds, from the hub's database",
		Long: `Lists the last word on each legal hold, those that are lifted or over too, as verified
from the authority's key downwards. It reads the hub's database, and can run beside the
hub: over the network nobody is shown holds.`,
		Example: "  entente hold list --config hub/hub.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var cfg hubserver.Config
			if err := loadConfig(config, &cfg); err != nil {
				return err
			}
			all, err := listHolds(cmd.Context(), cfg, time.Now())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			return printHolds(cmd.OutOrStdout(), all)
		},
	}
	c.Flags().StringVar(&config, "config", "hub.yaml", "the hub's configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// listedHold is one hold as it is listed.
type listedHold struct {
	*federation.LegalHold
	State     string          `json:"state"` // in force, lifted, to come or over
	Revision  int64           `json:"revision"`
	SignedAt  time.Time       `json:"signed_at"`
	Signers   []string        `json:"signers"` // ids of keys
	Statement json.RawMessage `json:"statement"`
}

func listHolds(ctx context.Context, cfg hubserver.Config, now time.Time) (out []listedHold, err error) {
	authority, err := hubserver.ReadPublicKey(cfg.AuthorityKey)
	if err != nil {
		return nil, err
	}
	st, err := hubserver.OpenStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	holds, err := hub.LegalHolds(ctx, st, authority)
	if errors.Is(err, hub.ErrLog) {
		err = fmt.Errorf("%w: %w", errNotVerified, err)
	}
	if err != nil {
		return nil, err
	}
	out = []listedHold{}
	for _, s := range holds {
		h, ok := s.Body.(*federation.LegalHold)
		if !ok {
			continue
		}
		signers, err := trust.Signers(s.Raw)
		if err != nil {
			return nil, err
		}
		out = append(out, listedHold{h, holdState(h, now), s.Revision, time.Unix(s.IssuedAt, 0).UTC(), signers, s.Raw})
	}
	return out, nil
}

func holdState(h *federation.LegalHold, now time.Time) string {
	switch {
	case h.Lifted:
		return "lifted"
	case h.Stands(now, now):
		return "in force"
	case now.Unix() < h.ValidFrom:
		return "to come"
	}
	return "over"
}

func printHolds(w io.Writer, all []listedHold) error {
	var rows [][]string
	for _, h := range all {
		scope := "all entries"
		if len(h.Scope.Members) > 0 {
			scope = "members " + list(h.Scope.Members)
		} else if len(h.Scope.Alerts) > 0 {
			scope = "alerts " + list(h.Scope.Alerts)
		}
		until := "lifted"
		if h.ValidUntil != 0 {
			until = day(h.ValidUntil)
		}
		rows = append(rows, []string{string(h.ID), h.State, scope, until, strings.Join(owners(h.Signers), ", "),
			moment(h.SignedAt), strconv.FormatInt(h.Revision, 10), h.Reason})
	}
	return table(w, []string{"HOLD", "STATE", "ON", "UNTIL", "SIGNED BY", "AT", "REVISION", "REASON"}, rows)
}
